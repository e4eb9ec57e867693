"""Leaner rows for batches: what was spent in the cycle stands on the account, and operations and entries of the journal
do without references and without what nobody looks at.

The journal's key becomes (account, entry), which serves the pages of an account as well; usage no longer needs an index
of its own. The payload and the answer of an operation are kept as they were written.

Revision: 0003.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0003"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

SPENT = "kind IN ('consumed', 'debt-incurred')"

COUNT_USAGE = """
UPDATE accounts SET usage = spent.credits
FROM (
    SELECT account_id, -sum(journal.credits) AS credits
    FROM journal JOIN accounts USING (account_id)
    WHERE journal.kind IN ('consumed', 'debt-incurred') AND effective_at >= cycle_start GROUP BY account_id
) AS spent
WHERE spent.account_id = accounts.account_id
"""

# A batch was decided on what it read before. Where an account has changed since, or time has changed it, everything is
# taken back, and the batch is decided anew.
REQUIRE_UNCHANGED = """
CREATE FUNCTION require_unchanged(changed bigint, expected integer) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF changed <> expected THEN
        RAISE EXCEPTION 'an account has changed since it was read: % of % accounts are as they were', changed, expected
            USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN changed;
END $$
"""

_REFERENCES = (
    ("fk_operations_account_id", "operations", "accounts", ["account_id"]),
    ("fk_journal_account_id_operation_id", "journal", "operations", ["account_id", "operation_id"]),
    ("fk_journal_account_id_grant_id", "journal", "grants", ["account_id", "grant_id"]),
)


def upgrade() -> None:
    """Counts the usage of the running cycles, once."""
    op.execute("ALTER TABLE accounts ADD COLUMN usage bigint NOT NULL DEFAULT 0")
    op.create_check_constraint(op.f("ck_accounts_usage"), "accounts", "usage >= 0")
    op.execute("GRANT UPDATE (usage) ON accounts TO grantflow_app")
    op.execute(COUNT_USAGE)
    op.drop_index("ix_journal_usage", table_name="journal")
    for name, table, _, _ in _REFERENCES:
        op.drop_constraint(op.f(name), table, type_="foreignkey")
    op.execute("ALTER TABLE operations ALTER request TYPE json, ALTER answer TYPE json")
    op.drop_constraint(op.f("pk_journal"), "journal", type_="primary")
    op.create_primary_key(op.f("pk_journal"), "journal", ["account_id", "entry_id"])
    op.drop_index(op.f("ix_journal_account_id_entry_id"), table_name="journal")
    op.execute(REQUIRE_UNCHANGED)


def downgrade() -> None:
    """Adds the references again; refused by the database if an entry names what is not there."""
    op.execute("DROP FUNCTION require_unchanged(bigint, integer)")
    op.create_index(op.f("ix_journal_account_id_entry_id"), "journal", ["account_id", "entry_id"])
    op.drop_constraint(op.f("pk_journal"), "journal", type_="primary")
    op.create_primary_key(op.f("pk_journal"), "journal", ["entry_id"])
    op.execute("ALTER TABLE operations ALTER request TYPE jsonb, ALTER answer TYPE jsonb")
    for name, table, other, columns in reversed(_REFERENCES):
        op.create_foreign_key(op.f(name), table, other, columns, columns, deferrable=True, initially="DEFERRED")
    op.execute(f"CREATE INDEX ix_journal_usage ON journal (account_id, effective_at) INCLUDE (credits) WHERE {SPENT}")
    op.drop_constraint(op.f("ck_accounts_usage"), "accounts", type_="check")
    op.drop_column("accounts", "usage")
