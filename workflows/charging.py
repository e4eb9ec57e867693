"""A charge at Stripe, made once: under the stored key, and where the outcome is unknown, looked for and not guessed."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from messages.customers import AccountId
from messages.failures import Failure, failed_with, refusal
from messages.payment_steps import PaymentLedgerSteps, PaymentStripeSteps
from messages.payments import (
    Cancellation,
    ChargeRequest,
    Decline,
    MethodQuestion,
    Payment,
    PaymentId,
    PaymentKind,
    PaymentNews,
    PaymentQuestion,
    PaymentStatus,
    StripePayment,
)
from workflows.calls import at_stripe, in_ledger
from workflows.patience import CHARGE, FIRST_PAUSE, LONGEST_PAUSE, STRIPE, STRIPE_KEY_LIFE, Patience


async def usable_method(payment: Payment, customer: str, *, patience: Patience = STRIPE) -> str | None:
    """The payment method that is charged: the one that was stored before a call, else a usable one of the customer's,
    which is stored now; None where there is none. Raises ActivityError when Stripe refuses, or the patience ends."""
    if payment.payment_method_id is not None:
        return payment.payment_method_id
    blocked = await in_ledger(PaymentLedgerSteps.blocked_methods, AccountId(payment.account_id))
    question = MethodQuestion(customer, blocked.payment_method_ids, blocked.fingerprints)
    chosen = await at_stripe(
        PaymentStripeSteps.choose_payment_method, question, summary="which card?", patience=patience
    )
    if chosen.payment_method is None:
        return None
    method = chosen.payment_method
    news = PaymentNews(
        payment.operation_id,
        payment.state,
        payment_method_id=method.payment_method_id,
        payment_method_fingerprint=method.fingerprint,
    )
    await in_ledger(PaymentLedgerSteps.record_payment, news)
    return method.payment_method_id


async def charge_once(payment: Payment, *, customer: str, method: str, return_url: str | None) -> StripePayment | None:
    """Charges the method, once for ever, however often it is tried. ``return_url`` is set where the owner is there.

    None: it was not made, and is not wanted any more. A decline is an answer; so is a request that Stripe refuses.
    """
    pause = FIRST_PAUSE
    while True:
        if await _is_unwanted(payment):
            # An earlier try may have made it all the same.
            return await look_for(payment, customer)
        request = _request(payment, customer=customer, method=method, return_url=return_url)
        left = STRIPE_KEY_LIFE - (workflow.now() - payment.key_stored_at)
        outage = False
        if left > timedelta():
            spell = min(left, CHARGE.whole or left)
            try:
                return await at_stripe(
                    PaymentStripeSteps.charge, request, summary="the charge", patience=CHARGE, whole=spell
                )
            except ActivityError as error:
                decline = decline_of(error)
                if decline is not None:
                    return _refused(payment, decline)
                outage = not failed_with(error, Failure.STRIPE_OUTCOME_UNKNOWN)
                workflow.logger.warning("the outcome of %s is unknown: %s", request.idempotency_key, error.cause)
        made = await look_for(payment, customer)
        if made is not None:
            return made
        if payment.kind is PaymentKind.PURCHASE and outage:
            # The person who wanted to buy has been told that Stripe does not answer, and has gone.
            return None
        if not outage:
            payment = await in_ledger(PaymentLedgerSteps.renew_payment_key, payment)
            await workflow.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


async def cancel_once(payment_intent_id: str) -> StripePayment | None:
    """Cancels the payment, which may be tried any number of times: the answer is how it stands. None where Stripe
    refuses to hear of it."""
    number, pause = 1, FIRST_PAUSE
    while True:
        cancellation = Cancellation(payment_intent_id, f"cancel-{payment_intent_id}-{number}")
        try:
            return await at_stripe(PaymentStripeSteps.cancel_payment, cancellation, summary="another takes its place")
        except ActivityError as error:
            if not failed_with(error, Failure.STRIPE_OUTCOME_UNKNOWN):
                workflow.logger.error("%s can't be canceled: %s", payment_intent_id, error.cause)
                return None
        await workflow.sleep(pause)
        number, pause = number + 1, min(2 * pause, LONGEST_PAUSE)


async def look_for(payment: Payment, customer: str) -> StripePayment | None:
    """The payment at Stripe, if it was made; asked until Stripe answers."""
    question = PaymentQuestion(
        operation_id=payment.operation_id, stripe_customer_id=customer, since=payment.key_stored_at - timedelta(days=1)
    )
    found = await at_stripe(PaymentStripeSteps.find_payment, question, summary="was it made?")
    return found.payment


def decline_of(error: ActivityError) -> Decline | None:
    """Stripe's refusal of a call, as a no; None where it is an outage."""
    if not failed_with(error, Failure.STRIPE_REFUSED, Failure.STRIPE_AUTHENTICATION_REQUIRED):
        return None
    cause = refusal(error)
    return Decline(message=cause.message if cause else str(error))


async def _is_unwanted(payment: Payment) -> bool:
    """Whether its owner has switched auto top-up off; who buys has said so, and is not asked again."""
    if payment.kind is PaymentKind.PURCHASE:
        return False
    return not await in_ledger(PaymentLedgerSteps.still_wanted, PaymentId(payment.operation_id))


def _request(payment: Payment, *, customer: str, method: str, return_url: str | None) -> ChargeRequest:
    return ChargeRequest(
        operation_id=payment.operation_id,
        account_id=payment.account_id,
        kind=payment.kind,
        credits=payment.credits,
        amount_cents=payment.amount_cents,
        currency=payment.currency,
        stripe_customer_id=customer,
        payment_method_id=method,
        idempotency_key=payment.idempotency_key,
        off_session=return_url is None,
        return_url=return_url,
    )


def _refused(payment: Payment, decline: Decline) -> StripePayment:
    return StripePayment(
        payment_intent_id="",
        status=PaymentStatus.DECLINED,
        operation_id=payment.operation_id,
        amount_cents=payment.amount_cents,
        received_cents=0,
        decline=decline,
    )
