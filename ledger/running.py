"""One account in a batch, as it stands after the items that have been decided, and the rows that say so."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from ledger.demands import Order
from ledger.rules.burn_order import is_live
from ledger.rules.burning import Purse, SpendableGrant
from ledger.rules.catching_up import TimeEvent, catch_up, earlier, next_instant
from ledger.rules.holding import Hold, HoldState, Movement
from ledger.store.consumptions import Spender, Writes
from ledger.store.holds import FoundHolds


@dataclass(slots=True)
class Holdings:
    """The holds of an account that a batch has to do with, by operation id: ``known`` are those that it has read or
    placed, ``placed`` and ``moved`` those that it writes. ``coming`` is when the next of the others lapses."""

    known: dict[str, Hold] = field(default_factory=dict)
    coming: datetime | None = None
    placed: dict[str, Hold] = field(default_factory=dict)
    moved: dict[str, Hold] = field(default_factory=dict)

    def note(self, hold: Hold) -> None:
        """Notes that the hold has changed."""
        if hold.operation_id not in self.placed:
            self.moved[hold.operation_id] = hold


@dataclass(slots=True)
class Book:
    """An account's running numbers. ``events`` are what time alone has changed; they are written with the first item
    that is accepted. Few accounts have ``holdings``."""

    spender: Spender
    purse: Purse
    seq: int
    events: Sequence[TimeEvent] = ()
    used: int = 0
    touched: dict[UUID, SpendableGrant] = field(default_factory=dict)
    holdings: Holdings | None = None

    @classmethod
    def opened(cls, spender: Spender, found: FoundHolds | None) -> "Book":
        """The account as it stands at the instant of the reading; ``found`` are its holds, where they were read."""
        held = spender.held
        purse = Purse(spender.grants, spender.balance - held, spender.debt, spender.debt_cap, held)
        book = cls(spender, purse, spender.seq)
        if found is not None:
            book.holdings = Holdings(found.holds, found.coming)
        # The account knows a bound on when time changes something: before it, there is nothing to look for.
        if not is_live(spender.next_expiry, spender.now):
            holds = () if found is None else found.holds.values()
            book.events = catch_up(purse, [hold for hold in holds if hold.state is HoldState.OPEN], spender.now)
        return book

    @property
    def changed(self) -> bool:
        """Whether anything was accepted. A refusal writes nothing, not even an expiry."""
        return self.seq > self.spender.seq

    @property
    def crossed(self) -> bool:
        """Whether something was spent, and has left the net balance below the threshold of auto top-up."""
        threshold = self.spender.topup_threshold
        return self.used > 0 and threshold is not None and self.purse.net < threshold

    def begin(self, order: Order, writes: Writes) -> None:
        """Counts a change that ``order`` makes; before the first of them, books what has happened by itself."""
        if self.events and not self.changed:
            self._book_events(order, writes)
        self.seq += 1

    def enter(self, operation_id: str, order: Order, movements: Iterable[Movement], writes: Writes) -> None:
        """Writes the entries of movements that have just been made."""
        movements = list(movements)
        net = self.purse.net - sum(movement.credits for movement in movements)
        origin = (order.actor, order.request_id)
        for movement in movements:
            net += movement.credits
            writes.entries.append(self._entry(self.seq, operation_id, movement, net, origin, None))

    def _book_events(self, order: Order, writes: Writes) -> None:
        """As ``ledger/expiry.py`` does: before anything else, and counting from the instants of the events."""
        account_id = self.spender.account_id
        origin = ("system", order.request_id)
        net = self.spender.balance - self.spender.debt
        for event in self.events:
            writes.operations.append(
                (event.operation_id, account_id, event.kind, json.dumps(event.request), None, *origin)
            )
            for movement in event.movements:
                net += movement.credits
                entry = self._entry(self.seq + 1, event.operation_id, movement, net, origin, event.at)
                writes.entries.append(entry)
            self.touch(event.grants)
            if event.hold is not None and self.holdings is not None:
                self.holdings.note(event.hold)

    def _entry(
        self,
        seq: int,
        operation_id: str,
        movement: Movement,
        net: int,
        origin: tuple[str, str],
        effective_at: datetime | None,
    ) -> tuple[Any, ...]:
        grant = movement.grant
        head = (operation_id, self.spender.account_id, seq, movement.kind)
        if grant is None:
            return (*head, None, movement.credits, net, *origin, None, None, None, effective_at)
        price = (grant.price_cents, grant.price_credits, grant.currency)
        return (*head, grant.grant_id, movement.credits, net, *origin, *price, effective_at)

    def touch(self, grants: Iterable[SpendableGrant]) -> None:
        """Notes that these grants' numbers have changed."""
        for grant in grants:
            self.touched[grant.grant_id] = grant

    def close(self, writes: Writes) -> None:
        """Writes what the account, its grants and its holds have come to."""
        if not self.changed:
            return
        spender, purse = self.spender, self.purse
        account_id = spender.account_id
        writes.grants.extend((grant.grant_id, grant.balance, grant.held) for grant in self.touched.values())
        balance = purse.remaining + purse.held
        writes.accounts.append(
            (account_id, spender.seq, self.seq, purse.debt, balance, self.used, self._next_expiry(), purse.held)
        )
        if self.holdings is not None:
            for hold in self.holdings.placed.values():
                writes.holds.place(account_id, hold)
            for hold in self.holdings.moved.values():
                writes.holds.change(account_id, hold)

    def left(self) -> Spender:
        """The account as it has been written, for the next batch; where only consumption has taken from it."""
        purse, spender = self.purse, self.spender
        return Spender(
            account_id=spender.account_id,
            debt=purse.debt,
            debt_cap=purse.debt_cap,
            balance=purse.remaining + purse.held,
            held=purse.held,
            next_expiry=spender.next_expiry,
            seq=self.seq,
            topup_threshold=spender.topup_threshold,
            now=spender.now,
            grants=purse.rest(),
        )

    def _next_expiry(self) -> datetime | None:
        bound, holdings = self.spender.next_expiry, self.holdings
        if not is_live(bound, self.spender.now):
            bound = next_instant(self.purse.grants, [holdings.coming] if holdings else (), self.spender.now)
        if holdings is not None:
            for hold in holdings.placed.values():
                bound = earlier(bound, hold.held_until)
        return bound
