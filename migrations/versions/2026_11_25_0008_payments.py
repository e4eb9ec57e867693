"""Payments and the settings of auto top-up, and the threshold beside the balance that it is compared with.

Revision: 0008.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

STATES = "'open', 'requires-action', 'processing', 'succeeded', 'paid', 'failed'"
UNSETTLED_TOP_UP = "kind = 'auto-topup' AND state IN ('open', 'processing', 'succeeded')"
# A payment is what it was decided to be; what becomes of it is written as it comes.
CHANGING = (
    "state, key_number, idempotency_key, key_stored_at, payment_method_id, payment_intent_id, checkout_session_id, url, "
    "error, message, decline_code, advice_code, never_again, receipt_url, changed_at, closed_at"
)


def upgrade() -> None:
    """Makes the two tables, and gives accounts their threshold."""
    op.add_column("accounts", sa.Column("topup_threshold", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_accounts_topped_up", "accounts", ["account_id"], postgresql_where=sa.text("topup_threshold IS NOT NULL")
    )
    op.create_table(
        "payments",
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column("key_number", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("key_stored_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("payment_method_id", sa.Text(), nullable=True),
        sa.Column("payment_intent_id", sa.Text(), nullable=True),
        sa.Column("checkout_session_id", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("decline_code", sa.Text(), nullable=True),
        sa.Column("advice_code", sa.Text(), nullable=True),
        sa.Column("never_again", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("receipt_url", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("ledger_now()"), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('auto-topup', 'purchase')", name=op.f("ck_payments_kind")),
        sa.CheckConstraint(f"state IN ({STATES})", name=op.f("ck_payments_state")),
        sa.CheckConstraint("credits BETWEEN 1 AND 1000000000000", name=op.f("ck_payments_credits")),
        sa.CheckConstraint("amount_cents > 0", name=op.f("ck_payments_amount_cents")),
        sa.CheckConstraint("currency ~ '^[a-z]{3}$'", name=op.f("ck_payments_currency")),
        sa.CheckConstraint("key_number > 0 AND length(idempotency_key) <= 255", name=op.f("ck_payments_key")),
        sa.CheckConstraint(
            "(state IN ('paid', 'failed')) = (closed_at IS NOT NULL)", name=op.f("ck_payments_closed_at")
        ),
        sa.CheckConstraint("state <> 'failed' OR error IS NOT NULL", name=op.f("ck_payments_failed_has_error")),
        sa.CheckConstraint(
            "state NOT IN ('processing', 'succeeded', 'paid') OR payment_intent_id IS NOT NULL",
            name=op.f("ck_payments_intent"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.account_id"],
            name=op.f("fk_payments_account_id"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("operation_id", name=op.f("pk_payments")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_payments_idempotency_key")),
    )
    for column in ("payment_intent_id", "checkout_session_id"):
        op.create_index(
            f"uq_payments_{column}",
            "payments",
            [column],
            unique=True,
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )
    op.create_index(
        "uq_payments_unsettled_top_up",
        "payments",
        ["account_id"],
        unique=True,
        postgresql_where=sa.text(UNSETTLED_TOP_UP),
    )
    op.create_index(
        op.f("ix_payments_account_id_created_at_operation_id"), "payments", ["account_id", "created_at", "operation_id"]
    )
    op.create_index(
        "ix_payments_waiting", "payments", ["changed_at"], postgresql_where=sa.text("state NOT IN ('paid', 'failed')")
    )
    op.create_table(
        "auto_topups",
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("threshold", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.BigInteger(), nullable=False),
        sa.Column("monthly_limit_cents", sa.BigInteger(), nullable=True),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("disabled_message", sa.Text(), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("ledger_now()"), nullable=False),
        sa.CheckConstraint("threshold >= 0 AND target > threshold", name=op.f("ck_auto_topups_range")),
        sa.CheckConstraint(
            "monthly_limit_cents IS NULL OR monthly_limit_cents >= 0", name=op.f("ck_auto_topups_monthly_limit")
        ),
        sa.CheckConstraint("NOT enabled OR disabled_reason IS NULL", name=op.f("ck_auto_topups_enabled_or_reason")),
        sa.CheckConstraint(
            "(disabled_reason IS NULL) = (disabled_at IS NULL)", name=op.f("ck_auto_topups_disabled_at")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.account_id"],
            name=op.f("fk_auto_topups_account_id"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_auto_topups")),
    )
    op.execute("GRANT UPDATE (topup_threshold) ON accounts TO grantflow_app")
    op.execute("GRANT SELECT, INSERT ON payments TO grantflow_app")
    op.execute(f"GRANT UPDATE ({CHANGING}) ON payments TO grantflow_app")
    op.execute("GRANT SELECT, INSERT, UPDATE ON auto_topups TO grantflow_app")


def downgrade() -> None:
    """Drops them: what has been paid is known to Stripe alone then."""
    op.drop_table("auto_topups")
    op.drop_table("payments")
    op.drop_index("ix_accounts_topped_up", table_name="accounts")
    op.drop_column("accounts", "topup_threshold")
