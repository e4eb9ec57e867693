"""The tables of reversals, written by SERIALIZABLE transactions alone, like the grants that they are about."""

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, ForeignKeyConstraint, Index, Integer, Table, Text
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import UUID

from ledger.store.tables import metadata


def _refers_to_grant(column: str) -> ForeignKeyConstraint:
    """Checked at the commit, as the ledger's other references are."""
    return ForeignKeyConstraint(
        ["account_id", column], ["grants.account_id", "grants.grant_id"], deferrable=True, initially="DEFERRED"
    )


# What is booked of a payment's reversal, a row for each payment that was ever disputed or paid back.
payment_reversals = Table(
    "payment_reversals",
    metadata,
    Column("payment_id", Text, primary_key=True),
    Column("account_id", UUID(as_uuid=True), nullable=False),
    Column("grant_id", UUID(as_uuid=True), nullable=False),
    # The target as it was last told, in minor units.
    Column("paid_cents", BigInteger, nullable=False),
    Column("reversed_cents", BigInteger, nullable=False),
    Column("frozen_cents", BigInteger, nullable=False),
    # What was taken back, debt included, and the part of it that a revocation had taken before.
    Column("reversed_credits", BigInteger, nullable=False),
    Column("covered_credits", BigInteger, nullable=False),
    # The open hold that keeps what is frozen; None also where nothing was left to keep.
    Column("frozen_hold", Text),
    # How often it was changed: the number in the ids of what it books.
    Column("changes", Integer, nullable=False, server_default=sql("0")),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    _refers_to_grant("grant_id"),
    CheckConstraint("length(payment_id) BETWEEN 1 AND 100", name="payment_id"),
    CheckConstraint(
        "reversed_cents >= 0 AND frozen_cents >= 0 AND paid_cents > 0 AND reversed_cents + frozen_cents <= paid_cents",
        name="cents",
    ),
    CheckConstraint("covered_credits BETWEEN 0 AND reversed_credits", name="credits"),
    CheckConstraint("reversed_cents > 0 OR reversed_credits = 0", name="credits_of_cents"),
    CheckConstraint("frozen_hold IS NULL OR frozen_cents > 0", name="frozen"),
    CheckConstraint("changes >= 0", name="changes"),
    Index(None, "account_id"),
)

# Which grants a rollover came of: a purchase, or another rollover.
rollover_sources = Table(
    "rollover_sources",
    metadata,
    Column("account_id", UUID(as_uuid=True), primary_key=True),
    Column("grant_id", UUID(as_uuid=True), primary_key=True),
    Column("source_grant_id", UUID(as_uuid=True), primary_key=True),
    _refers_to_grant("grant_id"),
    _refers_to_grant("source_grant_id"),
    CheckConstraint("grant_id <> source_grant_id", name="another"),
    # The way from a grant to what became of it.
    Index(None, "account_id", "source_grant_id", "grant_id"),
)
