"""Revocation: an operator takes back what is unspent of a grant. Once; a repeat changes nothing.

What a hold keeps of the grant stays until the hold closes; what it then gives back is taken too (``rules/holding.py``).
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.changes import AccountChange, announce
from ledger.expiry import AccountNow, book, look
from ledger.rules.burning import SpendableGrant
from ledger.rules.limits import MAX_REASON_LENGTH
from ledger.rules.money import Price
from ledger.rules.orders import check_text
from ledger.store import grants as grant_rows
from ledger.store.accounts import change_account, lock_account, parse_account_id
from ledger.store.journal import Entry, Origin, write_entries
from ledger.store.operations import Operation, claim
from ledger.transaction import with_serializable_transaction, with_transaction


@dataclass(frozen=True)
class Revocation:
    """What a revocation took back at once, in credits. ``replayed`` tells the first answer from its repeats."""

    operation_id: str
    grant_id: str
    revoked: int
    reason: str
    replayed: bool


async def revoke_grant(
    engine: AsyncEngine, operation_id: str, *, reason: str, actor: str, request_id: str
) -> Revocation:
    """Takes back what is unspent and not held of the grant with this operation id.

    A repeat answers what the first call did, its reason included. Raises InvalidOrder (the reason),
    UnknownGrant or LedgerUnavailable.
    """
    check_text("reason", reason, longest=MAX_REASON_LENGTH)
    grant = await with_transaction(engine, lambda tx: grant_rows.find_grant(tx, operation_id), what="find grant")
    account_id, grant_id = parse_account_id(grant.account_id), UUID(grant.grant_id)
    revocation_id = f"revoke/{operation_id}"

    async def work(tx: AsyncConnection) -> tuple[Revocation, AccountChange | None]:
        account = await lock_account(tx, account_id)
        found = await look(tx, account)
        unspent = await _unspent(tx, grant_id, found)
        revoked = 0 if unspent is None else unspent.balance - unspent.held
        operation = Operation(
            account_id=account_id,
            operation_id=revocation_id,
            kind="revoke",
            request={"reason": reason},
            answer={"grant_id": grant.grant_id, "revoked": revoked, "reason": reason},
            actor=actor,
            request_id=request_id,
        )
        recorded = await claim(tx, operation)
        if recorded is not None:
            return _revocation(operation_id, recorded, replayed=True), None
        entries = await book(tx, account, found, request_id=request_id)
        await grant_rows.mark_revoked(tx, grant_id, account.now)
        seq = await change_account(
            tx,
            account,
            debt=found.debt,
            balance=found.balance - revoked,
            held=found.held,
            next_expiry=found.next_expiry,
        )
        if unspent is not None and revoked:
            entries.append(_entry(revocation_id, unspent, revoked, account.now))
        origin = Origin(account_id=account_id, seq=seq, actor=actor, request_id=request_id)
        await write_entries(tx, origin, entries, balance_before=account.balance - account.debt)
        change = AccountChange(account_id=account_id, seq=seq)
        return _revocation(operation_id, operation, replayed=False), change

    revocation, change = await with_serializable_transaction(engine, work, what="revoke", account_id=account_id)
    if change is not None:
        await announce(engine, change)
    return revocation


async def _unspent(tx: AsyncConnection, grant_id: UUID, found: AccountNow) -> SpendableGrant | None:
    """The grant as it stands now, if anything is left of it."""
    if found.purse.grants:
        return next((grant for grant in found.purse.grants if grant.grant_id == grant_id), None)
    return await grant_rows.find_filled_grant(tx, grant_id)


def _revocation(operation_id: str, operation: Operation, *, replayed: bool) -> Revocation:
    answer = operation.answer or {}
    return Revocation(
        operation_id=operation_id,
        grant_id=answer["grant_id"],
        revoked=answer["revoked"],
        reason=answer["reason"],
        replayed=replayed,
    )


def _entry(revocation_id: str, grant: SpendableGrant, revoked: int, now: datetime) -> Entry:
    return Entry(
        kind="revoked",
        operation_id=revocation_id,
        credits=-revoked,
        grant_id=grant.grant_id,
        price=Price(grant.price_cents, grant.price_credits, grant.currency),
        effective_at=now,
    )
