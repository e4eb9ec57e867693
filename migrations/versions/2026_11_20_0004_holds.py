"""Holds: their two tables, and how much of every grant and account they keep.

The invariants that spoke of balances speak of what is not held: whoever owes may still have held credits, and of a
revoked grant what is held stays until the hold closes.

Revision: 0004.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KINDS = "'grant', 'revoke', 'expire', 'consume'"
CHECKS = (
    # table, constraint, before, from now on
    ("operations", "kind", f"kind IN ({KINDS})", f"kind IN ({KINDS}, 'hold', 'settle', 'release', 'lapse')"),
    (
        "accounts",
        "balance",
        "balance BETWEEN 0 AND 9007199254740991",
        "held BETWEEN 0 AND balance AND balance <= 9007199254740991",
    ),
    ("accounts", "debt_or_credit", "debt = 0 OR balance = 0", "debt = 0 OR balance = held"),
    (
        "grants",
        "balance",
        "balance BETWEEN 0 AND principal",
        "held BETWEEN 0 AND balance AND balance <= principal",
    ),
    ("grants", "revoked_is_empty", "revoked_at IS NULL OR balance = 0", "revoked_at IS NULL OR balance = held"),
)
PRIVILEGES = (
    "GRANT SELECT, INSERT ON holds, hold_parts TO grantflow_app",
    "GRANT UPDATE (state, held_until, closed_at) ON holds TO grantflow_app",
    "GRANT UPDATE (held) ON accounts TO grantflow_app",
    "GRANT UPDATE (held) ON grants TO grantflow_app",
)


def upgrade() -> None:
    """Adds the columns, the tables and the application's rights to them."""
    for table in ("accounts", "grants"):
        op.add_column(table, sa.Column("held", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    for table, name, _, now in CHECKS:
        _check(table, name, now)
    op.create_table(
        "holds",
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('open', 'settled', 'released', 'lapsed')", name=op.f("ck_holds_state")),
        sa.CheckConstraint("made_by IN ('admin', 'account')", name=op.f("ck_holds_made_by")),
        sa.CheckConstraint("credits > 0", name=op.f("ck_holds_credits")),
        sa.CheckConstraint("(state = 'open') = (closed_at IS NULL)", name=op.f("ck_holds_closed_at")),
        sa.PrimaryKeyConstraint("account_id", "operation_id", name=op.f("pk_holds")),
    )
    op.create_index(op.f("ix_holds_operation_id_account_id"), "holds", ["operation_id", "account_id"])
    op.create_index("ix_holds_open", "holds", ["account_id", "held_until"], postgresql_where=sa.text("state = 'open'"))
    op.create_table(
        "hold_parts",
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.UUID(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("credits > 0", name=op.f("ck_hold_parts_credits")),
        sa.PrimaryKeyConstraint("account_id", "operation_id", "grant_id", name=op.f("pk_hold_parts")),
    )
    for privilege in PRIVILEGES:
        op.execute(privilege)


def downgrade() -> None:
    """Drops them; refused by the database once something is held, or owed or revoked beside a hold."""
    op.drop_table("hold_parts")
    op.drop_table("holds")
    for table, name, before, _ in reversed(CHECKS):
        _check(table, name, before)
    for table in ("accounts", "grants"):
        op.drop_column(table, "held")


def _check(table: str, name: str, condition: str) -> None:
    """Another condition under the same name. Not valid first: new rows are held to it at once, and the look at the old
    ones stops nobody from writing."""
    full_name = f"ck_{table}_{name}"
    op.drop_constraint(op.f(full_name), table, type_="check")
    op.create_check_constraint(op.f(full_name), table, condition, postgresql_not_valid=True)
    op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {full_name}")
