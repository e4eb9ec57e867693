"""The payments' steps in our database. Each is one transaction, and each may be repeated."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.failures import final_failures
from ledger import paying, topping_up
from ledger.noticing import give_notice
from ledger.reversing import reverse_payment
from messages.customers import AccountId
from messages.payment_steps import PaymentLedgerSteps
from messages.payments import (
    BlockedMethods,
    NoticeOrder,
    Payment,
    PaymentId,
    PaymentIntentId,
    PaymentNews,
    PurchaseOrder,
    SwitchOff,
    TopUpDecision,
    TopUpQuestion,
)
from messages.reversals import Reversal, ReversalTarget


class PaymentLedger(PaymentLedgerSteps):
    """See :class:`messages.payment_steps.PaymentLedgerSteps` for what each step does."""

    def __init__(self, engine: AsyncEngine, *, public_url: str) -> None:
        """``public_url`` is where our own pages are, to which notices lead their readers."""
        self._engine = engine
        self._public_url = public_url

    async def open_top_up(self, question: TopUpQuestion) -> TopUpDecision:
        with final_failures():
            return await topping_up.open_top_up(self._engine, question)

    async def still_wanted(self, payment: PaymentId) -> bool:
        with final_failures():
            return await topping_up.still_wanted(self._engine, payment.operation_id)

    async def open_purchase(self, order: PurchaseOrder) -> Payment:
        with final_failures():
            return await paying.open_purchase(self._engine, order)

    async def read_payment(self, payment: PaymentId) -> Payment:
        with final_failures():
            return await paying.read_payment(self._engine, payment.operation_id)

    async def renew_payment_key(self, payment: Payment) -> Payment:
        with final_failures():
            return await paying.renew_payment_key(self._engine, payment)

    async def blocked_methods(self, account: AccountId) -> BlockedMethods:
        with final_failures():
            return await paying.blocked_methods(self._engine, account.account_id)

    async def record_payment(self, news: PaymentNews) -> Payment:
        with final_failures():
            return await paying.record_payment(self._engine, replace(news, url=self._whole(news.url)))

    async def record_canceled(self, payment: PaymentIntentId) -> None:
        with final_failures():
            await paying.record_canceled(self._engine, payment.payment_intent_id)

    async def switch_off(self, order: SwitchOff) -> None:
        with final_failures():
            await topping_up.switch_off(self._engine, order)

    async def give_notice(self, order: NoticeOrder) -> None:
        with final_failures():
            await give_notice(self._engine, replace(order, action_url=self._whole(order.action_url)))

    async def reverse_payment(self, target: ReversalTarget) -> Reversal:
        with final_failures():
            return await reverse_payment(self._engine, target, request_id=f"reversal {target.reason}")

    def _whole(self, url: str | None) -> str | None:
        """Paths of our own become addresses; Stripe's addresses are that already."""
        return self._public_url + url if url is not None and url.startswith("/") else url
