"""What time alone changes is found by an index, and what an account is to be told has a table.

The index of ``next_expiry`` leaves spending on its page: an update that does not change an indexed value stays HOT.

Revision: 0005.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0005"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

LONG_LIVED = "live AND expires_at - created_at > interval '45 days'"
UNTOLD = "told_at IS NULL"


def upgrade() -> None:
    """Builds two small indexes, and the table of notices with the application's rights to it."""
    op.create_index(
        "ix_accounts_next_expiry", "accounts", ["next_expiry"], postgresql_where=sa.text("next_expiry IS NOT NULL")
    )
    op.create_index("ix_grants_noticed", "grants", ["expires_at", "grant_id"], postgresql_where=sa.text(LONG_LIVED))
    op.create_table(
        "notices",
        sa.Column("notice_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("ledger_now()"), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind ~ '^[a-z]+(-[a-z]+)*$' AND length(kind) <= 50", name=op.f("ck_notices_kind")),
        sa.CheckConstraint("length(subject) BETWEEN 1 AND 255", name=op.f("ck_notices_subject")),
        sa.CheckConstraint("jsonb_typeof(payload) = 'object'", name=op.f("ck_notices_payload")),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.account_id"],
            name=op.f("fk_notices_account_id"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("notice_id", name=op.f("pk_notices")),
        sa.UniqueConstraint("account_id", "kind", "subject", name=op.f("uq_notices_account_id_kind_subject")),
    )
    op.create_index(op.f("ix_notices_account_id_notice_id"), "notices", ["account_id", "notice_id"])
    op.create_index("ix_notices_untold", "notices", ["account_id", "notice_id"], postgresql_where=sa.text(UNTOLD))
    op.execute("GRANT SELECT, INSERT ON notices TO grantflow_app")
    op.execute("GRANT UPDATE (told_at) ON notices TO grantflow_app")


def downgrade() -> None:
    """Drops them; what accounts were to be told is lost."""
    op.drop_table("notices")
    op.drop_index("ix_grants_noticed", table_name="grants", postgresql_where=sa.text(LONG_LIVED))
    op.drop_index("ix_accounts_next_expiry", table_name="accounts", postgresql_where=sa.text("next_expiry IS NOT NULL"))
