"""The table of what accounts are to be told. No money runs over it: it is written READ COMMITTED."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from ledger.store.tables import metadata

# ``kind`` is whatever a part of ours has to tell: a new one needs no migration. ``subject`` says what it is about, and
# a kind has it once in an account: a notice that is written again is not there twice.
notices = Table(
    "notices",
    metadata,
    Column("notice_id", BigInteger, Identity(always=True), primary_key=True),
    Column("account_id", UUID(as_uuid=True), nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    # By the product's clock, as the instants are that notices speak of.
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.ledger_now()),
    Column("told_at", DateTime(timezone=True)),
    ForeignKeyConstraint(["account_id"], ["accounts.account_id"], deferrable=True, initially="DEFERRED"),
    UniqueConstraint("account_id", "kind", "subject"),
    CheckConstraint("kind ~ '^[a-z]+(-[a-z]+)*$' AND length(kind) <= 50", name="kind"),
    CheckConstraint("length(subject) BETWEEN 1 AND 255", name="subject"),
    CheckConstraint("jsonb_typeof(payload) = 'object'", name="payload"),
    Index(None, "account_id", "notice_id"),
)
Index(
    "ix_notices_untold",
    notices.c.account_id,
    notices.c.notice_id,
    postgresql_where=notices.c.told_at.is_(None),
)
