"""The books of payments as a typed fake: one account in memory, with the rules that the workflows rely on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from temporalio.exceptions import ApplicationError

from ledger.rules.money import Price
from ledger.rules.reversing import moves_against
from ledger.rules.topping_up import NoTopUp, TopUpRule, top_up_credits
from messages.customer_steps import PaymentMethodLedgerSteps
from messages.customers import AccountId, DefaultPaymentMethod
from messages.failures import Failure
from messages.payment_steps import PaymentLedgerSteps
from messages.payments import (
    UNSETTLED_STATES,
    BlockedMethods,
    NoticeOrder,
    Payment,
    PaymentError,
    PaymentId,
    PaymentIntentId,
    PaymentKind,
    PaymentNews,
    PaymentState,
    PurchaseOrder,
    SwitchOff,
    TopUpDecision,
    TopUpQuestion,
)
from messages.reversals import Reversal, ReversalTarget
from tests.workflows.fakes import FakeLedger

PUBLIC_URL = "https://grantflow.example"

_ENDS = (PaymentState.PAID, PaymentState.FAILED)


@dataclass
class Booked:
    """What is booked as reversed and frozen of one payment, in credits, and how often that has changed."""

    target: ReversalTarget
    reversed_credits: int = 0
    frozen_credits: int = 0
    changes: int = 0


class FakePayments(PaymentLedgerSteps, PaymentMethodLedgerSteps):
    """The account's settings, its payments by operation id, its notices, and what was reversed.

    ``base`` is the balance without what payments have bought, ``spent`` what of that can't be taken back any more.
    """

    def __init__(self, grants: FakeLedger, *, account_id: str, now: Callable[[], datetime]) -> None:
        self.grants = grants
        self.account_id = account_id
        self.enabled = True
        self.rule = TopUpRule(threshold=1000, target=5000, monthly_limit_cents=None)
        self.base = 400
        self.spent = 0
        self.off_because: SwitchOff | None = None
        self.blocked: list[str] = []
        self.to_cancel: list[str] = []
        # An operator has revoked all that was bought.
        self.revoked = False
        self.refusal: ApplicationError | None = None
        self.questions: list[TopUpQuestion] = []
        self.notices: dict[tuple[str, str], NoticeOrder] = {}
        self.booked: dict[str, Booked] = {}
        self.lost_answers = 0
        self.defaults: list[DefaultPaymentMethod] = []
        self.on_decision: Callable[[], None] = _nothing
        self.on_notice: Callable[[NoticeOrder], None] = _nothing
        self._rows: dict[str, Payment] = {}
        self._now = now

    @property
    def net(self) -> int:
        """The account's balance less debt."""
        bought = sum(grant.principal for grant in self.grants.grants.values())
        return self.base + bought - sum(each.reversed_credits for each in self.booked.values())

    @property
    def payments(self) -> list[Payment]:
        """All payments, oldest first."""
        return [self._row(operation_id) for operation_id in self._rows]

    @property
    def only(self) -> Payment:
        """The one payment that there is."""
        (payment,) = self.payments
        return payment

    def told(self, kind: str) -> list[NoticeOrder]:
        """The notices of a kind, each of which its owner gets once."""
        return [notice for notice in self.notices.values() if notice.kind == kind]

    def switch_on(self) -> None:
        """The owner's own word."""
        self.enabled, self.off_because = True, None

    def put(self, payment: Payment) -> Payment:
        """A row that an earlier run has left."""
        self._rows[payment.operation_id] = payment
        self._check()
        return self._row(payment.operation_id)

    def new(self, operation_id: str, kind: PaymentKind, credits: int, request_id: str) -> Payment:
        """A payment that was decided just now, at one cent for a credit."""
        return Payment(
            operation_id=operation_id,
            account_id=self.account_id,
            kind=kind,
            credits=credits,
            amount_cents=credits,
            currency="usd",
            state=PaymentState.OPEN,
            idempotency_key=f"payment-{operation_id}-1",
            key_stored_at=self._now(),
            created_at=self._now(),
            request_id=request_id,
        )

    async def open_top_up(self, question: TopUpQuestion) -> TopUpDecision:
        self.questions.append(question)
        self.on_decision()
        unsettled = self._unsettled()
        if unsettled:
            return TopUpDecision(unsettled[0], superseded=list(self.to_cancel))
        if not self.enabled:
            return TopUpDecision(None, NoTopUp.OFF)
        bought = self._bought(question.needs)
        if bought is NoTopUp.LIMIT_REACHED:
            return TopUpDecision(None, bought, error=PaymentError.LIMIT_REACHED, subject="limit/this-cycle")
        if isinstance(bought, NoTopUp):
            return TopUpDecision(None, bought)
        self._supersede()
        made = self.put(self.new(question.operation_id, PaymentKind.AUTO_TOPUP, bought, question.request_id))
        return TopUpDecision(made, superseded=list(self.to_cancel))

    async def record_canceled(self, payment: PaymentIntentId) -> None:
        self.to_cancel.remove(payment.payment_intent_id)

    async def still_wanted(self, payment: PaymentId) -> bool:
        return self._row(payment.operation_id).state is PaymentState.OPEN and self.enabled

    async def open_purchase(self, order: PurchaseOrder) -> Payment:
        if self.refusal is not None:
            raise self.refusal
        if order.operation_id in self._rows:
            return self._row(order.operation_id)
        return self.put(self.new(order.operation_id, PaymentKind.PURCHASE, order.credits, order.request_id))

    async def read_payment(self, payment: PaymentId) -> Payment:
        return self._row(payment.operation_id)

    async def renew_payment_key(self, payment: Payment) -> Payment:
        row = self._row(payment.operation_id)
        if row.idempotency_key == payment.idempotency_key:
            stem, _, number = row.idempotency_key.rpartition("-")
            self.put(replace(row, idempotency_key=f"{stem}-{int(number) + 1}", key_stored_at=self._now()))
        return self._row(payment.operation_id)

    async def blocked_methods(self, account: AccountId) -> BlockedMethods:
        return BlockedMethods(self.blocked)

    async def record_payment(self, news: PaymentNews) -> Payment:
        row = self._row(news.operation_id)
        ended = news.state in _ENDS
        return self.put(
            replace(
                row,
                state=news.state,
                payment_method_id=news.payment_method_id or row.payment_method_id,
                payment_intent_id=news.payment_intent_id or row.payment_intent_id,
                checkout_session_id=news.checkout_session_id or row.checkout_session_id,
                receipt_url=news.receipt_url or row.receipt_url,
                url=_whole(news.url),
                error=news.error,
                message=news.message,
                closed_at=(row.closed_at or self._now()) if ended else None,
            )
        )

    async def switch_off(self, order: SwitchOff) -> None:
        self._switch_off(order)

    def _switch_off(self, order: SwitchOff) -> None:
        if self.enabled:
            self.enabled, self.off_because = False, order

    async def give_notice(self, order: NoticeOrder) -> None:
        self.on_notice(order)
        self.notices.setdefault((order.kind, order.subject), replace(order, action_url=_whole(order.action_url)))

    async def reverse_payment(self, target: ReversalTarget) -> Reversal:
        operation_id = self.grants.paid_for.get(target.payment_id)
        if operation_id is None:
            raise ApplicationError(
                f"No grant has the payment {target.payment_id}.", type=Failure.UNKNOWN_PAYMENT, non_retryable=True
            )
        reversal = self._reverse(operation_id, target)
        if self.lost_answers:
            self.lost_answers -= 1
            raise ApplicationError("the connection was cut after the commit")
        return reversal

    async def record_payment_method(self, default: DefaultPaymentMethod) -> None:
        self.defaults.append(default)

    def _reverse(self, operation_id: str, target: ReversalTarget) -> Reversal:
        principal = self.grants.grants[operation_id].principal
        nothing = Booked(ReversalTarget(target.payment_id, target.paid_cents, 0))
        booked = self.booked.setdefault(target.payment_id, nothing)
        before, was, on = booked.reversed_credits, booked.target, self.enabled
        now = principal * target.reversed_cents // target.paid_cents
        changed = (target.reversed_cents, target.frozen_cents) != (was.reversed_cents, was.frozen_cents)
        if changed:
            booked.target, booked.reversed_credits, booked.changes = target, now, booked.changes + 1
            booked.frozen_credits = principal * target.frozen_cents // target.paid_cents
        against = changed and moves_against(target, reversed_cents=was.reversed_cents, frozen_cents=was.frozen_cents)
        if against:
            # In the same transaction, as the ledger does.
            self._switch_off(SwitchOff(self.account_id, PaymentError.REVERSED, "A payment has been reversed."))
        # Of what is spent nothing can be frozen, and of what was revoked nothing taken.
        there = 0 if self.revoked else max(0, principal - self.spent)
        taken = min(max(0, now - before), max(0, there - before))
        owed = 0 if self.revoked else max(0, now - before) - taken
        return Reversal(
            payment_id=target.payment_id,
            account_id=self.account_id,
            operation_id=operation_id,
            reversed_credits=now,
            frozen_credits=min(booked.frozen_credits, there),
            taken=taken if changed else 0,
            given_back=max(0, before - now) if changed else 0,
            debt_incurred=owed if changed else 0,
            net=self.net,
            changed=changed,
            changes=booked.changes,
            against=against,
            switched_off=on and not self.enabled,
        )

    def _bought(self, needs: list[int]) -> int | NoTopUp:
        counted = {*UNSETTLED_STATES, PaymentState.PAID}
        return top_up_credits(
            self.rule,
            kind="user",
            price=Price(),
            net=self.net,
            remaining=max(0, self.net),
            needs=needs,
            spent_cents=sum(row.amount_cents for row in self._top_ups() if row.state in counted),
        )

    def _top_ups(self) -> list[Payment]:
        return [row for row in self.payments if row.kind is PaymentKind.AUTO_TOPUP]

    def _unsettled(self) -> list[Payment]:
        return [row for row in self._top_ups() if row.state in UNSETTLED_STATES]

    def _supersede(self) -> None:
        for row in self._top_ups():
            if row.state is PaymentState.REQUIRES_ACTION:
                self.to_cancel += [row.payment_intent_id] if row.payment_intent_id else []
                self.put(replace(row, state=PaymentState.FAILED, error=PaymentError.SUPERSEDED, url=None))

    def _row(self, operation_id: str) -> Payment:
        if operation_id not in self._rows:
            raise ApplicationError(
                f"There is no payment {operation_id!r}.", type=Failure.UNKNOWN_PAYMENT, non_retryable=True
            )
        return replace(self._rows[operation_id], granted=operation_id in self.grants.grants)

    def _check(self) -> None:
        """As the unique index does."""
        assert len(self._unsettled()) <= 1, self._unsettled()


def _whole(url: str | None) -> str | None:
    return PUBLIC_URL + url if url is not None and url.startswith("/") else url


def _nothing(*_: object) -> None:
    """Nothing happens on the way."""
