"""Reversals: what is booked of each payment that was taken back, and which grants a rollover came of.

The journal and the operations are long: their new conditions are looked at, and the journal's index is built, before
the transaction and beside everybody's writing. All of that may be repeated where it was interrupted.

Revision: 0007.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

OPERATIONS = "'grant', 'revoke', 'expire', 'consume', 'hold', 'settle', 'release', 'lapse'"
KINDS = "'granted', 'debt-paid', 'consumed', 'debt-incurred', 'expired', 'revoked'"
DEBT_SIGNS = (
    " OR (kind = 'debt-incurred' AND credits < 0 AND grant_id IS NULL)"
    " OR (kind = 'debt-paid' AND (credits < 0) = (grant_id IS NOT NULL))"
)
LONG_TABLES = (
    # table, constraint, before, from now on
    ("operations", "kind", f"kind IN ({OPERATIONS})", f"kind IN ({OPERATIONS}, 'reverse')"),
    ("journal", "kind", f"kind IN ({KINDS})", f"kind IN ({KINDS}, 'reversed', 'reinstated')"),
    (
        "journal",
        "sign_of_kind",
        "(kind = 'granted' AND credits > 0)"
        f" OR (kind IN ('consumed', 'expired', 'revoked') AND credits < 0){DEBT_SIGNS}",
        "(kind IN ('granted', 'reinstated') AND credits > 0)"
        f" OR (kind IN ('consumed', 'expired', 'revoked', 'reversed') AND credits < 0){DEBT_SIGNS}",
    ),
    (
        "journal",
        "grant_or_debt",
        "grant_id IS NOT NULL OR kind IN ('debt-paid', 'debt-incurred')",
        "grant_id IS NOT NULL OR kind IN ('debt-paid', 'debt-incurred', 'reversed')",
    ),
)
TAKEN_BACK = "kind IN ('revoked', 'reversed', 'reinstated')"
MAKERS = ("made_by IN ('admin', 'account')", "made_by IN ('admin', 'account', 'system')")
PRIVILEGES = (
    "GRANT SELECT, INSERT ON payment_reversals, rollover_sources TO grantflow_app",
    "GRANT UPDATE (paid_cents, reversed_cents, frozen_cents, reversed_credits, covered_credits, frozen_hold, changes, "
    "updated_at) ON payment_reversals TO grantflow_app",
)


def upgrade() -> None:
    """Adds the kinds, the tables and the application's rights to them."""
    with op.get_context().autocommit_block():
        for table, name, _, condition in LONG_TABLES:
            op.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS ck_{table}_{name}_next")
            op.execute(f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_{name}_next CHECK ({condition}) NOT VALID")
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT ck_{table}_{name}_next")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_journal_taken_back")
        op.create_index(
            "ix_journal_taken_back",
            "journal",
            ["account_id", "grant_id"],
            postgresql_where=sa.text(TAKEN_BACK),
            postgresql_concurrently=True,
        )
    for table, name, _, _ in LONG_TABLES:
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
        op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT ck_{table}_{name}_next TO ck_{table}_{name}")
    op.drop_constraint(op.f("ck_holds_made_by"), "holds", type_="check")
    op.create_check_constraint(op.f("ck_holds_made_by"), "holds", MAKERS[1])
    _create_tables()
    for privilege in PRIVILEGES:
        op.execute(privilege)


def _create_tables() -> None:
    op.create_table(
        "payment_reversals",
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("grant_id", sa.UUID(), nullable=False),
        sa.Column("paid_cents", sa.BigInteger(), nullable=False),
        sa.Column("reversed_cents", sa.BigInteger(), nullable=False),
        sa.Column("frozen_cents", sa.BigInteger(), nullable=False),
        sa.Column("reversed_credits", sa.BigInteger(), nullable=False),
        sa.Column("covered_credits", sa.BigInteger(), nullable=False),
        sa.Column("frozen_hold", sa.Text(), nullable=True),
        sa.Column("changes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        _refers_to_grant("payment_reversals", "grant_id"),
        sa.CheckConstraint("length(payment_id) BETWEEN 1 AND 100", name=op.f("ck_payment_reversals_payment_id")),
        sa.CheckConstraint(
            "reversed_cents >= 0 AND frozen_cents >= 0 AND paid_cents > 0 "
            "AND reversed_cents + frozen_cents <= paid_cents",
            name=op.f("ck_payment_reversals_cents"),
        ),
        sa.CheckConstraint("covered_credits BETWEEN 0 AND reversed_credits", name=op.f("ck_payment_reversals_credits")),
        sa.CheckConstraint(
            "reversed_cents > 0 OR reversed_credits = 0", name=op.f("ck_payment_reversals_credits_of_cents")
        ),
        sa.CheckConstraint("frozen_hold IS NULL OR frozen_cents > 0", name=op.f("ck_payment_reversals_frozen")),
        sa.CheckConstraint("changes >= 0", name=op.f("ck_payment_reversals_changes")),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("pk_payment_reversals")),
    )
    op.create_index(op.f("ix_payment_reversals_account_id"), "payment_reversals", ["account_id"])
    op.create_table(
        "rollover_sources",
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("grant_id", sa.UUID(), nullable=False),
        sa.Column("source_grant_id", sa.UUID(), nullable=False),
        _refers_to_grant("rollover_sources", "grant_id"),
        _refers_to_grant("rollover_sources", "source_grant_id"),
        sa.CheckConstraint("grant_id <> source_grant_id", name=op.f("ck_rollover_sources_another")),
        sa.PrimaryKeyConstraint("account_id", "grant_id", "source_grant_id", name=op.f("pk_rollover_sources")),
    )
    op.create_index(
        op.f("ix_rollover_sources_account_id_source_grant_id_grant_id"),
        "rollover_sources",
        ["account_id", "source_grant_id", "grant_id"],
    )


def _refers_to_grant(table: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["account_id", column],
        ["grants.account_id", "grants.grant_id"],
        name=op.f(f"fk_{table}_account_id_{column}"),
        deferrable=True,
        initially="DEFERRED",
    )


def downgrade() -> None:
    """Drops them; refused by the database once a payment was reversed or frozen."""
    op.drop_table("rollover_sources")
    op.drop_table("payment_reversals")
    op.drop_constraint(op.f("ck_holds_made_by"), "holds", type_="check")
    op.create_check_constraint(op.f("ck_holds_made_by"), "holds", MAKERS[0])
    op.drop_index("ix_journal_taken_back", table_name="journal", postgresql_where=sa.text(TAKEN_BACK))
    for table, name, before, _ in reversed(LONG_TABLES):
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
        op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, before)
