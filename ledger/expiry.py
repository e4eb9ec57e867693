"""Expiry: exact by the instant, booked late. Credit past its expiry is never spendable, whether booked or not."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.rules.burn_order import is_live
from ledger.store.accounts import LockedAccount
from ledger.store.grants import FilledGrant, empty_grants
from ledger.store.journal import Entry
from ledger.store.operations import Operation, claim


async def book_expired(
    tx: AsyncConnection, account: LockedAccount, filled: Sequence[FilledGrant], *, request_id: str
) -> list[Entry]:
    """Empties the account's grants that have expired, and answers with the entries that say so.

    Every transaction that changes an account begins with this, so that the journal's running balance is the
    net balance. Each entry counts from the grant's expiry (``effective_at``), not from the late moment of booking.
    """
    expired = [grant for grant in filled if not is_live(grant.expires_at, account.now)]
    await empty_grants(tx, [grant.grant_id for grant in expired])
    entries = []
    for grant in expired:
        operation_id = f"expire/{grant.operation_id}"
        await claim(
            tx,
            Operation(
                account_id=account.account_id,
                operation_id=operation_id,
                kind="expire",
                request={"grantId": str(grant.grant_id)},
                answer=None,
                actor="system",
                request_id=request_id,
            ),
        )
        entries.append(
            Entry(
                kind="expired",
                operation_id=operation_id,
                credits=-grant.balance,
                grant_id=grant.grant_id,
                price=grant.price,
                effective_at=grant.expires_at or account.now,
            )
        )
    return entries
