"""Pages of a sweep's work: bounded, paced, and fair to those who come after somebody that always fails."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from temporalio import activity

from gateways.stripe.errors import StripeOutage
from gateways.temporal.flows import FlowUnavailable
from ledger.repeating import LOCK_TIMEOUT, SERIALIZATION_FAILURE
from ledger.rules.errors import LedgerUnavailable
from messages.sweeps import SweepReport

_log = logging.getLogger(__name__)
Item = TypeVar("Item")
Pause = Callable[[float], Awaitable[object]]

_KEY_IN_USE = 409
# Somebody sits on one account, or keeps changing it: the next one has nothing to do with it.
_OF_ONE_ACCOUNT = frozenset({LOCK_TIMEOUT, SERIALIZATION_FAILURE})


class Pages(Generic[Item]):
    """One sweep's pages, tick after tick.

    Whoever has failed stands behind those that have not had their turn: a page full of refused items at the head of
    the list would keep all others from ever being reached. That is remembered in this process only; a new one finds
    out again.
    """

    def __init__(self, name: Callable[[Item], str], *, size: int, pause_seconds: float, pause: Pause) -> None:
        """``name`` tells items apart; after each of at most ``size`` items, ``pause`` waits ``pause_seconds``."""
        self._name = name
        self._size = size
        self._pause_seconds = pause_seconds
        self._pause = pause
        self._failed: dict[str, None] = {}  # by name, in the order of their latest failures

    @property
    def to_read(self) -> int:
        """How many items have to be read so that a page of others is among them, if there are so many."""
        return self._size + len(self._failed)

    async def do(self, found: Sequence[Item], work: Callable[[Item], Awaitable[None]]) -> SweepReport:
        """Does a page of what was found, one by one. An outage ends the page; an item's own failure only skips it."""
        self._forget_all_but(found)
        page = sorted(found, key=self._turn)[: self._size]
        done = failed = 0
        for item in page:
            try:
                await work(item)
            except Exception as error:
                # Whatever is wrong with an item: it comes again, is loud, and keeps nobody from being done.
                self._note_failure(item)
                if _is_outage(error):
                    _log.warning("The sweep ends early, the next tick goes on: %s", error)
                    break
                _log.exception("The sweep skips %s.", self._name(item))
                failed += 1
            else:
                self._failed.pop(self._name(item), None)
                done += 1
            activity.heartbeat()
            await self._pause(self._pause_seconds)
        return SweepReport(done=done, left=len(page) - done - failed, failed=failed)

    def _turn(self, item: Item) -> int:
        """Those that never failed first, as they were found, then the others, the longest ago first."""
        name = self._name(item)
        return list(self._failed).index(name) if name in self._failed else -1

    def _note_failure(self, item: Item) -> None:
        self._failed.pop(self._name(item), None)
        self._failed[self._name(item)] = None

    def _forget_all_but(self, found: Sequence[Item]) -> None:
        """Who was read to the end and is not there any more has been done by somebody else."""
        if len(found) < self.to_read:
            there = {self._name(item) for item in found}
            self._failed = {name: None for name in self._failed if name in there}


def _is_outage(error: Exception) -> bool:
    """Whether the next item would fail as well. A key in use is one item's matter: its workflow is at it too."""
    if isinstance(error, StripeOutage):
        return error.status != _KEY_IN_USE
    if isinstance(error, LedgerUnavailable):
        return error.reason not in _OF_ONE_ACCOUNT
    return isinstance(error, FlowUnavailable)
