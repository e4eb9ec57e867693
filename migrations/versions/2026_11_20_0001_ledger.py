"""The ledger: accounts, operations, grants, the append-only journal, mirrors at Stripe, tokens, the webhook inbox.

Revision: 0001, the first. What can't be filled in later (the journal's actor, request, price and both instants) is
here from the beginning.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


# Every process reads time through this function. The embedded stack alone replaces it by one that tests can move.
LEDGER_NOW = """
CREATE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT now()'
"""

REFUSE_CHANGES = """
CREATE FUNCTION refuse_journal_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is append-only: % is refused; book a correcting entry instead', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$
"""

APPEND_ONLY = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_journal_change()
"""

REQUIRE_APPLICATION_ROLE = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'grantflow_app') THEN
        RAISE EXCEPTION 'the role grantflow_app does not exist: create it first, it owns nothing'
            USING HINT = 'CREATE ROLE grantflow_app LOGIN PASSWORD ...';
    END IF;
END $$
"""

# The application owns nothing and may do no more than it does.
PRIVILEGES = (
    "GRANT SELECT, INSERT ON accounts, account_profiles, account_tokens, tickets, operations, grants, journal, "
    "grant_mirrors, webhook_inbox TO grantflow_app",
    "GRANT UPDATE (debt, balance, next_expiry, debt_cap, seq, cycle_start, next_reset, price_cents, price_credits, currency, free_credits) "
    "ON accounts TO grantflow_app",
    "GRANT UPDATE (balance, revoked_at) ON grants TO grantflow_app",
    "GRANT UPDATE ON account_profiles, grant_mirrors, webhook_inbox TO grantflow_app",
    "GRANT UPDATE (revoked_at) ON account_tokens TO grantflow_app",
    "GRANT DELETE ON tickets TO grantflow_app",
)


# Not even a session that says it replicates may change the journal.
ALWAYS = "ALTER TABLE journal ENABLE ALWAYS TRIGGER append_only"


def deferred(columns: list[str], referred: list[str], name: str) -> sa.ForeignKeyConstraint:
    """A reference that is checked at the commit (see ``_refers_to`` in ledger/store/tables.py)."""
    return sa.ForeignKeyConstraint(columns, referred, name=op.f(name), deferrable=True, initially="DEFERRED")


def upgrade() -> None:
    """Creates everything, and gives the application's role its rights."""
    op.execute(REQUIRE_APPLICATION_ROLE)
    op.execute(LEDGER_NOW)
    op.create_table(
        "accounts",
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("debt", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("balance", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_expiry", sa.DateTime(timezone=True), nullable=True),
        sa.Column("debt_cap", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("cycle_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_reset", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reset_anchor_day", sa.SmallInteger(), nullable=False),
        sa.Column("price_cents", sa.BigInteger(), nullable=False),
        sa.Column("price_credits", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("free_credits", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("currency ~ '^[a-z]{3}$'", name=op.f("ck_accounts_currency")),
        sa.CheckConstraint("kind IN ('user', 'organization')", name=op.f("ck_accounts_kind")),
        sa.CheckConstraint("debt BETWEEN 0 AND 9007199254740991", name=op.f("ck_accounts_debt")),
        sa.CheckConstraint("balance BETWEEN 0 AND 9007199254740991", name=op.f("ck_accounts_balance")),
        sa.CheckConstraint("debt = 0 OR balance = 0", name=op.f("ck_accounts_debt_or_credit")),
        sa.CheckConstraint("debt_cap >= 0", name=op.f("ck_accounts_debt_cap")),
        sa.CheckConstraint("free_credits BETWEEN 0 AND 1000000000000", name=op.f("ck_accounts_free_credits")),
        sa.CheckConstraint("next_reset > cycle_start", name=op.f("ck_accounts_cycle")),
        sa.CheckConstraint("price_cents > 0 AND price_credits > 0", name=op.f("ck_accounts_price")),
        sa.CheckConstraint("reset_anchor_day BETWEEN 1 AND 31", name=op.f("ck_accounts_reset_anchor_day")),
        sa.CheckConstraint("seq >= 0", name=op.f("ck_accounts_seq")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_accounts")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_table(
        "webhook_inbox",
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'received'"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("processed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'received') = (processed_at IS NULL)", name=op.f("ck_webhook_inbox_processed_at")),
        sa.CheckConstraint(
            "state IN ('received', 'processed', 'ignored', 'quarantined')", name=op.f("ck_webhook_inbox_state")
        ),
        sa.CheckConstraint("length(event_id) BETWEEN 1 AND 255", name=op.f("ck_webhook_inbox_event_id")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_webhook_inbox")),
    )
    op.create_index(
        "ix_webhook_inbox_due",
        "webhook_inbox",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("state = 'received'"),
    )
    op.create_index(
        "ix_webhook_inbox_quarantined",
        "webhook_inbox",
        ["received_at"],
        unique=False,
        postgresql_where=sa.text("state = 'quarantined'"),
    )
    op.create_table(
        "account_profiles",
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("referral_code", sa.Text(), nullable=False),
        sa.Column("stripe_customer_id", sa.Text(), nullable=True),
        sa.Column("stripe_customer_key", sa.Text(), nullable=False),
        sa.Column("default_payment_method", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("email IS NULL OR length(email) BETWEEN 3 AND 320", name=op.f("ck_account_profiles_email")),
        sa.CheckConstraint(
            "external_id IS NULL OR length(external_id) BETWEEN 1 AND 200", name=op.f("ck_account_profiles_external_id")
        ),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 200", name=op.f("ck_account_profiles_name")),
        deferred(["account_id"], ["accounts.account_id"], "fk_account_profiles_account_id"),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_account_profiles")),
        sa.UniqueConstraint("external_id", name=op.f("uq_account_profiles_external_id")),
        sa.UniqueConstraint("referral_code", name=op.f("uq_account_profiles_referral_code")),
        sa.UniqueConstraint("stripe_customer_id", name=op.f("uq_account_profiles_stripe_customer_id")),
        sa.UniqueConstraint("stripe_customer_key", name=op.f("uq_account_profiles_stripe_customer_key")),
    )
    op.create_index(
        "ix_account_profiles_without_customer",
        "account_profiles",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("stripe_customer_id IS NULL"),
    )
    op.create_table(
        "account_tokens",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("length(token_hash) = 32", name=op.f("ck_account_tokens_sha256")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name=op.f("fk_account_tokens_account_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_account_tokens")),
    )
    op.create_index(op.f("ix_account_tokens_account_id"), "account_tokens", ["account_id"], unique=False)
    op.create_table(
        "operations",
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("request", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('grant', 'revoke', 'expire')", name=op.f("ck_operations_kind")),
        sa.CheckConstraint("length(operation_id) BETWEEN 1 AND 200", name=op.f("ck_operations_operation_id")),
        deferred(["account_id"], ["accounts.account_id"], "fk_operations_account_id"),
        sa.PrimaryKeyConstraint("account_id", "operation_id", name=op.f("pk_operations")),
    )
    op.create_index(
        "uq_operations_global_operation_id",
        "operations",
        ["operation_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'grant'"),
    )
    op.create_table(
        "grants",
        sa.Column("grant_id", sa.UUID(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("principal", sa.BigInteger(), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("price_cents", sa.BigInteger(), nullable=False),
        sa.Column("price_credits", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("live", sa.Boolean(), sa.Computed("balance > 0", persisted=True), nullable=False),
        sa.CheckConstraint(
            "(type = 'free' AND priority = 20) OR (type = 'referral' AND priority = 40) OR (type = 'admin' AND priority = 60) OR (type = 'rollover' AND priority = 70) OR (type = 'purchase' AND priority = 80)",
            name=op.f("ck_grants_priority_of_type"),
        ),
        sa.CheckConstraint(
            "(type IN ('free', 'referral')) = (expires_at IS NOT NULL)", name=op.f("ck_grants_expiry_of_type")
        ),
        sa.CheckConstraint(
            "type IN ('free', 'referral', 'admin', 'rollover', 'purchase')", name=op.f("ck_grants_type")
        ),
        sa.CheckConstraint("balance BETWEEN 0 AND principal", name=op.f("ck_grants_balance")),
        sa.CheckConstraint(
            "expires_at IS NULL OR expires_at > created_at", name=op.f("ck_grants_expires_after_creation")
        ),
        sa.CheckConstraint("price_cents > 0 AND price_credits > 0", name=op.f("ck_grants_price")),
        sa.CheckConstraint("principal BETWEEN 1 AND 1000000000000", name=op.f("ck_grants_principal")),
        sa.CheckConstraint("revoked_at IS NULL OR balance = 0", name=op.f("ck_grants_revoked_is_empty")),
        deferred(["account_id"], ["accounts.account_id"], "fk_grants_account_id"),
        deferred(
            ["account_id", "operation_id"],
            ["operations.account_id", "operations.operation_id"],
            "fk_grants_account_id_operation_id",
        ),
        sa.PrimaryKeyConstraint("grant_id", name=op.f("pk_grants")),
        sa.UniqueConstraint("operation_id", name=op.f("uq_grants_operation_id")),
        sa.UniqueConstraint("account_id", "grant_id", name=op.f("uq_grants_account_id_grant_id")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(
        op.f("ix_grants_account_id_created_at_grant_id"),
        "grants",
        ["account_id", "created_at", "grant_id"],
        unique=False,
    )
    op.create_index(
        "ix_grants_live",
        "grants",
        ["account_id", "priority", "expires_at", "created_at", "grant_id"],
        unique=False,
        postgresql_where=sa.text("live"),
    )
    op.create_index(
        "uq_grants_payment_id",
        "grants",
        ["payment_id"],
        unique=True,
        postgresql_where=sa.text("payment_id IS NOT NULL"),
    )
    op.create_table(
        "tickets",
        sa.Column("ticket_hash", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(ticket_hash) = 32", name=op.f("ck_tickets_sha256")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name=op.f("fk_tickets_account_id")),
        sa.PrimaryKeyConstraint("ticket_hash", name=op.f("pk_tickets")),
    )
    op.create_index(op.f("ix_tickets_expires_at"), "tickets", ["expires_at"], unique=False)
    op.create_table(
        "grant_mirrors",
        sa.Column("grant_id", sa.UUID(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("stage_since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("driver", sa.Text(), nullable=False),
        sa.Column("stripe_grant_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("key_number", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("key_stored_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("workflow_asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("driver IN ('workflow', 'pump')", name=op.f("ck_grant_mirrors_driver")),
        sa.CheckConstraint(
            "stage <> 'confirmed' OR stripe_grant_id IS NOT NULL", name=op.f("ck_grant_mirrors_confirmed_at_stripe")
        ),
        sa.CheckConstraint("stage <> 'stuck' OR reason IS NOT NULL", name=op.f("ck_grant_mirrors_stuck_has_reason")),
        sa.CheckConstraint(
            "stage IN ('local', 'stripe-pending', 'awaiting-webhook', 'confirmed', 'stuck', 'abandoned', 'not-mirrored')",
            name=op.f("ck_grant_mirrors_stage"),
        ),
        sa.CheckConstraint("key_number > 0 AND length(idempotency_key) <= 255", name=op.f("ck_grant_mirrors_key")),
        deferred(
            ["account_id", "grant_id"], ["grants.account_id", "grants.grant_id"], "fk_grant_mirrors_account_id_grant_id"
        ),
        sa.PrimaryKeyConstraint("grant_id", name=op.f("pk_grant_mirrors")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_grant_mirrors_idempotency_key")),
        sa.UniqueConstraint("operation_id", name=op.f("uq_grant_mirrors_operation_id")),
        sa.UniqueConstraint("stripe_grant_id", name=op.f("uq_grant_mirrors_stripe_grant_id")),
    )
    op.create_index(op.f("ix_grant_mirrors_account_id"), "grant_mirrors", ["account_id"], unique=False)
    op.create_index(
        "ix_grant_mirrors_open",
        "grant_mirrors",
        ["stage", "stage_since"],
        unique=False,
        postgresql_where=sa.text("(stage NOT IN ('confirmed', 'abandoned', 'not-mirrored'))"),
    )
    op.create_index(
        "ix_grant_mirrors_standing",
        "grant_mirrors",
        ["account_id", "grant_id"],
        unique=False,
        postgresql_where=sa.text("stripe_grant_id IS NOT NULL AND closed_at IS NULL"),
    )
    op.create_table(
        "journal",
        sa.Column("entry_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.UUID(), nullable=True),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("balance_after", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=True),
        sa.Column("price_cents", sa.BigInteger(), nullable=True),
        sa.Column("price_credits", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "grant_id IS NOT NULL OR kind IN ('debt-paid', 'debt-incurred')", name=op.f("ck_journal_grant_or_debt")
        ),
        sa.CheckConstraint(
            "kind IN ('granted', 'debt-paid', 'consumed', 'debt-incurred', 'expired', 'revoked')",
            name=op.f("ck_journal_kind"),
        ),
        sa.CheckConstraint("(grant_id IS NULL) = (price_cents IS NULL)", name=op.f("ck_journal_price_of_grant")),
        sa.CheckConstraint(
            "(price_cents IS NULL) = (price_credits IS NULL) AND (price_cents IS NULL) = (currency IS NULL)",
            name=op.f("ck_journal_price"),
        ),
        sa.CheckConstraint(
            "(kind = 'granted' AND credits > 0) OR (kind IN ('consumed', 'expired', 'revoked') AND credits < 0) OR (kind = 'debt-incurred' AND credits < 0 AND grant_id IS NULL) OR (kind = 'debt-paid' AND (credits < 0) = (grant_id IS NOT NULL))",
            name=op.f("ck_journal_sign_of_kind"),
        ),
        sa.CheckConstraint("seq > 0", name=op.f("ck_journal_seq")),
        deferred(
            ["account_id", "operation_id"],
            ["operations.account_id", "operations.operation_id"],
            "fk_journal_account_id_operation_id",
        ),
        deferred(["account_id"], ["accounts.account_id"], "fk_journal_account_id"),
        deferred(
            ["account_id", "grant_id"], ["grants.account_id", "grants.grant_id"], "fk_journal_account_id_grant_id"
        ),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_journal")),
    )
    op.create_index(op.f("ix_journal_account_id_entry_id"), "journal", ["account_id", "entry_id"], unique=False)
    op.create_index(op.f("ix_journal_grant_id"), "journal", ["grant_id"], unique=False)
    op.create_index(
        "ix_journal_usage",
        "journal",
        ["account_id", "effective_at"],
        unique=False,
        postgresql_include=["credits"],
        postgresql_where=sa.text("kind IN ('consumed', 'debt-incurred')"),
    )
    op.execute(REFUSE_CHANGES)
    op.execute(APPEND_ONLY)
    op.execute(ALWAYS)
    for privilege in PRIVILEGES:
        op.execute(privilege)


def downgrade() -> None:
    """Drops everything; the role stays, since it is not ours to drop."""
    op.drop_index(
        "ix_journal_usage",
        table_name="journal",
        postgresql_include=["credits"],
        postgresql_where=sa.text("kind IN ('consumed', 'debt-incurred')"),
    )
    op.drop_index(op.f("ix_journal_grant_id"), table_name="journal")
    op.drop_index(op.f("ix_journal_account_id_entry_id"), table_name="journal")
    op.drop_table("journal")
    op.drop_index(
        "ix_grant_mirrors_standing",
        table_name="grant_mirrors",
        postgresql_where=sa.text("stripe_grant_id IS NOT NULL AND closed_at IS NULL"),
    )
    op.drop_index(
        "ix_grant_mirrors_open",
        table_name="grant_mirrors",
        postgresql_where=sa.text("(stage NOT IN ('confirmed', 'abandoned', 'not-mirrored'))"),
    )
    op.drop_index(op.f("ix_grant_mirrors_account_id"), table_name="grant_mirrors")
    op.drop_table("grant_mirrors")
    op.drop_index(op.f("ix_tickets_expires_at"), table_name="tickets")
    op.drop_table("tickets")
    op.drop_index("uq_grants_payment_id", table_name="grants", postgresql_where=sa.text("payment_id IS NOT NULL"))
    op.drop_index("ix_grants_live", table_name="grants", postgresql_where=sa.text("live"))
    op.drop_index(op.f("ix_grants_account_id_created_at_grant_id"), table_name="grants")
    op.drop_table("grants")
    op.drop_index(
        "uq_operations_global_operation_id", table_name="operations", postgresql_where=sa.text("kind = 'grant'")
    )
    op.drop_table("operations")
    op.drop_index(op.f("ix_account_tokens_account_id"), table_name="account_tokens")
    op.drop_table("account_tokens")
    op.drop_index(
        "ix_account_profiles_without_customer",
        table_name="account_profiles",
        postgresql_where=sa.text("stripe_customer_id IS NULL"),
    )
    op.drop_table("account_profiles")
    op.drop_index(
        "ix_webhook_inbox_quarantined", table_name="webhook_inbox", postgresql_where=sa.text("state = 'quarantined'")
    )
    op.drop_index("ix_webhook_inbox_due", table_name="webhook_inbox", postgresql_where=sa.text("state = 'received'"))
    op.drop_table("webhook_inbox")
    op.drop_table("accounts")
    op.execute("DROP FUNCTION refuse_journal_change()")
    op.execute("DROP FUNCTION ledger_now()")
