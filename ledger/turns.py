"""Turns: those of one process that change the same account follow one another, in the order in which they came.

A SERIALIZABLE transaction that has waited for a row's lock must begin anew, because its snapshot is older than the
wait. So the wait comes before the transaction. It spares repeats and nothing else: what other processes do is sorted
out by PostgreSQL, and nothing relies on a turn.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID
from weakref import WeakValueDictionary

from ledger.rules.errors import LedgerUnavailable

# A lock lives as long as somebody holds it or waits for it.
_turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()


@asynccontextmanager
async def turn_of(account_id: UUID, *, what: str, patience_seconds: float) -> AsyncIterator[None]:
    """Waits for the account's turn and holds it. Raises LedgerUnavailable when it does not come in time."""
    lock = _turns.setdefault(account_id, asyncio.Lock())
    try:
        async with asyncio.timeout(patience_seconds):
            await lock.acquire()
    except TimeoutError:
        raise LedgerUnavailable(what, attempts=0, reason="the account is busy") from None
    try:
        yield
    finally:
        lock.release()
