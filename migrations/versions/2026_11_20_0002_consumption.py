"""Consumption: operations of the kind ``consume``, and a reference and an index fewer per entry of the journal.

Its entries and rights are those of 0001. No statement looks for entries by their grant alone. An entry's account needs no reference of its own: the one to its
operation names the account too, and the operation refers to it.

Revision: 0002.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Widens the list of kinds. What stands in the table has been checked against the shorter one."""
    _allow("'grant', 'revoke', 'expire', 'consume'")
    op.drop_constraint(op.f("fk_journal_account_id"), "journal", type_="foreignkey")
    op.drop_index(op.f("ix_journal_grant_id"), table_name="journal")


def downgrade() -> None:
    """Narrows the list again; refused by the database once something has been consumed."""
    op.create_index(op.f("ix_journal_grant_id"), "journal", ["grant_id"])
    op.create_foreign_key(
        op.f("fk_journal_account_id"),
        "journal",
        "accounts",
        ["account_id"],
        ["account_id"],
        deferrable=True,
        initially="DEFERRED",
    )
    _allow("'grant', 'revoke', 'expire'")


def _allow(kinds: str) -> None:
    op.drop_constraint(op.f("ck_operations_kind"), "operations", type_="check")
    # Not valid first: new rows are held to it at once, and the look at the old ones stops nobody from writing.
    op.create_check_constraint(
        op.f("ck_operations_kind"), "operations", f"kind IN ({kinds})", postgresql_not_valid=True
    )
    op.execute("ALTER TABLE operations VALIDATE CONSTRAINT ck_operations_kind")
