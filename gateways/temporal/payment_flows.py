"""The durable flows of payments as their callers see them. Answers come as our payloads, failures as ours."""

from datetime import timedelta
from typing import Any

from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)

from gateways.temporal.answers import ANSWER_SECONDS, RPC_TIMEOUT, TASK_TIMEOUT, FlowRefused, answered_within, begun
from messages import names
from messages.customers import AccountId
from messages.payments import (
    UNSETTLED_STATES,
    Payment,
    PaymentEvent,
    PaymentKind,
    PurchaseOrder,
    TopUpDemand,
    TopUpOrder,
    TopUpOutcome,
    resumed_order,
)
from messages.reversals import ReversalOrder

# A request waits so long for its top-up (contract).
TOP_UP_SECONDS = 10
LONG_TASK_TIMEOUT = timedelta(seconds=30)
# A purchase is a few calls to Stripe.
PURCHASE_SECONDS = 15


class PaymentFlows:
    """The workflows of payments in a namespace."""

    def __init__(self, client: Client, *, task_queue: str = names.TASK_QUEUE) -> None:
        self._client = client
        self._task_queue = task_queue

    async def top_up_wanted(self, account_id: str, demand: TopUpDemand) -> None:
        """Has the account topped up, if that is wanted; does not wait for it. Raises FlowUnavailable."""
        await self._signal(names.TOP_UP_WANTED, demand, _top_up(account_id))

    async def top_up(self, account_id: str, demand: TopUpDemand) -> TopUpOutcome:
        """Has the account topped up, and waits for the credits, ten seconds at most. Raises FlowUnavailable."""
        start = self._start(_top_up(account_id))
        async with answered_within(TOP_UP_SECONDS):
            outcome: TopUpOutcome = await self._client.execute_update_with_start_workflow(
                names.TOP_UP, demand, start_workflow_operation=start, result_type=TopUpOutcome
            )
        return outcome

    async def purchase(self, order: PurchaseOrder) -> Payment:
        """Buys credits; answers when it is known what has become of it, or what the owner has to do.

        Callers with one operation id meet in one workflow. Raises FlowRefused, FlowUnavailable.
        """
        try:
            return await self._purchase(order, update_id=order.operation_id)
        except FlowRefused as refusal:
            if refusal.details.get("request_id") == order.request_id:
                raise
        # As for grants (flows.py): Temporal remembers the refusal of an earlier request, and this one is another.
        return await self._purchase(order, update_id=f"{order.operation_id}/{order.request_id}")

    async def _purchase(self, order: PurchaseOrder, *, update_id: str) -> Payment:
        start = self._start(_purchase(order), id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY)
        async with answered_within(PURCHASE_SECONDS):
            payment: Payment = await self._client.execute_update_with_start_workflow(
                names.BEGIN_PURCHASE, start_workflow_operation=start, id=update_id, result_type=Payment
            )
        return payment

    async def authenticate_payment(self, payment: Payment) -> Payment:
        """Asks Stripe where the owner authenticates the payment: the answer's ``url``.

        Raises FlowRefused, FlowUnavailable.
        """
        start = self._start(_purchase(resumed_order(payment)))
        async with answered_within(PURCHASE_SECONDS):
            asked: Payment = await self._client.execute_update_with_start_workflow(
                names.AUTHENTICATE, start_workflow_operation=start, result_type=Payment
            )
        return asked

    async def payment_changed(self, payment: Payment, event: PaymentEvent, *, failed: bool = False) -> None:
        """Tells whoever carries the payment that Stripe has news of it, starting somebody where nobody does."""
        signal = names.PAYMENT_FAILED if failed else names.PAYMENT_SUCCEEDED
        in_line = payment.kind is PaymentKind.AUTO_TOPUP and payment.state in UNSETTLED_STATES
        await self._signal(signal, event, _top_up(payment.account_id) if in_line else _purchase(resumed_order(payment)))

    async def payment_reversed(self, payment: Payment, payment_intent_id: str, event: PaymentEvent) -> None:
        """Has it looked at how much of the payment, which is this intent at Stripe, has gone back."""
        workflow = names.PAYMENT_REVERSAL_WORKFLOW, ReversalOrder(payment_intent_id)
        summary = f"What has gone back of {payment_intent_id}"
        placing = _placing(names.reversal_workflow_id(payment_intent_id), summary, _searched(payment))
        # A burst of events makes long tasks, and nobody waits for the answer while a dead worker's is waited for.
        placing["task_timeout"] = LONG_TASK_TIMEOUT
        await self._signal(names.PAYMENT_CHANGED, event, (workflow, placing))

    async def customer_changed(self, account_id: str, event: PaymentEvent) -> None:
        """Has our books learn which payment method is the account's default."""
        workflow = names.CUSTOMER_WORKFLOW, AccountId(account_id)
        searched = (SearchAttributePair(names.ACCOUNT_ID, account_id),)
        placing = _placing(names.customer_workflow_id(account_id), "How the customer stands at Stripe", searched)
        await self._signal(names.CUSTOMER_CHANGED, event, (workflow, placing))

    async def _signal(self, signal: str, argument: object, started: "_Started") -> None:
        (workflow, order), placing = started
        async with answered_within(ANSWER_SECONDS):
            await self._client.start_workflow(
                workflow,
                order,
                start_signal=signal,
                start_signal_args=[argument],
                task_queue=self._task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                rpc_timeout=RPC_TIMEOUT,
                **placing,
            )

    def _start(self, started: "_Started", **more: Any) -> WithStartWorkflowOperation[Any, Any]:
        (workflow, order), placing = started
        return begun(
            WithStartWorkflowOperation[Any, Any](
                workflow,
                order,
                task_queue=self._task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                **placing,
                **more,
            )
        )


# A workflow with its input, and how it is named and found.
_Started = tuple[tuple[str, object], dict[str, Any]]


def _top_up(account_id: str) -> _Started:
    searched = (SearchAttributePair(names.ACCOUNT_ID, account_id),)
    placing = _placing(names.auto_topup_workflow_id(account_id), "Auto top-up of the account", searched)
    return (names.AUTO_TOPUP_WORKFLOW, TopUpOrder(account_id)), placing


def _purchase(order: PurchaseOrder) -> _Started:
    searched = _searched(order)
    summary = f"{order.credits:,} credits are bought"
    return (names.PURCHASE_WORKFLOW, order), _placing(names.purchase_workflow_id(order.operation_id), summary, searched)


def _searched(of: Payment | PurchaseOrder) -> tuple[SearchAttributePair[str], ...]:
    return (
        SearchAttributePair(names.ACCOUNT_ID, of.account_id),
        SearchAttributePair(names.OPERATION_ID, of.operation_id),
    )


def _placing(workflow_id: str, summary: str, searched: tuple[SearchAttributePair[str], ...]) -> dict[str, Any]:
    return {
        "id": workflow_id,
        "task_timeout": TASK_TIMEOUT,
        "static_summary": summary,
        "search_attributes": TypedSearchAttributes(list(searched)),
    }
