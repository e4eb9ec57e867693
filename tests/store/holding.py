"""What the tests of holds say often."""

import itertools
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.consuming import Consumption, ExtendOrder, Held, HoldOrder, Released, ReleaseOrder, Settled, SettleOrder
from tests.conftest import Database
from tests.store.support import session

MINUTE = 60
_requests = itertools.count()


async def do(engine: AsyncEngine, order: Any) -> Any:
    """One order, by a committer of its own, as a request of its own."""
    consumption = Consumption(engine)
    async with consumption.running():
        return await act(consumption, replace(order, request_id=f"r{next(_requests)}"))


async def act(consumption: Consumption, order: Any) -> Any:
    """The call that the order is for."""
    calls: dict[type, Any] = {
        HoldOrder: consumption.hold,
        ExtendOrder: consumption.extend,
        SettleOrder: consumption.settle,
        ReleaseOrder: consumption.release,
    }
    return await calls.get(type(order), consumption.consume)(order)


async def hold(
    engine: AsyncEngine, account_id: str, credits: int, name: str = "h", ttl_seconds: int = 10 * MINUTE
) -> Held:
    """A hold of the account's own."""
    held: Held = await do(engine, HoldOrder(account_id, name, credits, ttl_seconds))
    return held


async def settle(engine: AsyncEngine, account_id: str, credits: int, name: str = "h") -> Settled:
    """The end of such a hold, with its cost."""
    settled: Settled = await do(engine, SettleOrder(account_id, name, credits))
    return settled


async def release(engine: AsyncEngine, account_id: str, name: str = "h") -> Released:
    """The end of such a hold, without any."""
    released: Released = await do(engine, ReleaseOrder(account_id, name))
    return released


def again(answer: Any) -> Any:
    """The answer as a repeat gets it."""
    return replace(answer, replayed=True)


async def state_of(database: Database, account_id: str, name: str = "h") -> tuple[str, bool]:
    """A hold's state, and whether it was closed at the very end of its time."""
    async with session(database.owner_url) as owner:
        row = await owner.fetchrow(
            "SELECT state, coalesce(closed_at = held_until, false) FROM holds "
            "WHERE account_id = $1 AND operation_id = $2",
            account_id,
            name,
        )
    assert row is not None
    return row[0], row[1]
