"""Was it as if one call had come after the other? The check of recorded histories.

For each account it looks for an order of the calls in which the model, which knows no concurrency, gives every caller
exactly the answer that it was given. The order must keep to the clock: whoever was answered before another began comes
before it (strict serializability). Where the journal names the change of a call, the order must be the journal's.
Accounts are judged one by one: no call touches two.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from tests.proof.calls import UNAVAILABLE, Answer, Heard, is_change
from tests.proof.judging import ModelLedger

# Histories of ours need a try for each call and a few more. One that needs more is no history of a ledger.
TRIES_PER_CALL = 400


class NotSerializable(AssertionError):
    """No order of the calls explains what their callers were told."""


@dataclass
class _Place:
    """A point of the search: where the model stands, what has been put in order, and what has not."""

    model: ModelLedger
    done: tuple[Heard, ...]
    pending: tuple[Heard, ...]
    next_calls: Iterator[tuple[Heard, ModelLedger]]


def find_order(start: ModelLedger, heard: Sequence[Heard], now: datetime) -> ModelLedger:
    """Where the model stands after all calls, each in its place. Raises NotSerializable.

    The clock of the ledger stands still at ``now`` meanwhile. ``start`` is not changed.
    """
    ended = start.copy()
    by_account: dict[str, list[Heard]] = defaultdict(list)
    for each in heard:
        by_account[each.call.account_id].append(each)
    for account_id, calls in by_account.items():
        alone = ModelLedger({account_id: start.accounts[account_id]}, start.granted_to)
        found = _Search(now, calls).run(alone)
        ended.accounts |= found.accounts
        ended.granted_to |= found.granted_to
    return ended


class _Search:
    """Depth first, one account's calls. What changes nothing is put in its place as soon as its answer fits: it can't
    be in anybody's way there."""

    def __init__(self, now: datetime, calls: Sequence[Heard]) -> None:
        self._now = now
        self._calls = tuple(sorted(calls, key=lambda each: each.began))
        self._tries = TRIES_PER_CALL * (len(calls) + 10)
        self._seen: set[tuple[frozenset[int], str]] = set()
        self._deepest: _Place | None = None

    def run(self, start: ModelLedger) -> ModelLedger:
        """The model after the calls."""
        places = [self._place(start.copy(), (), self._calls)]
        while places:
            place = places[-1]
            if all(_may_be_without_effect(each) for each in place.pending):
                return place.model
            for called, model in place.next_calls:
                pending = tuple(each for each in place.pending if each is not called)
                if self._is_new(model, pending):
                    places.append(self._place(model, (*place.done, called), pending))
                    break
            else:
                places.pop()
        raise NotSerializable(self._words())

    def _place(self, model: ModelLedger, done: tuple[Heard, ...], pending: tuple[Heard, ...]) -> _Place:
        fits = True
        while fits:
            fits = False
            for each in _first_possible(pending):
                if _changes_nothing(each.answer) and self._try(model, each) is not None:
                    done, pending, fits = (*done, each), tuple(one for one in pending if one is not each), True
        place = _Place(model, done, pending, iter(()))
        place.next_calls = self._next_calls(place)
        if self._deepest is None or len(done) > len(self._deepest.done):
            self._deepest = place
        return place

    def _next_calls(self, place: _Place) -> Iterator[tuple[Heard, ModelLedger]]:
        for each in _first_possible(place.pending):
            if not _changes_nothing(each.answer):
                model = self._try(place.model, each)
                if model is not None:
                    yield each, model

    def _try(self, model: ModelLedger, each: Heard) -> ModelLedger | None:
        """The model after the call, or None if the caller would have been told something else."""
        account = model.accounts[each.call.account_id]
        if each.seq is not None and each.seq != account.seq + 1:
            return None
        self._tries -= 1
        if self._tries < 0:
            raise NotSerializable("too many orders were tried\n" + self._words())
        after = model.copy()
        answer = after.judge(each.call, self._now, grant_id=each.answer.get("grantId", ""))
        return after if each.answer["is"] == UNAVAILABLE or answer == each.answer else None

    def _is_new(self, model: ModelLedger, pending: tuple[Heard, ...]) -> bool:
        (account,) = model.accounts.values()
        standing = f"{account.debt} {account.seq} {sorted((g.left, g.held, n) for n, g in account.grants.items())}"
        standing += f" {account.reversals}"
        key = frozenset(map(id, pending)), standing
        is_new = key not in self._seen
        self._seen.add(key)
        return is_new

    def _words(self) -> str:
        place = self._deepest
        if place is None:
            return "nothing was tried"
        lines = [f"{len(place.done)} of {len(self._calls)} calls could be put in order; the last of them:"]
        lines += [f"  {_line(each)}" for each in place.done[-6:]]
        lines.append("then none of these could have come next:")
        for each in _first_possible(place.pending):
            told = place.model.copy().judge(each.call, self._now, grant_id=each.answer.get("grantId", ""))
            lines += [f"  {_line(each)}", f"    would have been told {told}"]
        return "\n".join(lines)


def _first_possible(pending: Sequence[Heard]) -> list[Heard]:
    """Those that may come next: nobody else was answered before they began. Who was never answered may be late."""
    ends = [each.ended for each in pending if each.answer["is"] != UNAVAILABLE]
    return [each for each in pending if not ends or each.began <= min(ends)]


def _changes_nothing(answer: Answer) -> bool:
    return answer["is"] != UNAVAILABLE and not is_change(answer)


def _may_be_without_effect(each: Heard) -> bool:
    """Nobody knows what became of it, and the journal does not name it."""
    return each.answer["is"] == UNAVAILABLE and each.seq is None


def _line(each: Heard) -> str:
    call = each.call
    number = "" if each.seq is None else f" (change {each.seq})"
    return f"{call.kind} {call.operation_id} {call.credits} {call.policy}{number}: {each.answer}"
