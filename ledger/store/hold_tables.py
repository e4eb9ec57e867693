"""The tables of holds, written by SERIALIZABLE transactions alone, like the grants that they keep parts of.

Like the journal they have no references: a batch's statement writes a hold with its claim and its parts, or none of
them. ``tests/store/books.py`` looks for what points into the void.
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Index, Table, Text
from sqlalchemy.dialects.postgresql import UUID

from ledger.rules.holding import HoldState
from ledger.store.tables import metadata

_STATES = ", ".join(f"'{state}'" for state in HoldState)

holds = Table(
    "holds",
    metadata,
    Column("account_id", UUID(as_uuid=True), primary_key=True),
    Column("operation_id", Text, primary_key=True),
    Column("credits", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    # The kind of token: only that kind may settle, extend or release. What the system made, nobody may.
    Column("made_by", Text, nullable=False),
    # None: a freeze, which no time ends.
    Column("held_until", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("closed_at", DateTime(timezone=True)),
    CheckConstraint(f"state IN ({_STATES})", name="state"),
    CheckConstraint("made_by IN ('admin', 'account', 'system')", name="made_by"),
    CheckConstraint("credits > 0", name="credits"),
    CheckConstraint("(state = 'open') = (closed_at IS NULL)", name="closed_at"),
    # An admin names a hold by its operation id alone.
    Index(None, "operation_id", "account_id"),
)
# What keeps credits now, those that end the soonest first.
Index(
    "ix_holds_open",
    holds.c.account_id,
    holds.c.held_until,
    postgresql_where=holds.c.state == "open",
)

# What had kept credits at a past instant ended within a hold's longest life after it, unless it had no end.
Index(
    "ix_holds_closed",
    holds.c.account_id,
    holds.c.closed_at,
    postgresql_where=holds.c.closed_at.is_not(None),
)
Index(
    "ix_holds_closed_without_end",
    holds.c.account_id,
    holds.c.closed_at,
    postgresql_where=holds.c.closed_at.is_not(None) & holds.c.held_until.is_(None),
)

# What a hold drew from each grant. It stays when the hold ends; grants.held sums the open ones.
hold_parts = Table(
    "hold_parts",
    metadata,
    Column("account_id", UUID(as_uuid=True), primary_key=True),
    Column("operation_id", Text, primary_key=True),
    Column("grant_id", UUID(as_uuid=True), primary_key=True),
    Column("credits", BigInteger, nullable=False),
    CheckConstraint("credits > 0", name="credits"),
)
