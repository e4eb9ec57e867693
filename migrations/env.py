"""Alembic's environment: one asynchronous connection as the owner, with timeouts that keep production answering."""

import asyncio

from alembic import context
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine

from ledger.store import hold_tables, notice_tables, payment_tables, reversal_tables
from ledger.store.tables import metadata
from settings import MigrationSettings

# A migration that can't have its lock at once gives up rather than queue everybody behind it.
_SERVER_SETTINGS = {"lock_timeout": "4000", "statement_timeout": "600000", "timezone": "UTC"}

# A table is known when its module has been imported.
_TABLES = (hold_tables, notice_tables, payment_tables, reversal_tables)


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, compare_type=True, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()


async def _run() -> None:
    engine = create_async_engine(
        MigrationSettings().sqlalchemy_url,
        poolclass=pool.NullPool,
        connect_args={"server_settings": _SERVER_SETTINGS},
    )
    async with engine.connect() as opened:
        await opened.run_sync(_migrate)
    await engine.dispose()


asyncio.run(_run())
