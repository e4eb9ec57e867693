"""Deciding the items of a batch that are about holds, on the running numbers of their account."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ledger.demands import (
    Allocation,
    Answer,
    ExtendOrder,
    Held,
    HoldDemand,
    HoldOrder,
    Released,
    ReleaseOrder,
    Settled,
    SettleOrder,
    allocations_of,
)
from ledger.rules import holding
from ledger.rules.burning import purchased_part
from ledger.rules.errors import HoldOfAnother, UnknownHold
from ledger.rules.holding import Hold
from ledger.running import Book, Holdings
from ledger.store.consumptions import Writes


def decide_hold(book: Book, order: HoldDemand, request: str, writes: Writes) -> Answer:
    """Does what the order says and writes its rows. ``request`` is its payload as it is recorded.

    Raises InsufficientCredits, UnknownHold, HoldOfAnother, HoldClosed or LimitExceeded, with nothing changed.
    """
    if book.holdings is None:
        book.holdings = Holdings()
    match order:
        case HoldOrder():
            return _place(book, book.holdings, order, request, writes)
        case ExtendOrder():
            return _extend(book, book.holdings, order, writes)
        case SettleOrder():
            return _settle(book, book.holdings, order, request, writes)
        case ReleaseOrder():
            return _release(book, book.holdings, order, request, writes)


def _place(book: Book, holdings: Holdings, order: HoldOrder, request: str, writes: Writes) -> Held:
    now = book.spender.now
    hold = holding.place(book.purse, order.operation_id, order.credits, order.ttl_seconds, order.made_by, now)
    book.begin(order, writes)
    book.touch(grant for grant, _ in hold.parts)
    holdings.known[order.operation_id] = holdings.placed[order.operation_id] = hold
    held = _held(book, hold)
    answer = {"expiresAt": _text(hold.held_until), "createdAt": _text(hold.created_at), "held": held.held}
    _record(book, order, order.operation_id, "hold", request, held, answer, writes)
    return held


def _extend(book: Book, holdings: Holdings, order: ExtendOrder, writes: Writes) -> Held:
    hold = _known(holdings, order)
    holding.extend(hold, order.ttl_seconds, book.spender.now)
    # It counts as a change, so that a batch that has read the hold before is decided anew.
    book.begin(order, writes)
    holdings.note(hold)
    return _held(book, hold)


def _settle(book: Book, holdings: Holdings, order: SettleOrder, request: str, writes: Writes) -> Settled:
    hold = _known(holdings, order)
    settlement = holding.settle(book.purse, hold, order.credits, book.spender.now)
    operation_id = f"settle/{order.operation_id}"
    book.begin(order, writes)
    book.used += order.credits
    book.touch(grant for grant, _ in (*settlement.drawn, *hold.parts))
    book.enter(operation_id, order, settlement.movements, writes)
    holdings.note(hold)
    settled = Settled(
        operation_id=order.operation_id,
        consumed=order.credits,
        from_purchased=purchased_part(settlement.drawn),
        allocations=allocations_of(settlement.drawn),
        debt_incurred=settlement.debt_incurred,
        given_back=settlement.given_back,
        debt=book.purse.debt,
        remaining=book.purse.remaining,
        net=book.purse.net,
        replayed=False,
    )
    answer = {
        "fromPurchased": settled.from_purchased,
        "debtIncurred": settled.debt_incurred,
        "givenBack": settled.given_back,
    }
    _record(book, order, operation_id, "settle", request, settled, answer, writes)
    return settled


def _release(book: Book, holdings: Holdings, order: ReleaseOrder, request: str, writes: Writes) -> Released:
    hold = _known(holdings, order)
    given_back, movements = holding.release(book.purse, hold, book.spender.now)
    operation_id = f"release/{order.operation_id}"
    book.begin(order, writes)
    book.touch(grant for grant, _ in hold.parts)
    book.enter(operation_id, order, movements, writes)
    holdings.note(hold)
    purse = book.purse
    released = Released(order.operation_id, given_back, purse.debt, purse.remaining, purse.net, replayed=False)
    _record(book, order, operation_id, "release", request, released, {"givenBack": given_back}, writes)
    return released


def _known(holdings: Holdings, order: HoldDemand) -> Hold:
    hold = holdings.known.get(order.operation_id)
    if hold is None:
        raise UnknownHold(order.operation_id)
    if hold.made_by != order.made_by:
        raise HoldOfAnother(order.operation_id, made_by=hold.made_by)
    return hold


def _held(book: Book, hold: Hold) -> Held:
    return Held(
        operation_id=hold.operation_id,
        credits=hold.credits,
        held=book.purse.held,
        state=str(hold.state),
        expires_at=hold.held_until,
        created_at=hold.created_at,
        allocations=allocations_of(hold.parts),
        debt=book.purse.debt,
        remaining=book.purse.remaining,
        net=book.purse.net,
        replayed=False,
    )


def _record(
    book: Book,
    order: HoldDemand,
    operation_id: str,
    kind: str,
    request: str,
    outcome: Held | Settled | Released,
    answer: dict[str, Any],
    writes: Writes,
) -> None:
    """Claims the operation, with the answer that repeats are given; :func:`recorded_answer` reads it."""
    answer |= {"debt": outcome.debt, "remaining": outcome.remaining, "net": outcome.net}
    if not isinstance(outcome, Released):
        answer["allocations"] = [
            [each.grant_id, each.operation_id, each.type, each.credits] for each in outcome.allocations
        ]
    account_id = book.spender.account_id
    text = json.dumps(answer, separators=(",", ":"))
    writes.operations.append((operation_id, account_id, kind, request, text, order.actor, order.request_id))


def recorded_answer(order: HoldDemand, answer: Mapping[str, Any], *, replayed: bool) -> Answer:
    """The first answer to the order once more."""
    after = {"debt": answer["debt"], "remaining": answer["remaining"], "net": answer["net"], "replayed": replayed}
    match order:
        case HoldOrder():
            return Held(
                operation_id=order.operation_id,
                credits=order.credits,
                held=answer["held"],
                state=str(holding.HoldState.OPEN),
                expires_at=datetime.fromisoformat(answer["expiresAt"]),
                created_at=datetime.fromisoformat(answer["createdAt"]),
                allocations=tuple(Allocation(*each) for each in answer["allocations"]),
                **after,
            )
        case SettleOrder():
            return Settled(
                operation_id=order.operation_id,
                consumed=order.credits,
                from_purchased=answer["fromPurchased"],
                allocations=tuple(Allocation(*each) for each in answer["allocations"]),
                debt_incurred=answer["debtIncurred"],
                given_back=answer["givenBack"],
                **after,
            )
        case ReleaseOrder():
            return Released(order.operation_id, answer["givenBack"], **after)
        case ExtendOrder():
            raise AssertionError("an extension claims no operation")


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
