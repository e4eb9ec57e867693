"""Deciding a batch: each item by the pure rules, in the order of arrival, on balances that run."""

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from ledger.deciding_holds import decide_hold, recorded_answer
from ledger.demands import (
    Allocation,
    Answer,
    Consumed,
    ConsumeOrder,
    ExtendOrder,
    HoldDemand,
    HoldOrder,
    Order,
    Outcome,
    ReleaseOrder,
    SettleOrder,
    allocations_of,
)
from ledger.rules.burning import Burned, Purse
from ledger.rules.errors import HoldOfAnother, IdempotencyConflict, UnknownAccount
from ledger.rules.limits import MAX_CREDITS_PER_ACCOUNT
from ledger.running import Book
from ledger.store.consumptions import RecordedOperation, Spender, Writes
from ledger.store.holds import FoundHolds

# Closing a hold may touch any of the account's grants.
_ALL = MAX_CREDITS_PER_ACCOUNT
_extensions = itertools.count()


@dataclass(slots=True, eq=False)
class Item:
    """An order in a batch, with its payload as it is recorded, in JSON.

    ``kind`` and ``key`` (account and id) are those of the operation that it makes. ``demand`` says how many credits of
    the account's grants are wanted at most, and ``hold`` names the hold that it is about, if it is about an earlier
    one. ``may_be_written``: an earlier attempt was sent, and nobody knows what became of it.
    """

    order: Order
    kind: str
    key: tuple[str, str]
    request: str
    demand: int
    hold: str | None = None
    may_be_written: bool = False

    @classmethod
    def of(cls, order: ConsumeOrder) -> "Item":
        """The item of an order whose form has been checked."""
        # By hand: it is made once per consumption.
        description = "null" if order.description is None else json.dumps(order.description)
        request = (
            f'{{"credits":{order.credits:d},"onInsufficient":"{order.on_insufficient}","description":{description}}}'
        )
        return cls(order, "consume", (order.account_id, order.operation_id), request, order.credits)

    @classmethod
    def of_hold(cls, order: HoldDemand) -> "Item":
        """The item of an order about a hold whose form has been checked."""
        account_id, operation_id = order.account_id, order.operation_id
        if isinstance(order, HoldOrder):
            request = {"credits": order.credits, "ttlSeconds": order.ttl_seconds, "madeBy": order.made_by}
            return cls(order, "hold", (account_id, operation_id), json.dumps(request), order.credits)
        if isinstance(order, ExtendOrder):
            # It claims nothing: it may come any number of times, and each counts.
            return cls(order, "extend", (account_id, f"extend/{next(_extensions)}"), "{}", _ALL, operation_id)
        kind, cost = ("release", {}) if isinstance(order, ReleaseOrder) else ("settle", {"credits": order.credits})
        payload = json.dumps({**cost, "madeBy": order.made_by})
        return cls(order, kind, (account_id, f"{kind}/{operation_id}"), payload, _ALL, operation_id)


@dataclass(slots=True)
class Decision:
    """What becomes of each item, what is to be written for it, the accounts' new change numbers, and how they stand."""

    outcomes: dict[Item, Outcome]
    writes: Writes
    changes: dict[UUID, int]
    books: dict[str, Book]

    @property
    def crossings(self) -> list[str]:
        """The accounts that this batch has left below the thresholds of their auto top-ups."""
        return [account_id for account_id, book in self.books.items() if book.crossed]


def decide(spenders: Mapping[str, Spender], holds: Mapping[str, FoundHolds], items: Iterable[Item]) -> Decision:
    """Judges the items one after another. Whatever goes wrong with one is that one's outcome alone.

    ``holds`` are those that fell due and those that an item names, of the accounts that have any.
    """
    writes = Writes()
    books: dict[str, Book] = {}
    accepted: dict[tuple[str, str], tuple[Item, Answer]] = {}
    outcomes: dict[Item, Outcome] = {}
    answer: Answer
    for item in items:
        try:
            first = accepted.get(item.key)
            if first is not None:
                outcomes[item] = _repeated(item, *first)
                continue
            order = item.order
            book = books.get(order.account_id)
            if book is None:
                spender = spenders.get(order.account_id)
                if spender is None:
                    raise UnknownAccount(order.account_id)
                book = books[order.account_id] = Book.opened(spender, holds.get(order.account_id))
            if isinstance(order, ConsumeOrder):
                answer = _consume(book, order, item.request, writes)
            else:
                answer = decide_hold(book, order, item.request, writes)
        except Exception as error:
            outcomes[item] = error
        else:
            accepted[item.key] = item, answer
            outcomes[item] = answer
    for book in books.values():
        book.close(writes)
    changes = {book.spender.account_id: book.seq for book in books.values() if book.changed}
    return Decision(outcomes, writes, changes, books)


def answer_recorded(item: Item, recorded: RecordedOperation) -> Outcome:
    """The first answer once more, or the conflict."""
    order, answer = item.order, recorded.answer
    if isinstance(order, SettleOrder | ReleaseOrder) and recorded.request.get("madeBy") != order.made_by:
        return HoldOfAnother(order.operation_id, made_by=recorded.request["madeBy"])
    if recorded.kind != item.kind or recorded.request != json.loads(item.request) or answer is None:
        return IdempotencyConflict(order.operation_id)
    # A call that finds its own work was not acknowledged; it is the first to be answered.
    replayed = not (item.may_be_written and recorded.request_id == order.request_id)
    if not isinstance(order, ConsumeOrder):
        return recorded_answer(order, answer, replayed=replayed)
    return Consumed(
        operation_id=order.operation_id,
        consumed=order.credits,
        from_purchased=answer["fromPurchased"],
        allocations=tuple(Allocation(*each) for each in answer["allocations"]),
        debt_incurred=answer["debtIncurred"],
        debt=answer["debt"],
        remaining=answer["remaining"],
        net=answer["remaining"] + answer.get("held", 0) - answer["debt"],
        replayed=replayed,
    )


def _repeated(item: Item, first: Item, answer: Answer) -> Outcome:
    order, done = item.order, first.order
    closing = SettleOrder | ReleaseOrder
    if isinstance(order, closing) and isinstance(done, closing) and order.made_by != done.made_by:
        return HoldOfAnother(order.operation_id, made_by=done.made_by)
    # Payloads of two kinds are never the same.
    if first.request != item.request:
        return IdempotencyConflict(item.order.operation_id)
    return replace(answer, replayed=True)


def _consume(book: Book, order: ConsumeOrder, request: str, writes: Writes) -> Consumed:
    """Takes the credits and writes the rows. Raises InsufficientCredits, with nothing changed."""
    purse, account_id = book.purse, book.spender.account_id
    burned = purse.burn(order.credits, order.on_insufficient)
    consumed = _answer(order, purse, burned)
    book.begin(order, writes)
    book.used += order.credits
    _enter(book, order, burned, writes)
    answer = _answer_json(consumed, purse.held)
    writes.operations.append(
        (order.operation_id, account_id, "consume", request, answer, order.actor, order.request_id)
    )
    return consumed


def _enter(book: Book, order: ConsumeOrder, burned: Burned, writes: Writes) -> None:
    """As ``Book.enter`` does, without what a consumption does not need: it is made once per consumption."""
    account_id, seq, operation_id = book.spender.account_id, book.seq, order.operation_id
    actor, request_id = order.actor, order.request_id
    net = book.purse.net + order.credits
    for grant, credits in burned.drawn:
        net -= credits
        book.touched[grant.grant_id] = grant
        writes.entries.append(
            (
                *(operation_id, account_id, seq, "consumed", grant.grant_id, -credits, net, actor, request_id),
                *(grant.price_cents, grant.price_credits, grant.currency, None),
            )
        )
    if burned.debt_incurred:
        writes.entries.append(
            (
                *(operation_id, account_id, seq, "debt-incurred", None, -burned.debt_incurred, book.purse.net),
                *(actor, request_id, None, None, None, None),
            )
        )


def _answer(order: ConsumeOrder, purse: Purse, burned: Burned) -> Consumed:
    return Consumed(
        operation_id=order.operation_id,
        consumed=order.credits,
        from_purchased=burned.from_purchased,
        allocations=allocations_of(burned.drawn),
        debt_incurred=burned.debt_incurred,
        debt=purse.debt,
        remaining=purse.remaining,
        net=purse.net,
        replayed=False,
    )


def _answer_json(consumed: Consumed, held: int) -> str:
    """What a repeat is answered from; :func:`answer_recorded` reads it. By hand: it is made once per consumption."""
    # Ids and types are printable ASCII; of that, JSON escapes two characters.
    allocations = ",".join(
        f'["{each.grant_id}","{_escaped(each.operation_id)}","{each.type}",{each.credits}]'
        for each in consumed.allocations
    )
    # Few accounts hold anything.
    more = f',"held":{held}' if held else ""
    return (
        f'{{"fromPurchased":{consumed.from_purchased},"allocations":[{allocations}],'
        f'"debtIncurred":{consumed.debt_incurred},"debt":{consumed.debt},"remaining":{consumed.remaining}{more}}}'
    )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
