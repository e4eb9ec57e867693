"""Typed fakes at the border of the steps: a ledger of one account in memory, and a Stripe that does as it is told."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from temporalio.exceptions import ApplicationError

from messages.customers import AccountId, Customer, CustomerRequest
from messages.failures import Failure
from messages.grant_steps import GrantLedgerSteps, GrantStripeSteps
from messages.grants import (
    CLOSED_STAGES,
    FoundMirror,
    Grant,
    GrantId,
    GrantOrder,
    GrantStage,
    GrantType,
    MirrorClosing,
    MirrorQuestion,
    MirrorRequest,
    PreparedMirror,
    StageChange,
    StripeGrant,
    StripeGrantId,
)

PRIORITY = 80


def outage() -> ApplicationError:
    """Stripe can't be reached: the same key is used again."""
    return ApplicationError("Stripe is away", type=Failure.STRIPE_OUTAGE)


def stored_500() -> ApplicationError:
    """Stripe failed with the work done or not, and would say so again under this key."""
    return ApplicationError("An error occurred", type=Failure.STRIPE_OUTCOME_UNKNOWN, non_retryable=True)


def refused(message: str = "The price is not metered.") -> ApplicationError:
    """Stripe says no, for good."""
    return ApplicationError(message, type=Failure.STRIPE_REFUSED, non_retryable=True)


class FakeLedger(GrantLedgerSteps):
    """The grants of a test, by operation id, with the rules that the workflow relies on."""

    def __init__(self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.grants: dict[str, Grant] = {}
        self.keys: dict[str, list[str]] = {}
        self.key_stored_at: dict[str, datetime] = {}
        self.first_key_age = timedelta()
        self.customer: str | None = "cus_1"
        self.customer_key = "customer-1"
        self.refusal: ApplicationError | None = None
        self.spent: list[MirrorClosing] = []
        self.closed: list[str] = []
        # Which grant each payment has paid for.
        self.paid_for: dict[str, str] = {}
        self._now = now

    async def create_local_grant(self, order: GrantOrder) -> Grant:
        if self.refusal is not None:
            raise self.refusal
        if order.operation_id not in self.grants:
            self.grants[order.operation_id] = _new_grant(order, self._now())
            self.keys[order.operation_id] = [f"grant-{order.operation_id}-1"]
            self.key_stored_at[order.operation_id] = self._now() - self.first_key_age
            if order.payment_id is not None:
                self.paid_for[order.payment_id] = order.operation_id
        return self.grants[order.operation_id]

    async def prepare_mirror(self, grant: GrantId) -> PreparedMirror:
        row = self.grants[grant.operation_id]
        if row.stage in CLOSED_STAGES or row.stripe_grant_id is not None:
            return PreparedMirror(row, None)
        row = self._write(grant.operation_id, GrantStage.STRIPE_PENDING, None, None)
        return PreparedMirror(row, self._request(grant.operation_id))

    async def renew_mirror_key(self, request: MirrorRequest) -> MirrorRequest:
        keys = self.keys[request.operation_id]
        if keys[-1] == request.idempotency_key:
            keys.append(f"grant-{request.operation_id}-{len(keys) + 1}")
            self.key_stored_at[request.operation_id] = self._now()
        return self._request(request.operation_id)

    async def change_stage(self, change: StageChange) -> Grant:
        if self.grants[change.operation_id].stage in CLOSED_STAGES:
            return self.grants[change.operation_id]
        return self._write(change.operation_id, change.stage, change.stripe_grant_id, change.reason)

    async def spent_mirrors(self, account: AccountId) -> list[MirrorClosing]:
        return [closing for closing in self.spent if closing.operation_id not in self.closed]

    async def record_closing(self, closing: MirrorClosing) -> None:
        self.closed.append(closing.operation_id)

    async def prepare_customer(self, account: AccountId) -> CustomerRequest:
        return CustomerRequest(account.account_id, "Ada", None, "user", self.customer, self.customer_key)

    async def renew_customer_key(self, request: CustomerRequest) -> CustomerRequest:
        self.customer_key = f"{request.idempotency_key}+"
        return replace(request, idempotency_key=self.customer_key)

    async def record_customer(self, customer: Customer) -> None:
        self.customer = customer.stripe_customer_id

    def forget_customer(self) -> None:
        """The account is not known at Stripe yet."""
        self.customer = None

    def _write(self, operation_id: str, stage: GrantStage, stripe_id: str | None, reason: str | None) -> Grant:
        row = self.grants[operation_id]
        known = None if stage is GrantStage.STUCK else row.stripe_grant_id or stripe_id
        self.grants[operation_id] = replace(row, stage=stage, stripe_grant_id=known, reason=reason)
        return self.grants[operation_id]

    def _request(self, operation_id: str) -> MirrorRequest:
        row = self.grants[operation_id]
        return MirrorRequest(
            operation_id=operation_id,
            account_id=row.account_id,
            stripe_customer_id=self.customer,
            type=row.type,
            credits=row.principal,
            amount_cents=row.principal,
            currency="usd",
            expires_at=row.expires_at,
            idempotency_key=self.keys[operation_id][-1],
            key_stored_at=self.key_stored_at[operation_id],
        )


class FakeStripe(GrantStripeSteps):
    """Answers creations from ``script``, oldest first, and creates once that is empty.

    An exception in the script is raised; a function is called with the request first (work done, answer lost).
    """

    def __init__(self) -> None:
        self.script: list[Exception | Callable[[MirrorRequest], Exception]] = []
        self.always: Callable[[], Exception] | None = None
        self.grants: dict[str, StripeGrant] = {}
        self.keys_used: list[str] = []
        self.customer_script: list[Exception] = []
        self.closings: list[str] = []
        self.unclosable: set[str] = set()
        self.looks = 0

    async def create_stripe_customer(self, request: CustomerRequest) -> Customer:
        if self.customer_script:
            raise self.customer_script.pop(0)
        return Customer(request.account_id, "cus_new")

    async def create_stripe_grant(self, request: MirrorRequest) -> StripeGrant:
        self.keys_used.append(request.idempotency_key)
        if self.always is not None:
            raise self.always()
        if self.script:
            step = self.script.pop(0)
            raise step if isinstance(step, Exception) else step(request)
        return self.make(request)

    async def find_stripe_grant(self, question: MirrorQuestion) -> FoundMirror:
        self.looks += 1
        found = [grant for grant in self.grants.values() if grant.operation_id == question.operation_id]
        return FoundMirror(next((grant for grant in found if not grant.closed), None))

    async def retrieve_stripe_grant(self, grant: StripeGrantId) -> StripeGrant:
        if grant.stripe_grant_id not in self.grants:
            raise refused("No such credit grant")
        return self.grants[grant.stripe_grant_id]

    async def close_stripe_grant(self, closing: MirrorClosing) -> None:
        if closing.stripe_grant_id in self.unclosable:
            raise refused("This credit grant can't be closed.")
        self.closings.append(closing.stripe_grant_id)

    def make(self, request: MirrorRequest) -> StripeGrant:
        """The grant of the request, as Stripe would have it afterwards."""
        made = StripeGrant(f"credgr_{len(self.grants) + 1}", request.operation_id, closed=False)
        self.grants[made.stripe_grant_id] = made
        return made

    def make_and_fail(self, request: MirrorRequest) -> Exception:
        """Does the work, and answers 500."""
        self.make(request)
        return stored_500()


def steps_of(fake: object) -> list[Callable[..., object]]:
    """The methods of a fake that are activities."""
    names = [name for name in dir(fake) if not name.startswith("_")]
    steps = [name for name in names if hasattr(getattr(type(fake), name, None), "__temporal_activity_definition")]
    return [getattr(fake, name) for name in steps]


def _new_grant(order: GrantOrder, now: datetime) -> Grant:
    mirrored = order.type is not GrantType.ROLLOVER
    return Grant(
        grant_id=f"grant-of-{order.operation_id}",
        operation_id=order.operation_id,
        account_id=order.account_id,
        type=order.type,
        priority=PRIORITY,
        principal=order.credits,
        balance=order.credits,
        expires_at=order.expires_at,
        created_at=now,
        description=order.description,
        stage=GrantStage.LOCAL if mirrored else GrantStage.NOT_MIRRORED,
        stage_since=now,
        stripe_grant_id=None,
        reason=None,
        created_by_request=order.request_id,
    )
