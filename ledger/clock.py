"""The product's clock. It is the database's; on the embedded stack alone, tests and demos may move it forward."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.rules.errors import InvalidOrder
from ledger.transaction import with_serializable_transaction

_INVALID_PARAMETER = "22023"


async def advance_test_clock(engine: AsyncEngine, seconds: int) -> datetime:
    """Moves the product's clock forward and answers with the new now (UTC).

    The function behind it is installed on the embedded stack only; elsewhere the database does not know it.
    Raises InvalidOrder beyond ten years in all: the database keeps that bound.
    """

    async def work(tx: AsyncConnection) -> datetime:
        moved = await tx.execute(text("SELECT advance_test_clock(:seconds)"), {"seconds": seconds})
        now: datetime = moved.scalar_one()
        return now

    try:
        return await with_serializable_transaction(engine, work, what="advance test clock")
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _INVALID_PARAMETER:
            raise
        raise InvalidOrder(
            "advanceSeconds", "the test clock moves forward only, and at most ten years in all"
        ) from None
