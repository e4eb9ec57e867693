"""The durable flows as their callers see them: start, signal, ask. Answers come as our payloads, failures as ours."""

from typing import Any

from temporalio.client import WithStartWorkflowOperation
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.service import RPCError, RPCStatusCode

from gateways.temporal.answers import (
    ANSWER_SECONDS,
    RPC_TIMEOUT,
    TASK_TIMEOUT,
    FlowRefused,
    FlowUnavailable,
    answered_within,
    begun,
)
from gateways.temporal.payment_flows import PaymentFlows
from messages import names
from messages.customers import PaymentMethod, PaymentMethodOrder
from messages.grants import Grant, GrantOrder, GrantStage, GrantStatus, OperatorOrder, StripeGrantConfirmation

# Attaching a card is two or three calls to Stripe.
PAYMENT_METHOD_SECONDS = 15

__all__ = ["FlowRefused", "FlowUnavailable", "Flows"]


class Flows(PaymentFlows):
    """The workflows of a namespace."""

    async def grant(self, order: GrantOrder) -> Grant:
        """Starts the grant's workflow and answers as soon as the local grant has committed.

        Callers with one operation id meet in one workflow and get one answer. Raises FlowRefused, FlowUnavailable.
        """
        try:
            return await self._grant(order, update_id=order.operation_id)
        except FlowRefused as refusal:
            if refusal.details.get("request_id") == order.request_id:
                raise
        # Temporal remembers the answer of a finished update, here the refusal of an earlier request. A refusal claims
        # nothing, so this request is judged by itself. (A slash can't be in an operation id.)
        return await self._grant(order, update_id=f"{order.operation_id}/{order.request_id}")

    async def _grant(self, order: GrantOrder, *, update_id: str) -> Grant:
        start = WithStartWorkflowOperation[Any, Any](
            names.CREDIT_GRANT_WORKFLOW,
            order,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            # A finished grant is never run again; one that was refused claimed nothing and may be.
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            **_placing(order),
        )
        async with answered_within(ANSWER_SECONDS):
            granted: Grant = await self._client.execute_update_with_start_workflow(
                names.CREATE_LOCAL_GRANT,
                start_workflow_operation=begun(start),
                id=update_id,
                result_type=Grant,
                rpc_timeout=RPC_TIMEOUT,
            )
        return granted

    async def adopt_grant(self, order: GrantOrder) -> None:
        """Starts a workflow for a grant that is in the ledger already; does nothing where one runs."""
        async with answered_within(ANSWER_SECONDS):
            await self._client.start_workflow(
                names.CREDIT_GRANT_WORKFLOW,
                order,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                rpc_timeout=RPC_TIMEOUT,
                **_placing(order),
            )

    async def retry_grant(self, order: GrantOrder, by: OperatorOrder) -> None:
        """Tells the grant's workflow to try Stripe again, starting one where none runs."""
        await self._signal_with_start(order, names.RETRY_STRIPE_GRANT, by)

    async def abandon_grant(self, order: GrantOrder, by: OperatorOrder) -> None:
        """Tells the grant's workflow to stop the mirroring, starting one where none runs. The credits stay."""
        await self._signal_with_start(order, names.ABANDON, by)

    async def confirm_grant(self, operation_id: str, confirmation: StripeGrantConfirmation) -> bool:
        """Signals that Stripe has the grant; False when no workflow of it runs. Raises FlowUnavailable."""
        handle = self._client.get_workflow_handle(names.grant_workflow_id(operation_id))
        async with answered_within(ANSWER_SECONDS):
            try:
                await handle.signal(names.STRIPE_GRANT_CONFIRMED, confirmation, rpc_timeout=RPC_TIMEOUT)
            except RPCError as error:
                if error.status == RPCStatusCode.NOT_FOUND:
                    return False
                raise
        return True

    async def grant_status(self, operation_id: str) -> GrantStatus | None:
        """The workflow's own answer to the query ``status``; None when Temporal has no such workflow."""
        handle = self._client.get_workflow_handle(names.grant_workflow_id(operation_id))
        async with answered_within(ANSWER_SECONDS):
            try:
                status: GrantStatus = await handle.query(names.STATUS, result_type=GrantStatus, rpc_timeout=RPC_TIMEOUT)
            except RPCError as error:
                if error.status == RPCStatusCode.NOT_FOUND:
                    return None
                raise
        return status

    async def attach_payment_method(self, order: PaymentMethodOrder) -> PaymentMethod:
        """Attaches a payment method at Stripe and makes it the default. Raises FlowRefused, FlowUnavailable."""
        async with answered_within(PAYMENT_METHOD_SECONDS):
            attached: PaymentMethod = await self._client.execute_workflow(
                names.PAYMENT_METHOD_WORKFLOW,
                order,
                id=names.payment_method_workflow_id(order.attempt_id),
                task_queue=names.TASK_QUEUE,
                result_type=PaymentMethod,
                search_attributes=TypedSearchAttributes([SearchAttributePair(names.ACCOUNT_ID, order.account_id)]),
                static_summary="A payment method for the account",
            )
        return attached

    async def is_reachable(self) -> bool:
        """Whether Temporal answers."""
        try:
            async with answered_within(ANSWER_SECONDS):
                return await self._client.service_client.check_health(timeout=RPC_TIMEOUT)
        except FlowUnavailable:
            return False

    async def _signal_with_start(self, order: GrantOrder, signal: str, by: OperatorOrder) -> None:
        async with answered_within(ANSWER_SECONDS):
            await self._client.start_workflow(
                names.CREDIT_GRANT_WORKFLOW,
                order,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                start_signal=signal,
                start_signal_args=[by],
                rpc_timeout=RPC_TIMEOUT,
                **_placing(order),
            )


def _placing(order: GrantOrder) -> dict[str, Any]:
    """How a grant's workflow is named and found, whoever starts it."""
    return {
        "id": names.grant_workflow_id(order.operation_id),
        "task_queue": names.TASK_QUEUE,
        "task_timeout": TASK_TIMEOUT,
        "static_summary": f"{order.credits} {order.type} credits",
        "search_attributes": TypedSearchAttributes(
            [
                SearchAttributePair(names.ACCOUNT_ID, order.account_id),
                SearchAttributePair(names.OPERATION_ID, order.operation_id),
                SearchAttributePair(names.GRANT_TYPE, str(order.type)),
                SearchAttributePair(names.GRANT_STAGE, str(GrantStage.LOCAL)),
            ]
        ),
    }
