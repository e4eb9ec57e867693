"""Deciding a batch of consumptions: each item by the pure rule, in the order of arrival, on balances that run."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from ledger.expiry import request_of
from ledger.rules.burn_order import is_live
from ledger.rules.burning import Burned, OnInsufficient, Purse, SpendableGrant
from ledger.rules.catching_up import TimeEvent, catch_up, next_instant
from ledger.rules.errors import IdempotencyConflict, UnknownAccount
from ledger.rules.holding import Movement
from ledger.store.consumptions import RecordedOperation, Spender, Writes


@dataclass(frozen=True, slots=True)
class ConsumeOrder:
    """A demand for credits. ``request_id`` is never the same for two calls; by it a call knows its own work again."""

    account_id: str
    operation_id: str
    credits: int
    on_insufficient: OnInsufficient = OnInsufficient.REFUSE
    description: str | None = None
    actor: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Allocation:
    """What one grant paid for an operation. ``operation_id`` is the one that the grant was made under."""

    grant_id: str
    operation_id: str
    type: str
    credits: int


@dataclass(frozen=True, slots=True)
class Consumed:
    """The answer to a consumption, in credits. ``consumed`` is the sum of the allocations and ``debt_incurred``.

    ``from_purchased`` is the part from purchases and rollovers. ``debt``, ``remaining`` and ``net`` are the account's
    after it. ``replayed`` tells the first answer from its repeats.
    """

    operation_id: str
    consumed: int
    from_purchased: int
    allocations: tuple[Allocation, ...]
    debt_incurred: int
    debt: int
    remaining: int
    net: int
    replayed: bool


@dataclass(slots=True, eq=False)
class Item:
    """An order in a batch, with its payload as it is recorded, in JSON.

    ``key`` is what the operation is known by: account and operation id. ``may_be_written``: an earlier attempt was
    sent, and nobody knows what became of it.
    """

    order: ConsumeOrder
    key: tuple[str, str]
    request: str
    may_be_written: bool = False

    @classmethod
    def of(cls, order: ConsumeOrder) -> "Item":
        """The item of an order whose form has been checked."""
        # By hand: it is made once per consumption.
        description = "null" if order.description is None else json.dumps(order.description)
        request = (
            f'{{"credits":{order.credits:d},"onInsufficient":"{order.on_insufficient}","description":{description}}}'
        )
        return cls(order, (order.account_id, order.operation_id), request)


Outcome = Consumed | Exception


@dataclass(slots=True)
class Decision:
    """What becomes of each item, what is to be written for it, and the accounts' new change numbers."""

    outcomes: dict[Item, Outcome]
    writes: Writes
    changes: dict[UUID, int]


def decide(spenders: Mapping[str, Spender], items: Iterable[Item]) -> Decision:
    """Judges the items one after another. Whatever goes wrong with one is that one's outcome alone."""
    writes = Writes()
    books: dict[str, _Book] = {}
    accepted: dict[tuple[str, str], tuple[Item, Consumed]] = {}
    outcomes: dict[Item, Outcome] = {}
    for item in items:
        try:
            first = accepted.get(item.key)
            if first is not None:
                outcomes[item] = _repeated(item, *first)
                continue
            account_id = item.order.account_id
            book = books.get(account_id)
            if book is None:
                book = books[account_id] = _Book.opened(spenders, account_id)
            consumed = book.consume(item, writes)
        except Exception as error:
            outcomes[item] = error
        else:
            accepted[item.key] = item, consumed
            outcomes[item] = consumed
    for book in books.values():
        book.close(writes)
    return Decision(outcomes, writes, {book.spender.account_id: book.seq for book in books.values() if book.changed})


def answer_recorded(item: Item, recorded: RecordedOperation) -> Outcome:
    """The first answer once more, or the conflict."""
    order = item.order
    if recorded.kind != "consume" or recorded.request != json.loads(item.request) or recorded.answer is None:
        return IdempotencyConflict(order.operation_id)
    answer = recorded.answer
    return Consumed(
        operation_id=order.operation_id,
        consumed=order.credits,
        from_purchased=answer["fromPurchased"],
        allocations=tuple(Allocation(*each) for each in answer["allocations"]),
        debt_incurred=answer["debtIncurred"],
        debt=answer["debt"],
        remaining=answer["remaining"],
        net=answer["remaining"] + answer.get("held", 0) - answer["debt"],
        # A call that finds its own work was not acknowledged; it is the first to be answered.
        replayed=not (item.may_be_written and recorded.request_id == order.request_id),
    )


def _repeated(item: Item, first: Item, consumed: Consumed) -> Outcome:
    if first.request != item.request:
        return IdempotencyConflict(item.order.operation_id)
    return replace(consumed, replayed=True)


@dataclass(slots=True)
class _Book:
    """One account in the batch, as it stands after the items that have been decided."""

    spender: Spender
    purse: Purse
    events: list[TimeEvent]
    seq: int
    used: int = 0
    burned: dict[UUID, SpendableGrant] = field(default_factory=dict)

    @classmethod
    def opened(cls, spenders: Mapping[str, Spender], account_id: str) -> "_Book":
        spender = spenders.get(account_id)
        if spender is None:
            raise UnknownAccount(account_id)
        purse = Purse(spender.grants, spender.balance - spender.held, spender.debt, spender.debt_cap, held=spender.held)
        # The account knows a bound on its next expiry: before it, there is nothing to look for.
        if is_live(spender.next_expiry, spender.now):
            return cls(spender, purse, [], spender.seq)
        return cls(spender, purse, catch_up(purse, (), spender.now), spender.seq)

    @property
    def changed(self) -> bool:
        """Whether anything was accepted. A refusal writes nothing, not even an expiry."""
        return self.seq > self.spender.seq

    def consume(self, item: Item, writes: Writes) -> Consumed:
        """Takes the credits and writes the rows. Raises InsufficientCredits, with nothing changed."""
        order, purse, account_id = item.order, self.purse, self.spender.account_id
        burned = purse.burn(order.credits, order.on_insufficient)
        consumed = _answer(order, purse, burned)
        if not self.changed:
            self._book_events(order, writes)
        self.seq += 1
        self.used += order.credits
        self._enter(order, burned, writes)
        answer = _answer_json(consumed)
        writes.operations.append(
            (account_id, order.operation_id, "consume", item.request, answer, order.actor, order.request_id)
        )
        return consumed

    def _enter(self, order: ConsumeOrder, burned: Burned, writes: Writes) -> None:
        account_id, seq, operation_id = self.spender.account_id, self.seq, order.operation_id
        actor, request_id = order.actor, order.request_id
        net = self.purse.net + order.credits
        for grant, credits in burned.drawn:
            net -= credits
            self.burned[grant.grant_id] = grant
            writes.entries.append(
                (
                    *(account_id, seq, "consumed", operation_id, grant.grant_id, -credits, net, actor, request_id),
                    *(grant.price_cents, grant.price_credits, grant.currency, None),
                )
            )
        if burned.debt_incurred:
            writes.entries.append(
                (
                    *(account_id, seq, "debt-incurred", operation_id, None, -burned.debt_incurred, self.purse.net),
                    *(actor, request_id, None, None, None, None),
                )
            )

    def _book_events(self, order: ConsumeOrder, writes: Writes) -> None:
        """As ``ledger/expiry.py`` does: before anything else, and counting from the instants of the events."""
        account_id = self.spender.account_id
        net = self.spender.balance - self.spender.debt
        for event in self.events:
            request = json.dumps(request_of(event))
            writes.operations.append(
                (account_id, event.operation_id, event.kind, request, None, "system", order.request_id)
            )
            for movement in event.movements:
                net += movement.credits
                writes.entries.append(
                    (
                        *(account_id, self.seq + 1, movement.kind, event.operation_id),
                        *_of_grant(movement, net, "system", order.request_id, event.at),
                    )
                )
            self.burned |= {grant.grant_id: grant for grant in event.grants}

    def close(self, writes: Writes) -> None:
        """Writes what the account and its grants have come to."""
        if not self.changed:
            return
        writes.grants.extend((grant.grant_id, grant.balance) for grant in self.burned.values())
        spender, purse = self.spender, self.purse
        writes.accounts.append(
            (
                *(spender.account_id, spender.seq, self.seq, purse.debt, purse.remaining + purse.held, self.used),
                self._next_expiry(),
            )
        )

    def _next_expiry(self) -> datetime | None:
        if is_live(self.spender.next_expiry, self.spender.now):
            return self.spender.next_expiry
        return next_instant(self.purse.grants, (), self.spender.now)


def _of_grant(movement: Movement, net: int, actor: str, request_id: str, at: datetime) -> tuple[Any, ...]:
    grant = movement.grant
    head = (None if grant is None else grant.grant_id, movement.credits, net, actor, request_id)
    price = (None, None, None) if grant is None else (grant.price_cents, grant.price_credits, grant.currency)
    return (*head, *price, at)


def _answer(order: ConsumeOrder, purse: Purse, burned: Burned) -> Consumed:
    return Consumed(
        operation_id=order.operation_id,
        consumed=order.credits,
        from_purchased=burned.from_purchased,
        allocations=tuple(
            Allocation(str(grant.grant_id), grant.operation_id, str(grant.type), credits)
            for grant, credits in burned.drawn
        ),
        debt_incurred=burned.debt_incurred,
        debt=purse.debt,
        remaining=purse.remaining,
        net=purse.net,
        replayed=False,
    )


def _answer_json(consumed: Consumed) -> str:
    """What a repeat is answered from; :func:`answer_recorded` reads it. By hand: it is made once per consumption."""
    # Ids and types are printable ASCII; of that, JSON escapes two characters.
    allocations = ",".join(
        f'["{each.grant_id}","{_escaped(each.operation_id)}","{each.type}",{each.credits}]'
        for each in consumed.allocations
    )
    held = consumed.net + consumed.debt - consumed.remaining
    # Few accounts hold anything.
    more = f',"held":{held}' if held else ""
    return (
        f'{{"fromPurchased":{consumed.from_purchased},"allocations":[{allocations}],'
        f'"debtIncurred":{consumed.debt_incurred},"debt":{consumed.debt},"remaining":{consumed.remaining}{more}}}'
    )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
