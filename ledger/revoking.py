"""Revocation: an operator takes back what is unspent of a grant. Once; a repeat changes nothing."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.changes import AccountChange, announce
from ledger.expiry import book_expired
from ledger.rules.errors import UnknownGrant
from ledger.store import grants as grant_rows
from ledger.store.accounts import change_account, lock_account, parse_account_id
from ledger.store.journal import Entry, Origin, write_entries
from ledger.store.operations import Operation, claim, find_operation
from ledger.transaction import with_serializable_transaction, with_transaction


@dataclass(frozen=True)
class Revocation:
    """What a revocation took back, in credits. ``replayed`` tells the first answer from its repeats."""

    operation_id: str
    grant_id: str
    revoked: int
    reason: str
    replayed: bool


async def revoke_grant(
    engine: AsyncEngine, operation_id: str, *, reason: str, actor: str, request_id: str
) -> Revocation:
    """Takes back what is unspent of the grant with this operation id.

    A repeat answers what the first call did, its reason included. Raises UnknownGrant or LedgerUnavailable.
    """
    found = await with_transaction(engine, lambda tx: grant_rows.find_grant(tx, operation_id), what="find grant")
    if found is None:
        raise UnknownGrant(operation_id)
    account_id = parse_account_id(found.account_id)
    revocation_id = f"revoke/{operation_id}"

    async def work(tx: AsyncConnection) -> tuple[Revocation, AccountChange | None]:
        account = await lock_account(tx, account_id)
        recorded = await find_operation(tx, account_id, revocation_id)
        if recorded is not None and recorded.answer is not None:
            return Revocation(operation_id=operation_id, replayed=True, **recorded.answer), None
        filled = await grant_rows.filled_grants(tx, account_id)
        entries = await book_expired(tx, account, filled, request_id=request_id)
        booked = {entry.grant_id for entry in entries}
        unspent = [each for each in filled if str(each.grant_id) == found.grant_id and each.grant_id not in booked]
        answer: dict[str, Any] = {
            "grant_id": found.grant_id,
            "revoked": sum(grant.balance for grant in unspent),
            "reason": reason,
        }
        await claim(
            tx,
            Operation(
                account_id=account_id,
                operation_id=revocation_id,
                kind="revoke",
                request={"reason": reason},
                answer=answer,
                actor=actor,
                request_id=request_id,
            ),
        )
        for grant in unspent:
            entries.append(
                Entry(
                    kind="revoked",
                    operation_id=revocation_id,
                    credits=-grant.balance,
                    grant_id=grant.grant_id,
                    price=grant.price,
                    effective_at=account.now,
                )
            )
        await grant_rows.mark_revoked(tx, UUID(found.grant_id), account.now)
        seq = await change_account(tx, account, debt=account.debt)
        origin = Origin(account_id=account_id, seq=seq, actor=actor, request_id=request_id)
        before = sum(grant.balance for grant in filled) - account.debt
        await write_entries(tx, origin, entries, balance_before=before)
        revocation = Revocation(operation_id=operation_id, replayed=False, **answer)
        return revocation, AccountChange(account_id=account_id, seq=seq)

    revocation, change = await with_serializable_transaction(engine, work, what="revoke")
    if change is not None:
        await announce(engine, change)
    return revocation
