"""Temporal's place in the API's tests: what the workflows would do, done at once, on the real ledger."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from gateways.temporal.flows import FlowRefused, FlowUnavailable
from ledger.customers import record_payment_method
from ledger.granting import process_and_grant_credit
from ledger.rules.errors import InvalidOrder, LedgerError, LimitExceeded
from messages.customers import DefaultPaymentMethod, PaymentMethod, PaymentMethodOrder
from messages.failures import Failure
from messages.grants import Grant, GrantOrder, GrantStatus, OperatorOrder, StripeGrantConfirmation
from tests.api.payment_flows import LocalPayments

DECLINED = "pm_card_chargeDeclined"
DECLINED_WORDS = "Your card was declined."

_FAILURES: dict[type[LedgerError], Failure] = {
    InvalidOrder: Failure.INVALID_ORDER,
    LimitExceeded: Failure.LIMIT_EXCEEDED,
}


class LocalFlows(LocalPayments):
    """The flows of one process: one grant for each operation id, whoever asks and however many at once.

    ``down`` is an outage; ``loses_answers`` does the work and then fails to say so.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self.granted: list[str] = []
        self.cannot_attach: Exception | None = None
        self._under_way: dict[str, asyncio.Task[Grant]] = {}
        self.retried: list[tuple[GrantOrder, OperatorOrder]] = []
        self.abandoned: list[tuple[GrantOrder, OperatorOrder]] = []
        self.confirmed: list[tuple[str, StripeGrantConfirmation]] = []
        self.statuses: dict[str, GrantStatus] = {}

    async def grant(self, order: GrantOrder) -> Grant:
        """Grants as the workflow does: the first order with the id counts, the others get its answer."""
        self._answer_or_fail()
        self.granted.append(order.operation_id)
        under_way = self._under_way.get(order.operation_id)
        if under_way is None:
            under_way = asyncio.create_task(self._grant(order))
            self._under_way[order.operation_id] = under_way
        grant = await asyncio.shield(under_way)
        if self.loses_answers:
            raise FlowUnavailable("The answer was lost.")
        return grant

    async def _grant(self, order: GrantOrder) -> Grant:
        try:
            return (await process_and_grant_credit(self._engine, order)).grant
        except (InvalidOrder, LimitExceeded) as error:
            raise FlowRefused(_FAILURES[type(error)], str(error), vars(error)) from error

    async def grant_status(self, operation_id: str) -> GrantStatus | None:
        """What the test says that the workflow answers."""
        self._answer_or_fail()
        return self.statuses.get(operation_id)

    async def retry_grant(self, order: GrantOrder, by: OperatorOrder) -> None:
        """Notes the order."""
        self._answer_or_fail()
        self.retried.append((order, by))

    async def abandon_grant(self, order: GrantOrder, by: OperatorOrder) -> None:
        """Notes the order."""
        self._answer_or_fail()
        self.abandoned.append((order, by))

    async def attach_payment_method(self, order: PaymentMethodOrder) -> PaymentMethod:
        """Attaches any card but the one that declines."""
        self._answer_or_fail()
        if self.cannot_attach is not None:
            raise self.cannot_attach
        if order.payment_method_id == DECLINED:
            said = {
                "message": DECLINED_WORDS,
                "code": "card_declined",
                "status": 402,
                "decline_code": "generic_decline",
            }
            raise FlowRefused(Failure.STRIPE_REFUSED, DECLINED_WORDS, said)
        method = PaymentMethod(payment_method_id="pm_1", kind="card", brand="visa", last4="4242")
        await record_payment_method(self._engine, DefaultPaymentMethod(order.account_id, method))
        return method

    async def confirm_grant(self, operation_id: str, confirmation: StripeGrantConfirmation) -> bool:
        """Notes the signal."""
        self._answer_or_fail()
        self.confirmed.append((operation_id, confirmation))
        return True

    async def is_reachable(self) -> bool:
        """Whether the test has it up."""
        return not self.down
