"""One batch: what it needs is read, the rules decide, what was decided is written, in one SERIALIZABLE transaction."""

from collections.abc import Iterable, Sequence

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.deciding import Decision, Item, answer_recorded, decide
from ledger.demands import ConsumeOrder, Outcome
from ledger.remembering import Memory
from ledger.repeating import PERSISTENCE_OF_BATCHES, repeat
from ledger.session import Isolation, Session
from ledger.store.consumptions import (
    AccountsMoved,
    find_free,
    find_operations,
    read_holds,
    read_spenders,
    write_batch,
)

# An id that is taken collides with whichever of its rows is written first.
_CLAIMS = ("pk_operations", "pk_holds", "pk_hold_parts")


class OperationTaken(Exception):
    """An operation id of the batch is taken. Which one, and what it was used for, has to be looked up."""


class Batches:
    """Settles batches, one at a time, in two sessions of its own."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._reads = Session(engine, Isolation.READ_COMMITTED)
        self._writes = Session(engine, Isolation.SERIALIZABLE)
        self._memory = Memory()

    async def close(self) -> None:
        """Closes the sessions."""
        await self._reads.close()
        await self._writes.close()

    async def settle(self, items: Sequence[Item], *, what: str) -> Decision:
        """Reads, decides and writes, all of it again where something has changed in between.

        Raises OperationTaken or LedgerUnavailable; whatever is wrong with an item alone is that item's outcome.
        """
        demands: dict[str, int] = {}
        named: list[tuple[str, str]] = []
        about_holds: set[str] = set()
        for item in items:
            order = item.order
            demands[order.account_id] = demands.get(order.account_id, 0) + item.demand
            if not isinstance(order, ConsumeOrder):
                about_holds.add(order.account_id)
            if item.hold is not None:
                named.append((order.account_id, item.hold))

        async def attempt() -> Decision:
            remembered = self._memory.take({each: demands[each] for each in demands.keys() - about_holds})
            unknown = {each: demand for each, demand in demands.items() if each not in remembered}
            spenders = await read_spenders(self._reads, unknown) if unknown else {}
            try:
                holds = await read_holds(self._reads, spenders, named)
            except AccountsMoved as error:
                raise asyncpg.SerializationError("an account has changed while its holds were read") from error
            decision = decide(spenders | remembered, holds, items)
            if decision.changes:
                await self._write(decision, items, remembered)
            return decision

        return await repeat(attempt, what=what, persistence=PERSISTENCE_OF_BATCHES)

    async def _write(self, decision: Decision, items: Sequence[Item], remembered: Iterable[str]) -> None:
        for item in items:
            item.may_be_written = True
        try:
            await write_batch(self._writes, decision.writes)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name not in _CLAIMS:
                raise
            raise OperationTaken from error
        except asyncpg.SerializationError:
            self._memory.mistrust(remembered)
            raise
        self._memory.keep(decision.books)

    async def recorded(self, items: Sequence[Item]) -> dict[Item, Outcome]:
        """The outcomes of those items whose operation ids are taken. What is recorded never changes, so that it may
        be read outside the transaction, where it is in nobody's way."""
        if not items:
            return {}
        keys = [item.key for item in items]
        recorded = await repeat(lambda: find_operations(self._reads, keys), what="find consumptions")
        return {item: answer_recorded(item, recorded[item.key]) for item in items if item.key in recorded}

    async def free_accounts(self, account_ids: Sequence[str]) -> set[str]:
        """Those of the accounts that nobody holds at this moment."""
        return await repeat(lambda: find_free(self._reads, account_ids), what="find free accounts")
