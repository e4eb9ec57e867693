"""The product's clock that can be moved, on the embedded stack."""

from pathlib import Path

import asyncpg

_SQL = Path(__file__).with_name("test_clock.sql")


async def install_test_clock(owner_url: str) -> None:
    """Make `ledger_now()` follow an offset, and give the application `advance_test_clock(seconds)`; safe to repeat.

    Args:
        owner_url: a `postgresql://` URL of the schema's owner, on a migrated database.
    """
    session = await asyncpg.connect(owner_url)
    try:
        async with session.transaction():
            await session.execute(_SQL.read_text())
    finally:
        await session.close()
