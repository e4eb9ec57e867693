"""Accounts are opened here; a user's first free grant comes in the same transaction."""

import secrets
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from uuid_utils.compat import uuid7

from ledger.granting import write_grant
from ledger.rules.errors import ExternalIdConflict, UnknownAccount
from ledger.rules.limits import DEFAULT_DEBT_CAP, DEFAULT_FREE_CREDITS
from ledger.rules.money import Price
from ledger.rules.reset_dates import next_reset_after
from ledger.store import accounts as account_rows
from ledger.store.accounts import Account, NewAccount, lock_account, parse_account_id
from ledger.transaction import with_serializable_transaction, with_transaction
from messages.grants import GrantOrder, GrantType, MirrorDriver


@dataclass(frozen=True)
class Opening:
    """A request for an account. ``free_credits`` is the size of its free grants; None means the default.

    ``external_id`` is the caller's own id: it makes the request repeatable.
    """

    kind: str
    name: str
    email: str | None = None
    external_id: str | None = None
    free_credits: int | None = None
    actor: str = "admin"
    request_id: str = ""


@dataclass(frozen=True)
class OpenedAccount:
    """The account, and whether this call opened it."""

    account: Account
    created: bool


async def open_account(engine: AsyncEngine, opening: Opening) -> OpenedAccount:
    """Opens an account; a user gets its first free grant in the same transaction, an organization none.

    A repeated external id answers with the account that has it. Raises ExternalIdConflict for one of the other kind.
    """
    account_id = uuid7()

    async def work(tx: AsyncConnection) -> OpenedAccount:
        found = await _known(tx, opening)
        if found is not None:
            return OpenedAccount(found, created=False)
        await _write(tx, account_id, opening)
        account = await account_rows.find_account(tx, account_id)
        if account is None:
            raise UnknownAccount(str(account_id))
        return OpenedAccount(account, created=True)

    try:
        return await with_serializable_transaction(engine, work, what="open account")
    except IntegrityError as error:
        if "uq_account_profiles_external_id" not in str(error.orig):
            raise
        # Somebody opened it between our look and our write: theirs is the account.
        return await with_serializable_transaction(engine, work, what="open account")


async def _known(tx: AsyncConnection, opening: Opening) -> Account | None:
    if opening.external_id is None:
        return None
    found = await account_rows.find_account_by_external_id(tx, opening.external_id)
    if found is not None and found.kind != opening.kind:
        raise ExternalIdConflict(opening.external_id, found.kind)
    return found


async def _write(tx: AsyncConnection, account_id: UUID, opening: Opening) -> None:
    now = await account_rows.read_clock(tx)
    default = DEFAULT_FREE_CREDITS if opening.kind == "user" else 0
    free_credits = default if opening.free_credits is None else opening.free_credits
    await account_rows.insert_account(
        tx,
        NewAccount(
            account_id=account_id,
            kind=opening.kind,
            name=opening.name,
            email=opening.email,
            external_id=opening.external_id,
            referral_code=f"ref-{secrets.token_hex(8)}",
            free_credits=free_credits,
            debt_cap=DEFAULT_DEBT_CAP,
            price=Price(),
            created_at=now,
            next_reset=next_reset_after(now, now.day),
            reset_anchor_day=now.day,
        ),
    )
    if opening.kind == "user" and free_credits:
        account = await lock_account(tx, account_id)
        order = GrantOrder(
            operation_id=f"free-{account_id}-{now:%Y%m%dT%H%M%SZ}",
            account_id=str(account_id),
            type=GrantType.FREE,
            credits=free_credits,
            description="Free credits of the first month",
            actor=opening.actor,
            request_id=opening.request_id,
        )
        await write_grant(tx, account, order, driver=MirrorDriver.PUMP)


async def find_account(engine: AsyncEngine, account_id: str) -> Account:
    """The account with this id. Raises UnknownAccount."""
    parsed = parse_account_id(account_id)
    account = await with_transaction(engine, lambda tx: account_rows.find_account(tx, parsed), what="find account")
    if account is None:
        raise UnknownAccount(account_id)
    return account
