"""The payments' part of Temporal's place in the API's tests: what those workflows would do, at once, on the real
ledger, with a card of which the test says how it behaves."""

import asyncio
from dataclasses import replace
from typing import Literal
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from gateways.temporal.flows import FlowRefused, FlowUnavailable
from ledger.granting import process_and_grant_credit
from ledger.noticing import give_notice
from ledger.paying import open_purchase, read_payment, record_payment
from ledger.topping_up import open_top_up, switch_off
from messages.payments import (
    Decline,
    NoticeKind,
    NoticeOrder,
    Payment,
    PaymentError,
    PaymentEvent,
    PaymentNews,
    PaymentState,
    PurchaseOrder,
    SwitchOff,
    TopUpDemand,
    TopUpOutcome,
    TopUpQuestion,
    grant_order,
)

Card = Literal["good", "slow", "declined", "authentication", "checkout"]

DECLINED_MESSAGE = "Your card was declined. Add another card, then switch auto top-up on again."
AUTHENTICATION_MESSAGE = "Your bank wants you to authenticate the payment."
STRIPES_PAGE = "https://stripe.test/authenticate"
CHECKOUT_PAGE = "https://stripe.test/checkout"


class LocalPayments:
    """The payments' flows of one process. ``card`` is how the accounts' cards behave, and ``stripe_seconds`` how long
    Stripe takes to say so."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.down = False
        self.loses_answers = False
        self.card: Card = "good"
        self.stripe_seconds = 0.0
        self.wanted: list[tuple[str, TopUpDemand]] = []
        self.topped_up: list[tuple[str, TopUpDemand]] = []
        self.purchased: list[str] = []
        self._purchases: dict[str, asyncio.Task[Payment]] = {}
        self.authenticated: list[str] = []
        self.told: list[tuple[str, PaymentEvent]] = []
        # What Stripe answers when an owner authenticates: its page, or None where it needs no page any more.
        self.stripes_page: str | None = STRIPES_PAGE
        self.refuses_to_authenticate: str | None = None

    async def top_up_wanted(self, account_id: str, demand: TopUpDemand) -> None:
        """Notes the signal; the test says when it is followed."""
        self._answer_or_fail()
        self.wanted.append((account_id, demand))

    async def top_up(self, account_id: str, demand: TopUpDemand) -> TopUpOutcome:
        """Tops up as the workflow does."""
        self._answer_or_fail()
        self.topped_up.append((account_id, demand))
        question = TopUpQuestion(account_id, f"auto-topup-{uuid4()}", demand.needs(), demand.request_id)
        decision = await open_top_up(self._engine, question)
        if decision.payment is None:
            return TopUpOutcome(error=decision.error, message=decision.reason)
        await asyncio.sleep(self.stripe_seconds)
        outcome = await self._charge(decision.payment)
        if self.loses_answers:
            raise FlowUnavailable("The answer was lost.")
        return outcome

    async def _charge(self, payment: Payment) -> TopUpOutcome:
        if self.card == "declined":
            return await self._refuse(payment, PaymentError.DECLINED, DECLINED_MESSAGE, PaymentState.FAILED)
        if self.card == "authentication":
            error = PaymentError.AUTHENTICATION_REQUIRED
            return await self._refuse(payment, error, AUTHENTICATION_MESSAGE, PaymentState.REQUIRES_ACTION)
        await self._pay(payment)
        added = NoticeOrder(
            payment.account_id,
            NoticeKind.AUTO_TOPUP_ADDED,
            payment.operation_id,
            f"{payment.credits} credits were added.",
            credits=payment.credits,
        )
        await give_notice(self._engine, added)
        return TopUpOutcome(added=payment.credits)

    async def _refuse(self, payment: Payment, error: PaymentError, message: str, state: PaymentState) -> TopUpOutcome:
        news = PaymentNews(
            payment.operation_id,
            state,
            payment_method_id="pm_1",
            payment_intent_id=f"pi_{payment.operation_id}",
            error=error,
            message=message,
            decline=Decline(message) if error is PaymentError.DECLINED else None,
        )
        await record_payment(self._engine, news)
        await switch_off(self._engine, SwitchOff(payment.account_id, error, message))
        url = None
        if state is PaymentState.REQUIRES_ACTION:
            url = f"/payments/{payment.operation_id}/authenticate"
        failed = NoticeOrder(
            payment.account_id,
            NoticeKind.AUTO_TOPUP_FAILED,
            payment.operation_id,
            message,
            error=error,
            action_url=None if url is None else f"https://grantflow.test{url}",
        )
        await give_notice(self._engine, failed)
        return TopUpOutcome(error=error, message=message, action_url=url)

    async def purchase(self, order: PurchaseOrder) -> Payment:
        """Buys as the workflow does: the first order with the id counts, the others get its answer."""
        self._answer_or_fail()
        self.purchased.append(order.operation_id)
        under_way = self._purchases.get(order.operation_id)
        if under_way is None:
            under_way = asyncio.create_task(self._buy(order))
            self._purchases[order.operation_id] = under_way
        payment = await asyncio.shield(under_way)
        if self.loses_answers:
            raise FlowUnavailable("The answer was lost.")
        return payment

    async def _buy(self, order: PurchaseOrder) -> Payment:
        payment = await open_purchase(self._engine, order)
        if payment.state is not PaymentState.OPEN:
            return payment
        operation_id = payment.operation_id
        match self.card:
            case "good":
                return await self._pay(payment)
            case "slow":
                news = PaymentNews(operation_id, PaymentState.PROCESSING, payment_intent_id=f"pi_{operation_id}")
            case "declined":
                error = PaymentError.PURCHASE_DECLINED
                news = PaymentNews(operation_id, PaymentState.FAILED, error=error, message="Your card was declined.")
            case _:
                news = PaymentNews(operation_id, PaymentState.REQUIRES_ACTION, url=CHECKOUT_PAGE)
        return await record_payment(self._engine, news)

    async def _pay(self, payment: Payment) -> Payment:
        intent = f"pi_{payment.operation_id}"
        receipt = f"https://stripe.test/receipts/{intent}"
        news = PaymentNews(payment.operation_id, PaymentState.PAID, payment_intent_id=intent, receipt_url=receipt)
        await record_payment(self._engine, news)
        await process_and_grant_credit(self._engine, grant_order(payment, intent))
        return await read_payment(self._engine, payment.operation_id)

    async def authenticate_payment(self, payment: Payment) -> Payment:
        """Asks Stripe for its page, as the workflow does."""
        self._answer_or_fail()
        self.authenticated.append(payment.operation_id)
        if self.refuses_to_authenticate is not None:
            raise FlowRefused(self.refuses_to_authenticate, "No.", {})
        now = await read_payment(self._engine, payment.operation_id)
        return replace(now, url=self.stripes_page) if now.state is PaymentState.REQUIRES_ACTION else now

    async def payment_changed(self, payment: Payment, event: PaymentEvent, *, failed: bool = False) -> None:
        """Notes the signal."""
        self.told.append((payment.operation_id, event))

    async def payment_reversed(self, payment: Payment, payment_intent_id: str, event: PaymentEvent) -> None:
        """Notes the signal."""
        self.told.append((payment_intent_id, event))

    async def customer_changed(self, account_id: str, event: PaymentEvent) -> None:
        """Notes the signal."""
        self.told.append((account_id, event))

    def _answer_or_fail(self) -> None:
        if self.down:
            raise FlowUnavailable("Temporal did not answer within 5 s (RPCError).")
