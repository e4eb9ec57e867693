"""Expiry: exact by the instant, booked late. Credit past its expiry is never spendable, whether booked or not."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.rules.burn_order import is_live
from ledger.store.accounts import LockedAccount
from ledger.store.grants import FilledGrant, empty_grants, filled_grants
from ledger.store.journal import Entry
from ledger.store.operations import Operation, claim


@dataclass(frozen=True)
class BookedExpiry:
    """What has been booked, and how the account stands after it: what its grants hold, and when the next expires."""

    entries: list[Entry]
    balance: int
    next_expiry: datetime | None


async def book_expired(tx: AsyncConnection, account: LockedAccount, *, request_id: str) -> BookedExpiry:
    """Empties the account's grants that have expired, and answers with the entries that say so.

    Every transaction that changes an account begins with this, so that the journal's running balance is the
    net balance. Each entry counts from the grant's expiry (``effective_at``), not from the late moment of booking.
    """
    # The look at the grants predicate-locks their index; without need, strangers who grant would conflict.
    if is_live(account.next_expiry, account.now):
        return BookedExpiry([], account.balance, account.next_expiry)
    filled = await filled_grants(tx, account.account_id)
    expired = sorted((grant for grant in filled if not is_live(grant.expires_at, account.now)), key=_when)
    await empty_grants(tx, [grant.grant_id for grant in expired])
    entries = [await _entry(tx, account, grant, request_id=request_id) for grant in expired]
    coming = (grant.expires_at for grant in filled if grant.expires_at and is_live(grant.expires_at, account.now))
    return BookedExpiry(entries, account.balance - sum(grant.balance for grant in expired), min(coming, default=None))


async def _entry(tx: AsyncConnection, account: LockedAccount, grant: FilledGrant, *, request_id: str) -> Entry:
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
    return Entry(
        kind="expired",
        operation_id=operation_id,
        credits=-grant.balance,
        grant_id=grant.grant_id,
        price=grant.price,
        effective_at=grant.expires_at or account.now,
        actor="system",
    )


def _when(grant: FilledGrant) -> tuple[bool, datetime, str]:
    return grant.expires_at is None, grant.expires_at or grant.created_at, str(grant.grant_id)


def earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    """The earlier of two expiries, of which None is never."""
    return min((each for each in (one, other) if each is not None), default=None)
