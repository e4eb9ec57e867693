"""CreditGrantWorkflow: local grant at once, Stripe's grant behind it, confirmed by the webhook's signal."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from messages import names
from messages.customers import AccountId
from messages.failures import Failure, failed_with, refusal
from messages.grant_steps import GrantLedgerSteps, GrantStripeSteps
from messages.grants import (
    CLOSED_STAGES,
    Grant,
    GrantId,
    GrantOrder,
    GrantStage,
    GrantStatus,
    MirrorQuestion,
    MirrorRequest,
    OperatorOrder,
    PreparedMirror,
    StageChange,
    StripeGrant,
    StripeGrantConfirmation,
    StripeGrantId,
)
from workflows import patience
from workflows.calls import at_stripe, in_ledger
from workflows.customers import customer_of
from workflows.grant_words import describe
from workflows.refusals import benign

Answer = TypeVar("Answer")


@workflow.defn(name=names.CREDIT_GRANT_WORKFLOW)
class CreditGrantWorkflow:
    """One grant, from the order to Stripe's confirmation. The grant's row is the truth: it can take over anywhere."""

    @workflow.init
    def __init__(self, order: GrantOrder) -> None:
        self._order = order
        self._granted: Grant | None = None  # as first made: what the caller of the update is told
        self._grant: Grant | None = None  # as it stands
        self._refused: ApplicationError | None = None
        self._confirmation: StripeGrantConfirmation | None = None
        self._abandoned: OperatorOrder | None = None
        self._retry_asked = False
        self._pause = patience.FIRST_PAUSE

    @workflow.run
    async def run(self, order: GrantOrder) -> GrantStatus:
        """Grants the credits and carries them to Stripe. A refused order fails the run, benignly."""
        self._say()
        try:
            self._granted = await in_ledger(GrantLedgerSteps.create_local_grant, order)
        except ApplicationError as error:
            self._refused = benign(error, order.request_id)
            await workflow.wait_condition(workflow.all_handlers_finished)
            raise self._refused from error
        self._stands(self._granted)
        await self._mirror(self._granted)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.status()

    @workflow.update(name=names.CREATE_LOCAL_GRANT)
    async def create_local_grant(self) -> Grant:
        """Answers when the local grant has committed; raises the ledger's refusal otherwise."""
        await workflow.wait_condition(lambda: self._granted is not None or self._refused is not None)
        if self._granted is None:
            raise self._refused or ApplicationError("The grant ended without an answer.")
        return self._granted

    @workflow.signal(name=names.STRIPE_GRANT_CONFIRMED)
    def stripe_grant_confirmed(self, confirmation: StripeGrantConfirmation) -> None:
        """Stripe's webhook: the credit grant exists. It may come early, late or twice; the first one counts."""
        self._confirmation = self._confirmation or confirmation

    @workflow.signal(name=names.RETRY_STRIPE_GRANT)
    def retry_stripe_grant(self, by: OperatorOrder) -> None:
        """An operator has mended the cause: a stuck grant is tried again."""
        workflow.logger.info("retry asked by %s: %s", by.actor, by.reason)
        self._retry_asked = True

    @workflow.signal(name=names.ABANDON)
    def abandon(self, by: OperatorOrder) -> None:
        """An operator gives the mirror up; the credits stay."""
        self._abandoned = self._abandoned or by

    @workflow.query(name=names.STATUS)
    def status(self) -> GrantStatus:
        """Where the grant stands, in data and in words."""
        grant = self._grant
        return GrantStatus(
            operation_id=self._order.operation_id,
            account_id=self._order.account_id,
            type=self._order.type,
            credits=self._order.credits,
            stage=grant.stage if grant else GrantStage.LOCAL,
            stage_since=grant.stage_since if grant else workflow.info().start_time,
            stripe_grant_id=grant.stripe_grant_id if grant else None,
            reason=grant.reason if grant else None,
            details=describe(self._order, grant),
        )

    async def _mirror(self, grant: Grant) -> None:
        while grant.stage not in CLOSED_STAGES:
            try:
                grant = await self._next_step(grant)
            except ActivityError as error:
                if not failed_with(error, Failure.STRIPE_REFUSED):
                    raise
                grant = await self._after_refusal(error)

    async def _next_step(self, grant: Grant) -> Grant:
        if self._abandoned is not None:
            return await self._change(GrantStage.ABANDONED, reason=self._abandoned.reason or "no reason given")
        if self._confirmation is not None:
            # What the row knows wins: a confirmation of another grant with our id is for reconciliation to find.
            stripe_grant_id = grant.stripe_grant_id or self._confirmation.stripe_grant_id
            return await self._change(GrantStage.CONFIRMED, stripe_grant_id=stripe_grant_id)
        if grant.stage is GrantStage.STUCK:
            return await self._wait_for_operator(grant)
        if grant.stripe_grant_id is not None:
            return await self._wait_for_webhook(grant, grant.stripe_grant_id)
        return await self._create_at_stripe()

    async def _create_at_stripe(self) -> Grant:
        prepared = await self._prepare()
        if prepared.request is None:
            return prepared.grant
        customer = await customer_of(self._order.account_id, answer_to=self._unless_settled)
        if customer is None:
            return prepared.grant
        made = await self._create_or_find(replace(prepared.request, stripe_customer_id=customer))
        if made is None:
            return prepared.grant
        return await self._change(GrantStage.AWAITING_WEBHOOK, stripe_grant_id=made.stripe_grant_id)

    async def _create_or_find(self, request: MirrorRequest) -> StripeGrant | None:
        """Creates under the stored key. Where the outcome is unknown or the key too old: looks, then renews the key."""
        left = patience.STRIPE_KEY_LIFE - (workflow.now() - request.key_stored_at)
        if left > timedelta():
            try:
                return await self._unless_settled(
                    at_stripe(GrantStripeSteps.create_stripe_grant, request, summary="the mirror", whole=left)
                )
            except ActivityError as error:
                if failed_with(error, Failure.STRIPE_REFUSED):
                    raise
                workflow.logger.warning("the outcome of %s is unknown: %s", request.idempotency_key, error.cause)
        found = await self._look()
        if found is None and not self._settled:
            await in_ledger(GrantLedgerSteps.renew_mirror_key, request)
            await self._pause_a_while()
        return found

    async def _after_refusal(self, error: ActivityError) -> Grant:
        """A refusal may be Stripe's limit of unused grants: closes what is spent and tries again, else it is stuck."""
        if await self._make_room():
            return await self._with_next_key()
        self._retry_asked = False
        cause = refusal(error)
        return await self._change(GrantStage.STUCK, reason=f"Stripe refused: {cause.message if cause else error}")

    async def _make_room(self) -> bool:
        """Closes the account's spent mirrors at Stripe; True when one was closed. One that can't be is passed over."""
        closed = False
        for closing in await in_ledger(GrantLedgerSteps.spent_mirrors, AccountId(self._order.account_id)):
            try:
                await at_stripe(GrantStripeSteps.close_stripe_grant, closing, summary="makes room")
            except ActivityError as error:
                if not failed_with(error, Failure.STRIPE_REFUSED, Failure.STRIPE_OUTCOME_UNKNOWN):
                    raise
                workflow.logger.warning("%s stays open at Stripe: %s", closing.stripe_grant_id, error.cause)
            else:
                await in_ledger(GrantLedgerSteps.record_closing, closing)
                closed = True
        return closed

    async def _wait_for_operator(self, grant: Grant) -> Grant:
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._settled or self._retry_asked,
                timeout=patience.STUCK_LOOK,
                timeout_summary="then looks whether Stripe has it",
            )
        if self._settled:
            return grant
        found = await self._look()
        if found is not None:
            return await self._change(GrantStage.AWAITING_WEBHOOK, stripe_grant_id=found.stripe_grant_id)
        if not self._retry_asked:
            return grant
        self._retry_asked = False
        return await self._with_next_key()

    async def _look(self) -> StripeGrant | None:
        customer = await customer_of(self._order.account_id, answer_to=self._unless_settled)
        if customer is None:
            return None
        question = MirrorQuestion(operation_id=self._order.operation_id, stripe_customer_id=customer)
        call = at_stripe(GrantStripeSteps.find_stripe_grant, question, summary="is it there?")
        found = await self._unless_settled(call)
        return found.stripe_grant if found is not None else None

    async def _with_next_key(self) -> Grant:
        """Ready to create again, under a new key: a refusal may be stored under the old one and would be replayed."""
        prepared = await self._prepare()
        if prepared.request is not None:
            await in_ledger(GrantLedgerSteps.renew_mirror_key, prepared.request)
        return prepared.grant

    async def _prepare(self) -> PreparedMirror:
        prepared = await in_ledger(GrantLedgerSteps.prepare_mirror, GrantId(self._order.operation_id))
        self._stands(prepared.grant)
        return prepared

    async def _wait_for_webhook(self, grant: Grant, stripe_grant_id: str) -> Grant:
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._settled, timeout=patience.WEBHOOK, timeout_summary="then Stripe is asked"
            )
        if self._settled:
            return grant
        try:
            found = await self._unless_settled(
                at_stripe(
                    GrantStripeSteps.retrieve_stripe_grant,
                    StripeGrantId(stripe_grant_id),
                    summary="instead of a webhook",
                )
            )
        except ActivityError as error:
            if not failed_with(error, Failure.STRIPE_REFUSED):
                raise
            return await self._change(GrantStage.STUCK, reason=f"Stripe does not know {stripe_grant_id}.")
        if found is None:
            return grant
        if found.closed:
            return await self._change(GrantStage.STUCK, reason=f"{stripe_grant_id} was voided at Stripe.")
        return await self._change(GrantStage.CONFIRMED, stripe_grant_id=stripe_grant_id)

    @property
    def _settled(self) -> bool:
        return self._confirmation is not None or self._abandoned is not None

    async def _unless_settled(self, call: workflow.ActivityHandle[Answer]) -> Answer | None:
        """The call's answer, or None when a signal has made it needless first; then the call is let go."""
        await workflow.wait_condition(lambda: call.done() or self._settled)
        if call.done():
            return await call
        call.cancel()
        return None

    async def _pause_a_while(self) -> None:
        try:
            await workflow.wait_condition(
                lambda: self._settled, timeout=self._pause, timeout_summary="before the next try"
            )
        except TimeoutError:
            self._pause = min(2 * self._pause, patience.LONGEST_PAUSE)

    async def _change(
        self, stage: GrantStage, *, stripe_grant_id: str | None = None, reason: str | None = None
    ) -> Grant:
        change = StageChange(
            operation_id=self._order.operation_id, stage=stage, stripe_grant_id=stripe_grant_id, reason=reason
        )
        grant = await in_ledger(GrantLedgerSteps.change_stage, change)
        self._stands(grant)
        return grant

    def _stands(self, grant: Grant) -> None:
        """The row's news, told to whoever looks: search attribute, current details and memo."""
        moved = self._grant is None or self._grant.stage is not grant.stage
        self._grant = grant
        if moved:
            workflow.upsert_search_attributes([names.GRANT_STAGE.value_set(str(grant.stage))])
            self._say()

    def _say(self) -> None:
        details = describe(self._order, self._grant)
        workflow.set_current_details(details)
        # Current details need a live worker to be read; the memo does not.
        workflow.upsert_memo({"details": details})
