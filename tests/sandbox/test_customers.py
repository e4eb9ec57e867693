"""Customers, and the cards that belong to them."""

import pytest
import stripe

from tests.sandbox.endpoint import Endpoint
from tests.sandbox.standin import StandIn, error_of


async def test_a_customer_is_kept_changed_and_deleted(stand_in: StandIn) -> None:
    customers = stand_in.client.v1.customers
    made = await customers.create_async({"email": "ada@example.com", "metadata": {"accountId": "a", "plan": "x"}})
    changed = await customers.update_async(made.id, {"email": "", "metadata": {"plan": "", "level": "2"}})
    assert changed.email is None
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"accountId": "a", "level": "2"}
    assert (await customers.delete_async(made.id)).deleted
    assert (await customers.retrieve_async(made.id)).deleted
    assert (await customers.list_async({})).data == []
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await customers.update_async(made.id, {"name": "Ada"})
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")


async def test_what_a_deleted_customer_had_can_still_be_listed(stand_in: StandIn) -> None:
    customer = await stand_in.customer()
    grant = await stand_in.grant(customer.id)
    await stand_in.client.v1.customers.delete_async(customer.id)
    listed = await stand_in.client.v1.billing.credit_grants.list_async({"customer": customer.id})
    assert [found.id for found in listed.data] == [grant.id]
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        await stand_in.grant(customer.id)


async def test_metadata_can_be_emptied_at_once(stand_in: StandIn) -> None:
    made = await stand_in.client.v1.customers.create_async({"metadata": {"a": "1", "b": "2"}})
    changed = await stand_in.client.v1.customers.update_async(made.id, {"metadata": ""})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {}


async def test_customers_are_found_by_email(stand_in: StandIn) -> None:
    for email in ("ada@example.com", "bob@example.com", "ada@example.com"):
        await stand_in.client.v1.customers.create_async({"email": email})
    found = await stand_in.client.v1.customers.list_async({"email": "ada@example.com"})
    assert [customer.email for customer in found.data] == ["ada@example.com"] * 2


async def test_attaching_a_test_card_gives_a_new_id_each_time(stand_in: StandIn) -> None:
    customer = await stand_in.customer()
    methods = stand_in.client.v1.payment_methods
    first = await methods.attach_async("pm_card_visa", {"customer": customer.id})
    second = await methods.attach_async("pm_card_visa", {"customer": customer.id})
    assert len({first.id, second.id, "pm_card_visa"}) == 3
    assert first.customer == customer.id
    again = await methods.attach_async(first.id, {"customer": customer.id})
    assert again.id == first.id
    listed = await methods.list_async({"customer": customer.id})
    assert [method.id for method in listed.data] == [second.id, first.id]


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
    ],
)
async def test_a_card_whose_check_declines_cannot_be_attached(
    stand_in: StandIn, card: str, code: str, decline_code: str | None
) -> None:
    customer = await stand_in.customer()
    with pytest.raises(stripe.CardError) as declined:
        await stand_in.client.v1.payment_methods.attach_async(card, {"customer": customer.id})
    error = declined.value
    assert (error.http_status, error.code) == (402, code)
    assert error_of(declined).get("decline_code") == decline_code
    assert await stand_in.look("objects/payment_methods") == []


async def test_a_card_has_one_customer_and_none_after_it_was_detached(stand_in: StandIn) -> None:
    methods = stand_in.client.v1.payment_methods
    ada, bob = await stand_in.customer(), await stand_in.customer()
    card = await methods.attach_async("pm_card_visa", {"customer": ada.id})
    with pytest.raises(stripe.InvalidRequestError, match="already been attached"):
        await methods.attach_async(card.id, {"customer": bob.id})
    await methods.detach_async(card.id)
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        await methods.attach_async(card.id, {"customer": ada.id})
    with pytest.raises(stripe.InvalidRequestError, match="not attached"):
        await methods.detach_async(card.id)


async def test_the_default_must_be_attached_and_goes_with_the_card(stand_in: StandIn) -> None:
    customers, methods = stand_in.client.v1.customers, stand_in.client.v1.payment_methods
    customer = await stand_in.customer()
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await customers.update_async(customer.id, {"invoice_settings": {"default_payment_method": "pm_card_visa"}})
    assert refused.value.code == "resource_missing"
    card = await methods.attach_async("pm_card_visa", {"customer": customer.id})
    changed = await customers.update_async(customer.id, {"invoice_settings": {"default_payment_method": card.id}})
    assert changed.invoice_settings is not None
    assert changed.invoice_settings.default_payment_method == card.id
    await methods.detach_async(card.id)
    left = await customers.retrieve_async(customer.id)
    assert left.invoice_settings is not None
    assert left.invoice_settings.default_payment_method is None


async def test_expanding_shows_objects_in_place_of_ids(stand_in: StandIn) -> None:
    customer = await stand_in.customer()
    grant = await stand_in.grant(customer.id)
    grants = stand_in.client.v1.billing.credit_grants
    shown = await grants.retrieve_async(grant.id, {"expand": ["customer"]})
    assert isinstance(shown.customer, stripe.Customer)
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        await grants.retrieve_async(grant.id, {"expand": ["nickname"]})
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        await grants.list_async({"expand": ["customer"]})


async def test_each_change_is_told(stand_in: StandIn, endpoint: Endpoint) -> None:
    customer = await stand_in.customer()
    card = await stand_in.client.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    await stand_in.client.v1.customers.update_async(customer.id, {"name": "Ada"})
    await stand_in.client.v1.customers.update_async(customer.id, {"name": "Grace"})
    await stand_in.client.v1.customers.delete_async(customer.id)
    told = await endpoint.wait_for(5)
    assert sorted(delivery.event.type for delivery in told) == [
        "customer.created",
        "customer.deleted",
        "customer.updated",
        "payment_method.attached",
        "payment_method.detached",
    ]
    data = {delivery.event.type: delivery.payload["data"] for delivery in told}
    assert data["payment_method.detached"]["object"]["id"] == card.id
    assert data["payment_method.detached"]["previous_attributes"] == {"customer": customer.id}
    assert data["customer.updated"]["previous_attributes"] == {"name": "Ada"}


async def test_the_same_card_has_the_same_fingerprint_whoever_attaches_it(stand_in: StandIn) -> None:
    methods = stand_in.client.v1.payment_methods
    wanted = ("pm_card_visa", "pm_card_us", "pm_card_mastercard")
    attached = [await methods.attach_async(card, {"customer": (await stand_in.customer()).id}) for card in wanted]
    fingerprints = [method.card.fingerprint for method in attached if method.card is not None]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


async def test_payment_methods_are_listed_by_type(stand_in: StandIn) -> None:
    customer = await stand_in.customer()
    wanted = ("pm_card_visa", "pm_link", "pm_usBankAccount_success")
    for each in wanted:
        await stand_in.client.v1.payment_methods.attach_async(each, {"customer": customer.id})
    listed = await stand_in.client.v1.payment_methods.list_async({"customer": customer.id, "type": "link"})
    assert [method.type for method in listed.data] == ["link"]
    listed = await stand_in.client.v1.customers.payment_methods.list_async(customer.id, {"type": "us_bank_account"})
    assert [method.type for method in listed.data] == ["us_bank_account"]
    assert len((await stand_in.client.v1.customers.payment_methods.list_async(customer.id)).data) == 3


async def test_cards_of_ours_expire_this_month_or_have_expired(stand_in: StandIn) -> None:
    await stand_in.control("clock", {"now": "2031-01-15T00:00:00Z"})
    customer = await stand_in.customer()
    expiries = []
    for each in ("pm_card_expiresThisMonth", "pm_card_expired"):
        method = await stand_in.client.v1.payment_methods.attach_async(each, {"customer": customer.id})
        assert method.card is not None
        expiries.append((method.card.exp_year, method.card.exp_month))
    assert expiries == [(2031, 1), (2030, 12)]
