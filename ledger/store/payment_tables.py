"""The tables of payments and of auto top-up's settings. No credits are kept here: what money has bought is a grant.

A payment's row is written before Stripe hears of it, and its key is in it.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import UUID

from ledger.rules.limits import MAX_CREDITS_PER_OPERATION
from ledger.store.tables import metadata
from messages.payments import UNSETTLED_STATES, PaymentKind, PaymentState

_KINDS = ", ".join(f"'{kind}'" for kind in PaymentKind)
_STATES = ", ".join(f"'{state}'" for state in PaymentState)
UNSETTLED = f"state IN ({', '.join(repr(str(state)) for state in sorted(UNSETTLED_STATES))})"
UNSETTLED_TOP_UP = f"kind = 'auto-topup' AND {UNSETTLED}"

payments = Table(
    "payments",
    metadata,
    Column("operation_id", Text, primary_key=True),
    Column("account_id", UUID(as_uuid=True), nullable=False),
    Column("kind", Text, nullable=False),
    Column("credits", BigInteger, nullable=False),
    Column("amount_cents", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'open'")),
    Column("key_number", Integer, nullable=False, server_default=text("1")),
    Column("idempotency_key", Text, nullable=False),
    Column("key_stored_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("payment_method_id", Text),
    # The same for the same card, however often it is attached; Stripe does not say it of every method.
    Column("payment_method_fingerprint", Text),
    Column("payment_intent_id", Text),
    # Another took its place: it is to be canceled at Stripe, so that nobody pays it as well.
    Column("cancel_due", Boolean, nullable=False, server_default=text("false")),
    Column("checkout_session_id", Text),
    # Where the owner pays, or authenticates.
    Column("url", Text),
    Column("error", Text),
    Column("message", Text),
    Column("decline_code", Text),
    Column("advice_code", Text),
    # The card's network forbids to try this card again.
    Column("never_again", Boolean, nullable=False, server_default=text("false")),
    Column("receipt_url", Text),
    Column("actor", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    # By the product's clock, which the monthly cap goes by.
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.ledger_now()),
    # By the wall clock, which Stripe and the networks go by.
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("closed_at", DateTime(timezone=True)),
    ForeignKeyConstraint(["account_id"], ["accounts.account_id"], deferrable=True, initially="DEFERRED"),
    UniqueConstraint("idempotency_key"),
    CheckConstraint(f"kind IN ({_KINDS})", name="kind"),
    CheckConstraint(f"state IN ({_STATES})", name="state"),
    CheckConstraint(f"credits BETWEEN 1 AND {MAX_CREDITS_PER_OPERATION}", name="credits"),
    CheckConstraint("amount_cents > 0", name="amount_cents"),
    CheckConstraint("currency ~ '^[a-z]{3}$'", name="currency"),
    CheckConstraint("key_number > 0 AND length(idempotency_key) <= 255", name="key"),
    CheckConstraint("(state IN ('paid', 'failed')) = (closed_at IS NOT NULL)", name="closed_at"),
    CheckConstraint("state <> 'failed' OR error IS NOT NULL", name="failed_has_error"),
    CheckConstraint("state NOT IN ('processing', 'succeeded', 'paid') OR payment_intent_id IS NOT NULL", name="intent"),
    # One payment at Stripe is one payment here (I9).
    Index(
        "uq_payments_payment_intent_id",
        "payment_intent_id",
        unique=True,
        postgresql_where=text("payment_intent_id IS NOT NULL"),
    ),
    Index(
        "uq_payments_checkout_session_id",
        "checkout_session_id",
        unique=True,
        postgresql_where=text("checkout_session_id IS NOT NULL"),
    ),
    # One auto top-up at a time, whoever asks for it, from however many processes.
    Index("uq_payments_unsettled_top_up", "account_id", unique=True, postgresql_where=text(UNSETTLED_TOP_UP)),
    Index(None, "account_id", "created_at", "operation_id"),
)
# What waits for Stripe or for its owner: a sweep looks whether somebody carries it.
Index(
    "ix_payments_waiting",
    payments.c.changed_at,
    postgresql_where=text("state NOT IN ('paid', 'failed')"),
)

auto_topups = Table(
    "auto_topups",
    metadata,
    Column("account_id", UUID(as_uuid=True), primary_key=True),
    Column("enabled", Boolean, nullable=False),
    Column("threshold", BigInteger, nullable=False),
    Column("target", BigInteger, nullable=False),
    Column("monthly_limit_cents", BigInteger),
    Column("disabled_reason", Text),
    Column("disabled_message", Text),
    Column("disabled_at", DateTime(timezone=True)),
    # No attempt begins before this, by the product's clock.
    Column("not_before", DateTime(timezone=True)),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=func.ledger_now()),
    ForeignKeyConstraint(["account_id"], ["accounts.account_id"], deferrable=True, initially="DEFERRED"),
    CheckConstraint("threshold >= 0 AND target > threshold", name="range"),
    CheckConstraint("monthly_limit_cents IS NULL OR monthly_limit_cents >= 0", name="monthly_limit"),
    CheckConstraint("NOT enabled OR disabled_reason IS NULL", name="enabled_or_reason"),
    CheckConstraint("(disabled_reason IS NULL) = (disabled_at IS NULL)", name="disabled_at"),
)
