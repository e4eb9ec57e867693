"""A bounded queue that is fair between accounts: when not all can go, each account goes in its turn."""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from ledger.rules.errors import Overloaded

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class FairQueue(Generic[K, T]):
    """What waits, by key. Of one key, what came first goes first; a key with much does not hold up one with little."""

    def __init__(self, *, limit: int, limit_per_key: int) -> None:
        self._limit = limit
        self._limit_per_key = limit_per_key
        # In the order in which their turns come.
        self._waiting: dict[K, deque[T]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, key: K, item: T) -> None:
        """Raises Overloaded when the queue is full, or the key has more than its share of it."""
        own = self._waiting.get(key)
        if self._count >= self._limit:
            raise Overloaded(waiting=self._count)
        if own is None:
            own = self._waiting[key] = deque()
        elif len(own) >= self._limit_per_key:
            raise Overloaded(waiting=len(own))
        own.append(item)
        self._count += 1

    def take(self, count: int) -> list[T]:
        """Up to ``count`` of what waits; if more waits, one of each key in turn, as often as there is room."""
        if self._count <= count:
            everything = [item for own in self._waiting.values() for item in own]
            self._waiting.clear()
            self._count = 0
            return everything
        taken: list[T] = []
        while len(taken) < count:
            key, own = next(iter(self._waiting.items()))
            taken.append(own.popleft())
            # To the end of the round, or out of it.
            del self._waiting[key]
            if own:
                self._waiting[key] = own
        self._count -= len(taken)
        return taken
