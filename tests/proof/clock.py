"""A ledger's clock that stands still until it is set, so that a test can stand on an instant exactly."""

from datetime import datetime

import asyncpg

_SQL = """
CREATE TABLE IF NOT EXISTS frozen_clock (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), at timestamptz NOT NULL
);
INSERT INTO frozen_clock (at) VALUES (now()) ON CONFLICT DO NOTHING;
GRANT SELECT ON frozen_clock TO grantflow_app;
CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql STABLE
AS $body$ SELECT at FROM frozen_clock WHERE only_row $body$;
"""


async def freeze_clock(owner: asyncpg.Connection) -> None:
    """Makes `ledger_now()` what :func:`set_clock` says. For a database that a test has for itself; safe to repeat."""
    await owner.execute(_SQL)


async def set_clock(owner: asyncpg.Connection, at: datetime) -> None:
    """Sets the ledger's clock, forward or back."""
    await owner.execute("UPDATE frozen_clock SET at = $1", at)
