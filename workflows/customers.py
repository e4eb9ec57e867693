"""How an account becomes a customer at Stripe, wherever a workflow first needs one."""

from collections.abc import Awaitable, Callable

from temporalio import workflow
from temporalio.exceptions import ActivityError

from messages.customers import AccountId, Customer
from messages.failures import Failure, failed_with
from messages.grant_steps import GrantLedgerSteps, GrantStripeSteps
from workflows.calls import at_stripe, in_ledger, wait_for
from workflows.patience import STRIPE, Patience


async def customer_of(
    account_id: str,
    *,
    patience: Patience = STRIPE,
    answer_to: Callable[[workflow.ActivityHandle[Customer]], Awaitable[Customer | None]] = wait_for,
) -> str | None:
    """The account's customer at Stripe, created first where it is missing.

    ``answer_to`` waits for the call's answer; where it lets the call go with None, so does this.
    After an unknown outcome the next key is used without a look: a second customer is empty and harms nobody.
    Raises ActivityError when Stripe refuses, or when the patience ends.
    """
    request = await in_ledger(GrantLedgerSteps.prepare_customer, AccountId(account_id))
    while request.stripe_customer_id is None:
        call = at_stripe(GrantStripeSteps.create_stripe_customer, request, summary="a new customer", patience=patience)
        try:
            customer = await answer_to(call)
        except ActivityError as error:
            if not failed_with(error, Failure.STRIPE_OUTCOME_UNKNOWN):
                raise
            request = await in_ledger(GrantLedgerSteps.renew_customer_key, request)
            continue
        if customer is None:
            return None
        await in_ledger(GrantLedgerSteps.record_customer, customer)
        request = await in_ledger(GrantLedgerSteps.prepare_customer, AccountId(account_id))
    return request.stripe_customer_id
