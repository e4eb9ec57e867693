"""Time: exact by the instant, booked late. Credit past its expiry is not spendable and a hold past its time keeps
nothing, whether booked or not.

Every transaction that changes an account begins with this, so that the journal's running balance is the net balance.
Each entry counts from the instant at which it happened (``effective_at``), not from the late moment of booking.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.rules.burn_order import is_live
from ledger.rules.burning import Purse
from ledger.rules.catching_up import TimeEvent, catch_up, next_instant
from ledger.rules.holding import Movement
from ledger.rules.money import Price
from ledger.store.accounts import LockedAccount
from ledger.store.grants import filled_grants
from ledger.store.holds import FoundHolds, due_holds, write_ends
from ledger.store.journal import Entry
from ledger.store.operations import Operation, claim


@dataclass(frozen=True)
class AccountNow:
    """How an account stands at its transaction's instant, nothing written yet.

    ``purse`` knows the grants only where something was due. ``events`` are what happened by itself since the account
    was last written, and ``next_expiry`` is the bound on when something will again.
    """

    purse: Purse
    events: list[TimeEvent]
    next_expiry: datetime | None

    @property
    def debt(self) -> int:
        """What the account owes."""
        return self.purse.debt

    @property
    def held(self) -> int:
        """What open holds keep."""
        return self.purse.held

    @property
    def balance(self) -> int:
        """What its grants have, held or not."""
        return self.purse.remaining + self.purse.held


async def look(tx: AsyncConnection, account: LockedAccount) -> AccountNow:
    """The account as it stands now. Reads its grants and holds only where time may have changed something."""
    purse = Purse([], account.balance - account.held, account.debt, 0, held=account.held)
    # The look at the grants predicate-locks their index; without need, strangers who grant would conflict.
    if is_live(account.next_expiry, account.now):
        return AccountNow(purse, [], account.next_expiry)
    purse.grants = await filled_grants(tx, account.account_id)
    due = FoundHolds()
    if account.held:
        due = await due_holds(tx, account.account_id, purse.grants, account.now)
    events = catch_up(purse, due.holds.values(), account.now)
    return AccountNow(purse, events, next_instant(purse.grants, [due.coming], account.now))


async def book(tx: AsyncConnection, account: LockedAccount, found: AccountNow, *, request_id: str) -> list[Entry]:
    """Writes what has happened by itself to the grants and holds, and answers with the entries that say so.

    The caller writes them and the account.
    """
    entries = list[Entry]()
    for event in found.events:
        await _claim(tx, account, event, request_id=request_id)
        entries += [_entry(event, movement) for movement in event.movements]
    if found.events:
        changed = {grant.grant_id: grant for event in found.events for grant in event.grants}
        lapsed = [event.hold for event in found.events if event.hold is not None]
        await write_ends(tx, account.account_id, lapsed, changed.values())
    return entries


async def _claim(tx: AsyncConnection, account: LockedAccount, event: TimeEvent, *, request_id: str) -> None:
    operation = Operation(
        account_id=account.account_id,
        operation_id=event.operation_id,
        kind=event.kind,
        request=event.request,
        answer=None,
        actor="system",
        request_id=request_id,
    )
    await claim(tx, operation)


def _entry(event: TimeEvent, movement: Movement) -> Entry:
    grant = movement.grant
    return Entry(
        kind=movement.kind,
        operation_id=event.operation_id,
        credits=movement.credits,
        grant_id=None if grant is None else grant.grant_id,
        price=None if grant is None else Price(grant.price_cents, grant.price_credits, grant.currency),
        effective_at=event.at,
        actor="system",
    )
