"""What the service answers, typed. Fields that a newer service adds are let through unseen."""

from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

T = TypeVar("T")


class Answer(BaseModel):
    """An answer; its fields are camelCase on the wire and snake_case here."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, extra="ignore")

    def to_wire(self) -> dict[str, Any]:
        """The answer as it came, for programs that read JSON."""
        return self.model_dump(mode="json", by_alias=True)


class PaymentMethod(Answer):
    """The default payment method of an account."""

    payment_method_id: str
    kind: str
    brand: str | None = None
    last4: str | None = None
    expiry_month: int | None = None
    expiry_year: int | None = None


class Account(Answer):
    """An account. ``stripe_customer_id`` is None until Stripe knows it."""

    account_id: str
    kind: str
    name: str
    email: str | None
    external_id: str | None
    stripe_customer_id: str | None
    next_quota_reset: datetime
    referral_code: str
    created_at: datetime
    payment_method: PaymentMethod | None = None


class Grant(Answer):
    """A grant. ``balance`` credits are left of ``principal``; ``stage`` is how far Stripe's side has come.

    ``temporal_ui_url`` is only told to operators, of grants whose mirroring is not finished.
    """

    grant_id: str
    operation_id: str
    account_id: str
    type: str
    priority: int
    principal: int
    balance: int
    description: str | None = None
    expires_at: datetime | None = None
    created_at: datetime
    stage: str
    stage_since: datetime
    stripe_grant_id: str | None = None
    reason: str | None = None
    workflow_id: str
    temporal_ui_url: str | None = None


class Granted(Answer):
    """The grant, and whether this request made it; a repeat finds it made."""

    grant: Grant
    created: bool


class Page(Answer, Generic[T]):
    """A page of a list; ``next_cursor`` is None on the last one."""

    data: list[T]
    next_cursor: str | None


class OrderTaken(Answer):
    """An operator's order was given to the grant's workflow; ``stage`` is where the grant stood then."""

    operation_id: str
    workflow_id: str
    stage: str


class Revocation(Answer):
    """What a revocation took back, in credits."""

    operation_id: str
    grant_id: str
    revoked: int
    reason: str
    replayed: bool


class Balance(Answer):
    """An account's balance in credits. ``balance_breakdown`` has all five types of grants."""

    account_id: str
    seq: int
    prev_seq: int
    usage: int
    remaining_balance: int
    net_balance: int
    debt: int
    held: int
    balance_breakdown: dict[str, int]
    next_quota_reset: datetime


class Allocation(Answer):
    """What one grant paid for; ``operation_id`` is the one that the grant was made under."""

    grant_id: str
    operation_id: str
    type: str
    credits: int


class Consumption(Answer):
    """What was spent, in credits, and the account's balances after it. ``replayed`` marks the answer of a repeat.

    ``paid_by`` is the account whose credits were spent; only the WebSocket says it.
    """

    operation_id: str
    consumed: int
    from_purchased: int
    allocations: list[Allocation]
    debt_incurred: int
    debt: int
    remaining_balance: int
    net_balance: int
    replayed: bool
    paid_by: str | None = None


class Entry(Answer):
    """An entry of the journal. ``credits`` is signed, ``balance_after`` the net balance after it, as booked.

    ``at`` is when it counts, ``recorded_at`` when it was written. ``grant_id`` is None on entries of the debt alone.
    """

    entry_id: str
    at: datetime
    kind: str
    operation_id: str
    grant_id: str | None
    grant_type: str | None
    credits: int
    balance_after: int
    seq: int
    actor: str
    recorded_at: datetime


class Notice(Answer):
    """Something that the account's owner is to know: ``message`` is for people, ``kind`` and ``details`` for programs.

    One that comes twice has the same ``notice_id``. ``told_at`` is None on one that was not told over a socket yet.
    """

    notice_id: str
    kind: str
    at: datetime
    message: str
    details: dict[str, Any]
    told_at: datetime | None = None


class KindTotal(Answer):
    """Entries of one kind: how many, and their signed sum."""

    kind: str
    credits: int
    entries: int


class DueTotal(Answer):
    """What had fallen due and was not booked: its signed sum."""

    kind: str
    credits: int


class TypeThen(Answer):
    """The grants of one type: signed sums by kind, and what was left."""

    type: str
    by_kind: dict[str, int]
    not_booked: dict[str, int]
    balance: int


class GrantThen(Answer):
    """A grant that had ``balance`` credits left, of which open holds kept ``held``."""

    grant_id: str
    operation_id: str
    type: str
    principal: int
    created_at: datetime
    expires_at: datetime | None
    by_kind: dict[str, int]
    not_booked: dict[str, int]
    balance: int
    held: int


class Explanation(Answer):
    """An account at the instant ``at``. ``by_kind`` and ``not_booked`` sum to ``net_balance``.

    ``grants`` are those with something left, in burn order, at most 200 of ``grants_left``; ``entries`` the latest that
    count, the newest first.
    """

    account_id: str
    at: datetime
    seq: int
    remaining_balance: int
    net_balance: int
    debt: int
    held: int
    balance_breakdown: dict[str, int]
    usage: int
    cycle_start: datetime
    by_kind: list[KindTotal]
    not_booked: list[DueTotal]
    by_type: list[TypeThen]
    debt_by_kind: dict[str, int]
    grants: list[GrantThen]
    grants_left: int
    entries: Page[Entry]


class Hold(Answer):
    """Credits that are set aside until ``expires_at``. ``held`` is what all open holds of the account keep.

    ``paid_by`` is the account whose credits they are; only the WebSocket says it, here and in the answers below.
    """

    operation_id: str
    credits: int
    state: str
    expires_at: datetime | None
    created_at: datetime
    allocations: list[Allocation]
    held: int
    debt: int
    remaining_balance: int
    net_balance: int
    replayed: bool
    paid_by: str | None = None


class Settlement(Consumption):
    """What a hold's work has cost. ``given_back`` is what the hold had kept beyond that."""

    given_back: int


class Release(Answer):
    """What a hold gave back; nothing, where its time was over before."""

    operation_id: str
    given_back: int
    debt: int
    remaining_balance: int
    net_balance: int
    replayed: bool
    paid_by: str | None = None


class BalanceNews(Balance):
    """A balance that the service told over the WebSocket. ``auto_topup_added`` credits have just been bought.

    ``notifications`` is what happened while nobody was connected: it comes with a connection's first balance.
    """

    auto_topup_added: int | None = None
    notifications: list[Notice] = []


class ToppedUp(BalanceNews):
    """The balance after an auto top-up, which has just added ``auto_topup_added`` credits."""

    auto_topup_added: int


class ActionFailed(Answer):
    """Something did not work. ``message`` is for people and says what to do; ``action_url`` leads to where.

    What answers no question of ours is told by the service itself: a top-up that failed, a payment that went back.
    """

    error: str
    message: str
    retryable: bool = False
    request_id: str | None = None
    action_url: str | None = None
    remaining_balance: int | None = None


class GrantStatus(Answer):
    """Where a grant stands, in its workflow's words."""

    operation_id: str
    account_id: str
    grant_type: str
    credits: int
    stage: str
    stage_since: datetime
    stripe_grant_id: str | None
    reason: str | None
    details: str
    answered_by: str


class MovedClock(Answer):
    """The product's new now, after the test clock was moved."""

    now: datetime
    stand_in_told: bool
