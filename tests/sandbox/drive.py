"""One walk through every endpoint of the stand-in, by the real `stripe` library."""

import stripe

from tests.sandbox.drive_checkout import use_checkout
from tests.sandbox.drive_payments import use_payments
from tests.sandbox.standin import StandIn, grant_params

YEAR_SECONDS = 365 * 24 * 60 * 60


async def use_everything(stand_in: StandIn, now: int) -> None:
    """Send every kind of request, with every parameter that Grantflow has a use for, and meet every kind of refusal."""
    await _customers(stand_in.client)
    await _payment_methods(stand_in.client)
    await use_payments(stand_in)
    await use_checkout(stand_in, now)
    await _credit_grants(stand_in.client, now)
    await _events(stand_in.client, now)
    await _refusals(stand_in.client)


async def _customers(client: stripe.StripeClient) -> None:
    customers = client.v1.customers
    created = await customers.create_async(
        {
            "name": "Ada",
            "email": "ada@example.com",
            "description": "A person",
            "phone": "+1 555 0100",
            "metadata": {"accountId": "acc_1"},
            "payment_method": "pm_card_visa",
        },
        {"idempotency_key": "customer-1"},
    )
    cards = await customers.payment_methods.list_async(created.id, {"limit": 3, "type": "card"})
    card = cards.data[0].id
    await customers.payment_methods.retrieve_async(created.id, card)
    await customers.update_async(created.id, {"invoice_settings": {"default_payment_method": card}})
    await customers.update_async(created.id, {"metadata": {"accountId": "", "plan": "free"}, "phone": ""})
    await customers.retrieve_async(created.id, {"expand": ["invoice_settings.default_payment_method"]})
    await customers.list_async({"email": "ada@example.com", "limit": 2, "created": {"gte": 1}})
    await customers.delete_async(created.id)
    await customers.retrieve_async(created.id)


async def _payment_methods(client: stripe.StripeClient) -> None:
    methods = client.v1.payment_methods
    customer = await client.v1.customers.create_async({})
    attached = await methods.attach_async("pm_card_mastercard", {"customer": customer.id})
    await methods.retrieve_async(attached.id, {"expand": ["customer"]})
    await methods.list_async({"customer": customer.id, "type": "card", "limit": 100})
    await methods.detach_async(attached.id)


async def _credit_grants(client: stripe.StripeClient, now: int) -> None:
    grants = client.v1.billing.credit_grants
    customer = await client.v1.customers.create_async({})
    whole = await grants.create_async(
        grant_params(
            customer.id,
            applicability_config={"scope": {"prices": [{"id": "price_credits"}]}},
            category="promotional",
            name="Free credits",
            priority=20,
            effective_at=now,
            expires_at=now + YEAR_SECONDS,
            metadata={"operationId": "free-1", "accountId": "acc_1"},
        ),
        {"idempotency_key": "grant-1"},
    )
    plain = await grants.create_async(grant_params(customer.id))
    await grants.retrieve_async(whole.id, {"expand": ["customer"]})
    await grants.update_async(whole.id, {"metadata": {"spent": "yes"}, "expires_at": now + 2 * YEAR_SECONDS})
    await grants.update_async(whole.id, {"expires_at": ""})
    first = await grants.list_async({"customer": customer.id, "limit": 1, "expand": ["data.customer"]})
    await grants.list_async({"customer": customer.id, "starting_after": first.data[0].id})
    await grants.list_async({"ending_before": whole.id})
    await grants.expire_async(whole.id)
    await grants.void_grant_async(plain.id)


async def _events(client: stripe.StripeClient, now: int) -> None:
    events = client.v1.events
    page = await events.list_async({"type": "customer.*", "created": {"gte": now - 60}, "limit": 2})
    await events.list_async(
        {
            "types": ["billing.credit_grant.created", "payment_intent.payment_failed"],
            "delivery_success": False,
            "ending_before": page.data[-1].id,
        }
    )
    await events.list_async({"limit": 100})
    await events.retrieve_async(page.data[0].id)


async def _refusals(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({})
    voided = await client.v1.billing.credit_grants.create_async(grant_params(customer.id))
    await client.v1.billing.credit_grants.void_grant_async(voided.id)
    for refused in (
        client.v1.customers.retrieve_async("cus_of_nobody"),
        client.v1.payment_methods.attach_async("pm_card_chargeDeclined", {"customer": customer.id}),
        client.v1.billing.credit_grants.create_async(grant_params("cus_of_nobody")),
        client.v1.billing.credit_grants.void_grant_async(voided.id),
    ):
        try:
            await refused
        except stripe.StripeError:
            continue
        raise AssertionError("the stand-in should have refused")
