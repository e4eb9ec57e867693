"""The payloads of the credit grant flow. Credits are integers, money is integer minor units, instants are UTC."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class GrantType(StrEnum):
    """What kind of credits a grant holds; decides its priority, its expiry and its category at Stripe."""

    FREE = "free"
    REFERRAL = "referral"
    ADMIN = "admin"
    ROLLOVER = "rollover"
    PURCHASE = "purchase"


class GrantStage(StrEnum):
    """How far the grant's mirror at Stripe has come. The credits themselves are usable from ``local`` on."""

    LOCAL = "local"
    STRIPE_PENDING = "stripe-pending"
    AWAITING_WEBHOOK = "awaiting-webhook"
    CONFIRMED = "confirmed"
    STUCK = "stuck"
    ABANDONED = "abandoned"
    NOT_MIRRORED = "not-mirrored"


CLOSED_STAGES = frozenset({GrantStage.CONFIRMED, GrantStage.ABANDONED, GrantStage.NOT_MIRRORED})


class MirrorDriver(StrEnum):
    """Who carries a grant to Stripe: its own workflow, or the paced pump of the sweeps."""

    WORKFLOW = "workflow"
    PUMP = "pump"


@dataclass(frozen=True)
class GrantOrder:
    """A request for credits: what is granted, to whom, and who asked for it.

    ``operation_id`` names the grant for ever. ``expires_at`` is for free and referral grants only; None
    means the account's next reset. ``payment_id`` is the payment at Stripe that the credits were bought with, if any.
    ``actor`` and ``request_id`` go into the journal.
    """

    operation_id: str
    account_id: str
    type: GrantType
    credits: int
    description: str | None = None
    expires_at: datetime | None = None
    actor: str = "system"
    request_id: str = ""
    payment_id: str | None = None


@dataclass(frozen=True)
class Grant:
    """A grant as the ledger has it, with the stage of its mirror at Stripe.

    ``created_by_request`` is the request id that made it, by which a caller knows a first answer from a repeat.
    ``balance`` are the credits left of ``principal``.
    """

    grant_id: str
    operation_id: str
    account_id: str
    type: GrantType
    priority: int
    principal: int
    balance: int
    expires_at: datetime | None
    created_at: datetime
    description: str | None
    stage: GrantStage
    stage_since: datetime
    stripe_grant_id: str | None
    reason: str | None
    created_by_request: str


@dataclass(frozen=True)
class MirrorRequest:
    """All that Stripe is told about a grant, with the idempotency key that was stored before the call.

    ``stripe_customer_id`` is None while Stripe does not know the account. ``amount_cents`` is the grant's
    worth in minor units of ``currency``. ``key_stored_at`` dates the key: Stripe forgets keys after 24 hours.
    """

    operation_id: str
    account_id: str
    stripe_customer_id: str | None
    type: GrantType
    credits: int
    amount_cents: int
    currency: str
    expires_at: datetime | None
    idempotency_key: str
    key_stored_at: datetime


@dataclass(frozen=True)
class PreparedMirror:
    """The grant as it stands, and what to tell Stripe; ``request`` is None when nothing is to be created."""

    grant: Grant
    request: MirrorRequest | None


@dataclass(frozen=True)
class StripeGrant:
    """A Billing Credit Grant as Stripe has it. ``closed`` means voided or expired there."""

    stripe_grant_id: str
    operation_id: str | None
    closed: bool


@dataclass(frozen=True)
class StripeGrantConfirmation:
    """The signal ``stripe_grant_confirmed``: Stripe's webhook told us that the grant exists."""

    stripe_grant_id: str
    event_id: str


@dataclass(frozen=True)
class OperatorOrder:
    """The signals ``retry_stripe_grant`` and ``abandon``: what an operator wants, and why."""

    actor: str = "operator"
    reason: str = ""


@dataclass(frozen=True)
class StageChange:
    """A step of the mirror's stage, to be written to the grant's row with what is known of Stripe's side."""

    operation_id: str
    stage: GrantStage
    stripe_grant_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class GrantStatus:
    """The answer to the query ``status``: where the grant stands, in data and in a plain sentence."""

    operation_id: str
    account_id: str
    type: GrantType
    credits: int
    stage: GrantStage
    stage_since: datetime
    stripe_grant_id: str | None
    reason: str | None
    details: str


@dataclass(frozen=True)
class FoundMirror:
    """What a look through a customer's credit grants found: the grant with our operation id, or nothing."""

    stripe_grant: StripeGrant | None


@dataclass(frozen=True)
class GrantId:
    """A grant, named by its operation id."""

    operation_id: str


@dataclass(frozen=True)
class StripeGrantId:
    """A Billing Credit Grant at Stripe, named by its own id."""

    stripe_grant_id: str


@dataclass(frozen=True)
class MirrorQuestion:
    """Where to look for a grant's mirror when the outcome of its creation is unknown."""

    operation_id: str
    stripe_customer_id: str


@dataclass(frozen=True)
class MirrorClosing:
    """A mirror whose grant is used up, expired or revoked, and the key under which it is closed at Stripe.

    ``operation_id`` and ``stripe_grant_id`` name it on both sides.
    """

    operation_id: str
    stripe_grant_id: str
    idempotency_key: str
