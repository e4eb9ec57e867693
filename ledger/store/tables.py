"""The tables. Rows that money runs over are written by SERIALIZABLE transactions alone (design, section 5);
what others write (profiles, mirrors, tokens, the inbox) lives in tables of its own.

The CHECK constraints state the invariants a second time, in the database, where no code can forget them.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from ledger.rules.grant_types import EXPIRING_TYPES, GRANT_PRIORITIES, LONG_LIVED_DAYS
from ledger.rules.limits import MAX_CREDITS_PER_ACCOUNT, MAX_CREDITS_PER_OPERATION
from ledger.rules.orders import ACCOUNT_KINDS
from messages.grants import GrantStage, GrantType, MirrorDriver

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ENTRY_KINDS = (
    "granted",  # a new grant's principal
    "debt-paid",  # two entries: what the grant gives, and what the debt loses
    "consumed",
    "debt-incurred",
    "expired",
    "revoked",
    "reversed",  # of a grant, or of the debt: what nobody could pay when a payment was taken back
    "reinstated",
)
OPERATION_KINDS = ("grant", "revoke", "expire", "consume", "hold", "settle", "release", "lapse", "reverse")
DEBT_KINDS = ("debt-paid", "debt-incurred", "reversed")
# As the condition of an index: a statement that repeats a part of it, word for word and unbound, can use it.
TAKEN_BACK = "kind IN ('revoked', 'reversed', 'reinstated')"
INBOX_STATES = ("received", "processed", "ignored", "quarantined")


def _one_of(column: str, values: Iterable[str]) -> str:
    quoted = ", ".join(f"'{value}'" for value in values)
    return f"{column} IN ({quoted})"


def _recorded_at() -> Column[datetime]:
    """Wall time, whatever the product's clock says: when the row was written."""
    return Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.now())


def _refers_to(table: str, *columns: str) -> ForeignKeyConstraint:
    """A reference that is checked at the commit: the check predicate-locks the other table's index, and held for a
    whole transaction it would make strangers conflict who write there."""
    return ForeignKeyConstraint(
        list(columns),
        [f"{table}.{column}" for column in columns],
        deferrable=True,
        initially="DEFERRED",
    )


_SIGN_OF_KIND = (
    "(kind IN ('granted', 'reinstated') AND credits > 0)"
    " OR (kind IN ('consumed', 'expired', 'revoked', 'reversed') AND credits < 0)"
    " OR (kind = 'debt-incurred' AND credits < 0 AND grant_id IS NULL)"
    " OR (kind = 'debt-paid' AND (credits < 0) = (grant_id IS NOT NULL))"
)

_PRIORITY_OF_TYPE = " OR ".join(
    f"(type = '{grant_type}' AND priority = {priority})" for grant_type, priority in GRANT_PRIORITIES.items()
)

accounts = Table(
    "accounts",
    metadata,
    Column("account_id", UUID(as_uuid=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("debt", BigInteger, nullable=False, server_default=text("0")),
    # Two sums over the grants, expiry that is not booked yet included, and a bound on when time alone changes something
    # next (a grant expires, a hold lapses): who grants need not look at the other grants.
    Column("balance", BigInteger, nullable=False, server_default=text("0")),
    Column("held", BigInteger, nullable=False, server_default=text("0")),
    Column("next_expiry", DateTime(timezone=True)),
    # What was spent since the cycle began. The journal says the same, entry by entry; who looks at the balance after
    # every change can't add up a cycle each time.
    Column("usage", BigInteger, nullable=False, server_default=text("0")),
    Column("debt_cap", BigInteger, nullable=False),
    # Below this net balance the account is to be topped up; null while auto top-up is off (auto_topups has the rest).
    # It stands here so that spending knows it without another look.
    Column("topup_threshold", BigInteger),
    Column("seq", BigInteger, nullable=False, server_default=text("0")),
    Column("cycle_start", DateTime(timezone=True), nullable=False),
    Column("next_reset", DateTime(timezone=True), nullable=False),
    Column("reset_anchor_day", SmallInteger, nullable=False),
    Column("price_cents", BigInteger, nullable=False),
    Column("price_credits", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("free_credits", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(_one_of("kind", ACCOUNT_KINDS), name="kind"),
    CheckConstraint(f"debt BETWEEN 0 AND {MAX_CREDITS_PER_ACCOUNT}", name="debt"),
    CheckConstraint(f"held BETWEEN 0 AND balance AND balance <= {MAX_CREDITS_PER_ACCOUNT}", name="balance"),
    # Whoever owes has nothing to spend (I3).
    CheckConstraint("debt = 0 OR balance = held", name="debt_or_credit"),
    CheckConstraint("usage >= 0", name="usage"),
    CheckConstraint("debt_cap >= 0", name="debt_cap"),
    CheckConstraint("seq >= 0", name="seq"),
    CheckConstraint("next_reset > cycle_start", name="cycle"),
    CheckConstraint("reset_anchor_day BETWEEN 1 AND 31", name="reset_anchor_day"),
    CheckConstraint("price_cents > 0 AND price_credits > 0", name="price"),
    CheckConstraint("currency ~ '^[a-z]{3}$'", name="currency"),
    CheckConstraint(f"free_credits BETWEEN 0 AND {MAX_CREDITS_PER_OPERATION}", name="free_credits"),
    # Updates of debt and seq stay on the page (HOT): no index covers them, and the page keeps room for them.
    postgresql_with={"fillfactor": "70"},
)
# Whose balance is below its threshold? Few accounts have one.
Index("ix_accounts_topped_up", accounts.c.account_id, postgresql_where=accounts.c.topup_threshold.is_not(None))
# Which accounts has time alone changed? Spending leaves ``next_expiry`` as it is, and so the update on its page.
Index("ix_accounts_next_expiry", accounts.c.next_expiry, postgresql_where=accounts.c.next_expiry.is_not(None))

account_profiles = Table(
    "account_profiles",
    metadata,
    Column("account_id", UUID(as_uuid=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("email", Text),
    Column("external_id", Text),
    Column("referral_code", Text, nullable=False),
    Column("stripe_customer_id", Text),
    Column("stripe_customer_key", Text, nullable=False),
    Column("default_payment_method", JSONB),
    Column("created_at", DateTime(timezone=True), nullable=False),
    _refers_to("accounts", "account_id"),
    CheckConstraint("length(name) BETWEEN 1 AND 200", name="name"),
    CheckConstraint("email IS NULL OR length(email) BETWEEN 3 AND 320", name="email"),
    CheckConstraint("external_id IS NULL OR length(external_id) BETWEEN 1 AND 200", name="external_id"),
    UniqueConstraint("external_id"),
    UniqueConstraint("referral_code"),
    UniqueConstraint("stripe_customer_id"),
    UniqueConstraint("stripe_customer_key"),
)
Index(
    "ix_account_profiles_without_customer",
    account_profiles.c.created_at,
    postgresql_where=account_profiles.c.stripe_customer_id.is_(None),
)

account_tokens = Table(
    "account_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("account_id", UUID(as_uuid=True), ForeignKey("accounts.account_id"), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("revoked_at", DateTime(timezone=True)),
    CheckConstraint("length(token_hash) = 32", name="sha256"),
    Index(None, "account_id"),
)

tickets = Table(
    "tickets",
    metadata,
    Column("ticket_hash", LargeBinary, primary_key=True),
    Column("account_id", UUID(as_uuid=True), ForeignKey("accounts.account_id")),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("length(ticket_hash) = 32", name="sha256"),
    Index(None, "expires_at"),
)

operations = Table(
    "operations",
    metadata,
    Column("account_id", UUID(as_uuid=True), primary_key=True),
    Column("operation_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    # As they were written, word for word; nothing looks inside.
    Column("request", JSON, nullable=False),
    Column("answer", JSON(none_as_null=True)),
    Column("actor", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    _recorded_at(),
    CheckConstraint(_one_of("kind", OPERATION_KINDS), name="kind"),
    CheckConstraint("length(operation_id) BETWEEN 1 AND 200", name="operation_id"),
)
# Grants are named by their operation id alone, in URLs, workflow ids and at Stripe.
Index(
    "uq_operations_global_operation_id",
    operations.c.operation_id,
    unique=True,
    postgresql_where=operations.c.kind == "grant",
)

grants = Table(
    "grants",
    metadata,
    Column("grant_id", UUID(as_uuid=True), primary_key=True),
    Column("account_id", UUID(as_uuid=True), nullable=False),
    Column("operation_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("principal", BigInteger, nullable=False),
    Column("balance", BigInteger, nullable=False),
    # The part of the balance that open holds keep.
    Column("held", BigInteger, nullable=False, server_default=text("0")),
    Column("expires_at", DateTime(timezone=True)),
    Column("description", Text),
    Column("price_cents", BigInteger, nullable=False),
    Column("price_credits", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("payment_id", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    # The index of live grants looks at this column, not at the balance: spending from a grant stays on its page (HOT).
    Column("live", Boolean, Computed("balance > 0", persisted=True), nullable=False),
    _refers_to("accounts", "account_id"),
    # No grant without the claim on its operation id (I4).
    _refers_to("operations", "account_id", "operation_id"),
    UniqueConstraint("operation_id"),
    # For references that name the account too: nothing of one account ever points to a grant of another (I7).
    UniqueConstraint("account_id", "grant_id"),
    CheckConstraint(_one_of("type", list(GrantType)), name="type"),
    CheckConstraint(_PRIORITY_OF_TYPE, name="priority_of_type"),
    CheckConstraint(f"principal BETWEEN 1 AND {MAX_CREDITS_PER_OPERATION}", name="principal"),
    CheckConstraint("held BETWEEN 0 AND balance AND balance <= principal", name="balance"),
    CheckConstraint(f"({_one_of('type', sorted(EXPIRING_TYPES))}) = (expires_at IS NOT NULL)", name="expiry_of_type"),
    CheckConstraint("expires_at IS NULL OR expires_at > created_at", name="expires_after_creation"),
    CheckConstraint("price_cents > 0 AND price_credits > 0", name="price"),
    CheckConstraint("revoked_at IS NULL OR balance = held", name="revoked_is_empty"),
    # One payment gives at most one grant (I9).
    Index("uq_grants_payment_id", "payment_id", unique=True, postgresql_where=text("payment_id IS NOT NULL")),
    Index(None, "account_id", "created_at", "grant_id"),
    postgresql_with={"fillfactor": "70"},
)
# The burn order, over what is left to burn alone: exhausted grants cost nothing.
Index(
    "ix_grants_live",
    grants.c.account_id,
    grants.c.priority,
    grants.c.expires_at,
    grants.c.created_at,
    grants.c.grant_id,
    postgresql_where=grants.c.live,
)

# Grants whose owners are told before they expire: a few among many, with something left, in the order of their ends.
Index(
    "ix_grants_noticed",
    grants.c.expires_at,
    grants.c.grant_id,
    postgresql_where=text(f"live AND expires_at - created_at > interval '{LONG_LIVED_DAYS} days'"),
)

# Neither operations nor entries refer to accounts, operations or grants by a constraint: checked row by row at the
# commit, three references took as long as everything else a consumption does (docs/decisions/0017). Both are only ever
# added to, by statements that write the entry and what it names together; `verify` looks for those that name nothing.
journal = Table(
    "journal",
    metadata,
    # By account, in the order in which its entries were written: a page of them is a piece of this index.
    Column("account_id", UUID(as_uuid=True), primary_key=True),
    Column("entry_id", BigInteger, Identity(always=True), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("operation_id", Text, nullable=False),
    Column("grant_id", UUID(as_uuid=True)),
    Column("credits", BigInteger, nullable=False),
    Column("balance_after", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("payment_id", Text),
    Column("price_cents", BigInteger),
    Column("price_credits", BigInteger),
    Column("currency", Text),
    Column("effective_at", DateTime(timezone=True), nullable=False),
    _recorded_at(),
    CheckConstraint(_one_of("kind", ENTRY_KINDS), name="kind"),
    CheckConstraint(_SIGN_OF_KIND, name="sign_of_kind"),
    CheckConstraint(f"grant_id IS NOT NULL OR {_one_of('kind', DEBT_KINDS)}", name="grant_or_debt"),
    CheckConstraint("(grant_id IS NULL) = (price_cents IS NULL)", name="price_of_grant"),
    CheckConstraint(
        "(price_cents IS NULL) = (price_credits IS NULL) AND (price_cents IS NULL) = (currency IS NULL)",
        name="price",
    ),
    CheckConstraint("seq > 0", name="seq"),
)
# What was taken back of grants and given again: few among many, and asked for by grant and by payment.
Index(
    "ix_journal_taken_back",
    journal.c.account_id,
    journal.c.grant_id,
    postgresql_where=text(TAKEN_BACK),
)

grant_mirrors = Table(
    "grant_mirrors",
    metadata,
    Column("grant_id", UUID(as_uuid=True), primary_key=True),
    Column("operation_id", Text, nullable=False),
    Column("account_id", UUID(as_uuid=True), nullable=False),
    Column("stage", Text, nullable=False),
    Column("stage_since", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("driver", Text, nullable=False),
    Column("stripe_grant_id", Text),
    Column("reason", Text),
    Column("key_number", Integer, nullable=False, server_default=text("1")),
    Column("idempotency_key", Text, nullable=False),
    Column("key_stored_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("workflow_asked_at", DateTime(timezone=True)),
    Column("closed_at", DateTime(timezone=True)),
    _refers_to("grants", "account_id", "grant_id"),
    UniqueConstraint("operation_id"),
    UniqueConstraint("stripe_grant_id"),
    UniqueConstraint("idempotency_key"),
    CheckConstraint(_one_of("stage", list(GrantStage)), name="stage"),
    CheckConstraint(_one_of("driver", list(MirrorDriver)), name="driver"),
    CheckConstraint("stage <> 'confirmed' OR stripe_grant_id IS NOT NULL", name="confirmed_at_stripe"),
    CheckConstraint("stage <> 'stuck' OR reason IS NOT NULL", name="stuck_has_reason"),
    CheckConstraint("key_number > 0 AND length(idempotency_key) <= 255", name="key"),
    Index(None, "account_id"),
)
# What still has to reach Stripe, and what is stuck: a handful of rows among millions.
Index(
    "ix_grant_mirrors_open",
    grant_mirrors.c.stage,
    grant_mirrors.c.stage_since,
    postgresql_where=grant_mirrors.c.stage.not_in(("confirmed", "abandoned", "not-mirrored")),
)
# Mirrors that stand open at Stripe: the sweep closes those whose grants have nothing left.
Index(
    "ix_grant_mirrors_standing",
    grant_mirrors.c.account_id,
    grant_mirrors.c.grant_id,
    postgresql_where=grant_mirrors.c.stripe_grant_id.is_not(None) & grant_mirrors.c.closed_at.is_(None),
)

webhook_inbox = Table(
    "webhook_inbox",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("state", Text, nullable=False, server_default=text("'received'")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("last_error", Text),
    Column("processed_at", DateTime(timezone=True)),
    CheckConstraint(_one_of("state", INBOX_STATES), name="state"),
    CheckConstraint("(state = 'received') = (processed_at IS NULL)", name="processed_at"),
    CheckConstraint("length(event_id) BETWEEN 1 AND 255", name="event_id"),
)
Index(
    "ix_webhook_inbox_due",
    webhook_inbox.c.due_at,
    postgresql_where=webhook_inbox.c.state == "received",
)
Index(
    "ix_webhook_inbox_quarantined",
    webhook_inbox.c.received_at,
    postgresql_where=webhook_inbox.c.state == "quarantined",
)
