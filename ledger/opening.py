"""Accounts are opened here; a user's first free grant comes in the same transaction."""

import secrets
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from uuid_utils.compat import uuid7

from ledger.granting import claim_grant, write_grant
from ledger.rules.errors import ExternalIdConflict, UnknownAccount
from ledger.rules.limits import DEFAULT_DEBT_CAP, DEFAULT_FREE_CREDITS
from ledger.rules.money import Price
from ledger.rules.orders import check_account
from ledger.rules.reset_dates import next_reset_after
from ledger.store import accounts as account_rows
from ledger.store.accounts import Account, LockedAccount, NewAccount, parse_account_id
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

    A repeated external id answers with the account that has it. Raises InvalidOrder, ExternalIdConflict for an
    external id of the other kind, or LedgerUnavailable.
    """
    check_account(
        kind=opening.kind,
        name=opening.name,
        email=opening.email,
        external_id=opening.external_id,
        free_credits=opening.free_credits,
    )
    account_id = uuid7()
    if opening.external_id is not None and (known := await _known(engine, opening, account_id)) is not None:
        return known
    try:
        account = await with_serializable_transaction(
            engine, lambda tx: _write(tx, account_id, opening), what="open account"
        )
    except IntegrityError:
        # Somebody opened it between our look and our write; or we did, and the answer to our commit was lost.
        known = await _known(engine, opening, account_id)
        if known is None:
            raise
        return known
    return OpenedAccount(account, created=True)


async def _known(engine: AsyncEngine, opening: Opening, account_id: UUID) -> OpenedAccount | None:
    """The account if it is there. It is looked for outside the transaction that opens one: a look at a free id
    predicate-locks its neighbours in the index, and strangers who sign up at the same time would conflict."""

    async def work(tx: AsyncConnection) -> OpenedAccount | None:
        own = await account_rows.find_account(tx, account_id)
        if own is not None:
            return OpenedAccount(own, created=True)
        if opening.external_id is None:
            return None
        found = await account_rows.find_account_by_external_id(tx, opening.external_id)
        return None if found is None else OpenedAccount(found, created=False)

    known = await with_transaction(engine, work, what="find account")
    if known is not None and known.account.kind != opening.kind:
        raise ExternalIdConflict(opening.external_id or "", known.account.kind)
    return known


async def _write(tx: AsyncConnection, account_id: UUID, opening: Opening) -> Account:
    now = await account_rows.read_clock(tx)
    default = DEFAULT_FREE_CREDITS if opening.kind == "user" else 0
    new = NewAccount(
        account_id=account_id,
        kind=opening.kind,
        name=opening.name,
        email=opening.email,
        external_id=opening.external_id,
        referral_code=f"ref-{secrets.token_hex(8)}",
        free_credits=default if opening.free_credits is None else opening.free_credits,
        debt_cap=DEFAULT_DEBT_CAP,
        price=Price(),
        created_at=now,
        next_reset=next_reset_after(now, now.day),
        reset_anchor_day=now.day,
    )
    await account_rows.insert_account(tx, new)
    if new.kind == "user" and new.free_credits:
        await _grant_first_credits(tx, new, opening)
    return Account(
        account_id=str(account_id),
        kind=new.kind,
        name=new.name,
        email=new.email,
        external_id=new.external_id,
        stripe_customer_id=None,
        next_reset=new.next_reset,
        referral_code=new.referral_code,
        created_at=now,
        default_payment_method=None,
    )


async def _grant_first_credits(tx: AsyncConnection, new: NewAccount, opening: Opening) -> None:
    account = LockedAccount.just_opened(new)
    order = GrantOrder(
        operation_id=f"free-{new.account_id}-{new.created_at:%Y%m%dT%H%M%SZ}",
        account_id=str(new.account_id),
        type=GrantType.FREE,
        credits=new.free_credits,
        description="Free credits of the first month",
        actor=opening.actor,
        request_id=opening.request_id,
    )
    await claim_grant(tx, account, order)
    await write_grant(tx, account, order, driver=MirrorDriver.PUMP)


async def find_account(engine: AsyncEngine, account_id: str) -> Account:
    """The account with this id. Raises UnknownAccount."""
    parsed = parse_account_id(account_id)
    account = await with_transaction(engine, lambda tx: account_rows.find_account(tx, parsed), what="find account")
    if account is None:
        raise UnknownAccount(account_id)
    return account
