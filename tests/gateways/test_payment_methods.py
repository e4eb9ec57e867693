"""Which of a customer's payment methods is charged."""

from dataclasses import replace

import pytest

from gateways.stripe.errors import StripeRefused
from messages.customers import PaymentMethod, PaymentMethodCall
from messages.payments import MethodQuestion
from tests.gateways.odd_stripe import OddParts
from tests.gateways.stripe_parts import StripeParts


async def chosen(parts: StripeParts, customer: str, *blocked: str) -> str | None:
    """The id of the payment method that is chosen."""
    choice = await parts.gateway.choose_payment_method(MethodQuestion(customer, list(blocked)))
    return None if choice.payment_method is None else choice.payment_method.payment_method_id


async def make_default(parts: StripeParts, customer: str, method: str) -> None:
    """Makes a method the customer's default."""
    await parts.gateway.set_default_payment_method(PaymentMethodCall(customer, method, f"default-{method}"))


async def test_the_default_comes_first_and_costs_one_question(parts: StripeParts) -> None:
    customer = await parts.customer()
    default = await parts.method(customer)
    await make_default(parts, customer, default)
    await parts.method(customer, "pm_card_mastercard")
    await parts.stand_in.http.delete(f"{parts.stand_in.url}/_sandbox/requests")
    choice = await parts.gateway.choose_payment_method(MethodQuestion(customer, []))
    assert choice.payment_method is not None
    assert choice.payment_method.fingerprint
    assert replace(choice.payment_method, fingerprint=None) == PaymentMethod(default, "card", "visa", "4242", 12, 2040)
    assert len(await parts.stand_in.look("requests")) == 1


async def test_without_a_usable_default_the_newest_usable_card_is_chosen(parts: StripeParts) -> None:
    customer = await parts.customer()
    older = await parts.method(customer)
    assert await chosen(parts, customer) == older
    await parts.stand_in.control("clock", {"advanceSeconds": 60})
    newer = await parts.method(customer, "pm_card_mastercard")
    await parts.stand_in.control("clock", {"advanceSeconds": 60})
    expired = await parts.method(customer, "pm_card_expired")
    await make_default(parts, customer, expired)
    assert await chosen(parts, customer) == newer
    assert await chosen(parts, customer, newer) == older
    assert await chosen(parts, customer, newer, older) is None


async def test_a_blocked_default_is_not_charged(parts: StripeParts) -> None:
    customer = await parts.customer()
    default, other = await parts.method(customer), await parts.method(customer, "pm_card_amex")
    await make_default(parts, customer, default)
    assert await chosen(parts, customer, default) == other
    assert await chosen(parts, customer, default, other) is None


async def test_a_blocked_card_that_is_attached_anew_is_not_charged(parts: StripeParts) -> None:
    customer = await parts.customer()
    declined = await parts.method(customer)
    choice = await parts.gateway.choose_payment_method(MethodQuestion(customer, []))
    assert choice.payment_method is not None
    fingerprint = choice.payment_method.fingerprint or ""
    anew = await parts.method(customer)
    await make_default(parts, customer, anew)
    assert await chosen(parts, customer, declined) == anew
    assert (
        await parts.gateway.choose_payment_method(MethodQuestion(customer, [], [fingerprint]))
    ).payment_method is None
    other = await parts.method(customer, "pm_card_amex")
    found = await parts.gateway.choose_payment_method(MethodQuestion(customer, [], [fingerprint]))
    assert found.payment_method is not None
    assert found.payment_method.payment_method_id == other


async def test_a_card_is_good_in_its_last_month(parts: StripeParts) -> None:
    customer = await parts.customer()
    last = await parts.method(customer, "pm_card_expiresThisMonth")
    assert await chosen(parts, customer) == last


async def test_cards_come_before_link_and_link_before_a_bank_account(parts: StripeParts) -> None:
    customer = await parts.customer()
    by_rank = []
    for sample in ("pm_card_visa", "pm_link", "pm_usBankAccount_success"):
        by_rank.append(await parts.method(customer, sample))
        await parts.stand_in.control("clock", {"advanceSeconds": 60})
    for number, method in enumerate(by_rank):
        assert await chosen(parts, customer, *by_rank[:number]) == method
    await make_default(parts, customer, by_rank[-1])
    assert await chosen(parts, customer) == by_rank[-1]


async def test_a_method_behind_a_hundred_others_is_found(parts: StripeParts) -> None:
    customer = await parts.customer()
    first = await parts.method(customer)
    await parts.stand_in.control("clock", {"advanceSeconds": 60})
    others = [await parts.method(customer, "pm_link") for _ in range(101)]
    assert await chosen(parts, customer) == first
    assert await chosen(parts, customer, first) in others


async def test_who_has_none_or_is_deleted_has_nothing_to_be_charged(parts: StripeParts) -> None:
    customer = await parts.customer()
    assert await chosen(parts, customer) is None
    await parts.method(customer)
    await parts.trigger("customer.deleted", customer)
    assert await chosen(parts, customer) is None


async def test_a_customer_that_never_was_is_refused(parts: StripeParts) -> None:
    with pytest.raises(StripeRefused, match="No such customer"):
        await chosen(parts, "cus_of_nobody")


async def test_a_kind_that_needs_its_owner_is_not_chosen(odd: OddParts) -> None:
    klarna = {"id": "pm_1", "object": "payment_method", "type": "klarna", "klarna": {}, "created": 1}
    odd.server.says(
        200, {"id": "cus_1", "object": "list", "data": [klarna], "has_more": False, "url": "/v1/payment_methods"}
    )
    assert (await odd.gateway.choose_payment_method(MethodQuestion("cus_1", []))).payment_method is None
