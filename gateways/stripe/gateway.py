"""The connection to Stripe: one asynchronous client, without retries of its own.

Temporal repeats what has to be repeated, under our keys; a client that retried as well would multiply the attempts.
"""

from datetime import UTC, datetime

from stripe import HTTPXClient, StripeClient
from stripe.params import (
    CustomerCreateParams,
    CustomerUpdateParams,
)

from gateways.stripe import checkout, credit_grants, payment_methods, payments, standing
from gateways.stripe.errors import our_errors
from messages.checkouts import CheckoutId, CheckoutPage, CheckoutRequest
from messages.customers import Customer, CustomerRequest, PaymentMethod, PaymentMethodCall
from messages.grants import FoundMirror, MirrorClosing, MirrorQuestion, MirrorRequest, StripeGrant, StripeGrantId
from messages.payments import (
    Authentication,
    Cancellation,
    ChargeRequest,
    ChosenMethod,
    FoundPayment,
    MethodQuestion,
    PaymentIntentId,
    PaymentQuestion,
    StripePayment,
)
from messages.reversals import PaymentStanding

# Stripe answers within seconds or not at all; an activity that waits longer only hides an outage.
TIMEOUT_SECONDS = 20


class StripeGateway:
    """Every call that we make to Stripe. Each may raise one of the families of ``gateways.stripe.errors``."""

    def __init__(self, secret_key: str, *, api_base: str | None, metered_price: str) -> None:
        """``api_base`` is None for Stripe itself. ``metered_price`` is the only price that mirrors may pay for."""
        self._http = HTTPXClient(timeout=TIMEOUT_SECONDS)
        self._client = StripeClient(
            secret_key,
            base_addresses={"api": api_base.rstrip("/")} if api_base else {},
            max_network_retries=0,
            http_client=self._http,
        )
        self._metered_price = metered_price

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call]  # Stripe's own

    async def create_customer(self, request: CustomerRequest) -> Customer:
        """Makes the account a customer."""
        params: CustomerCreateParams = {
            "name": request.name,
            "metadata": {"accountId": request.account_id, "kind": request.kind},
        }
        if request.email is not None:
            params["email"] = request.email
        async with our_errors():
            made = await self._client.v1.customers.create_async(params, {"idempotency_key": request.idempotency_key})
        return Customer(account_id=request.account_id, stripe_customer_id=made.id)

    async def create_credit_grant(self, request: MirrorRequest) -> StripeGrant:
        """Creates the Billing Credit Grant of a local grant; its customer must be known."""
        return await credit_grants.create(self._client, request, metered_price=self._metered_price)

    async def find_credit_grant(self, question: MirrorQuestion) -> FoundMirror:
        """Pages through the customer's credit grants for our operation id."""
        return await credit_grants.find(self._client, question)

    async def retrieve_credit_grant(self, grant: StripeGrantId) -> StripeGrant:
        """How a credit grant stands at Stripe."""
        return await credit_grants.retrieve(self._client, grant)

    async def void_credit_grant(self, closing: MirrorClosing) -> None:
        """Voids a credit grant; refused where some of it was applied."""
        async with our_errors():
            await self._client.v1.billing.credit_grants.void_grant_async(
                closing.stripe_grant_id, {}, {"idempotency_key": f"{closing.idempotency_key}-void"}
            )

    async def expire_credit_grant(self, closing: MirrorClosing) -> None:
        """Ends a credit grant of which some was applied."""
        async with our_errors():
            await self._client.v1.billing.credit_grants.expire_async(
                closing.stripe_grant_id, {}, {"idempotency_key": f"{closing.idempotency_key}-expire"}
            )

    async def attach_payment_method(self, call: PaymentMethodCall) -> PaymentMethod:
        """Attaches the method to the customer. The answer's id is the one to store: a test card gets a new one."""
        async with our_errors():
            attached = await self._client.v1.payment_methods.attach_async(
                call.payment_method_id,
                {"customer": call.stripe_customer_id},
                {"idempotency_key": call.idempotency_key},
            )
            return payment_methods.as_method(attached.to_dict())

    async def set_default_payment_method(self, call: PaymentMethodCall) -> None:
        """Makes an attached method the customer's default."""
        params: CustomerUpdateParams = {"invoice_settings": {"default_payment_method": call.payment_method_id}}
        async with our_errors():
            await self._client.v1.customers.update_async(
                call.stripe_customer_id, params, {"idempotency_key": call.idempotency_key}
            )

    async def choose_payment_method(self, question: MethodQuestion) -> ChosenMethod:
        """Which of the customer's payment methods can be charged now."""
        return await payment_methods.choose(self._client, question, now=datetime.now(UTC))

    async def charge(self, request: ChargeRequest) -> StripePayment:
        """Charges a stored payment method; its no is an answer."""
        return await payments.charge(self._client, request)

    async def find_payment(self, question: PaymentQuestion) -> FoundPayment:
        """Pages through the customer's payments for our operation id."""
        return await payments.find(self._client, question)

    async def cancel_payment(self, cancellation: Cancellation) -> StripePayment:
        """Cancels a payment; one that can't be canceled is as it stands."""
        return await payments.cancel(self._client, cancellation)

    async def retrieve_payment(self, payment: PaymentIntentId) -> StripePayment:
        """How a payment stands."""
        return await payments.retrieve(self._client, payment)

    async def authenticate_payment(self, authentication: Authentication) -> StripePayment:
        """Confirms a payment on-session; the answer says where its owner authenticates it."""
        return await payments.authenticate(self._client, authentication)

    async def open_checkout(self, request: CheckoutRequest) -> CheckoutPage:
        """Makes a hosted page on which the owner pays."""
        return await checkout.create(self._client, request)

    async def retrieve_checkout(self, page: CheckoutId) -> CheckoutPage:
        """What has become of a hosted page."""
        return await checkout.retrieve(self._client, page)

    async def retrieve_standing(self, payment: PaymentIntentId) -> PaymentStanding:
        """How much of a payment has gone back."""
        return await standing.retrieve(self._client, payment)
