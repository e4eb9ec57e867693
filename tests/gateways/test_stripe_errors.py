"""What goes wrong at Stripe, or on the way to it, comes out in one of four families."""

import json
from typing import Any

import pytest

from gateways.stripe.errors import (
    StripeAuthenticationRequired,
    StripeError,
    StripeOutage,
    StripeOutcomeUnknown,
    StripeRefused,
)
from messages.customers import PaymentMethodCall
from messages.grants import MirrorQuestion, StripeGrantId
from tests.gateways.odd_stripe import OddParts
from tests.gateways.stripe_parts import StripeParts, gateway_to, new_customer, new_mirror
from tests.sandbox.serving import free_port

GRANTS = "/v1/billing/credit_grants"

FAULTS: list[tuple[dict[str, Any], type[StripeError], int | None, str | None]] = [
    ({"status": 400, "code": "parameter_invalid_integer"}, StripeRefused, 400, "parameter_invalid_integer"),
    ({"status": 404}, StripeRefused, 404, "resource_missing"),
    ({"status": 402, "code": "lost_card"}, StripeRefused, 402, "card_declined"),
    ({"status": 402, "code": "authentication_required"}, StripeAuthenticationRequired, 402, "authentication_required"),
    ({"cut": True}, StripeOutage, None, None),
    ({"cut": True, "afterWork": True}, StripeOutage, None, None),
    ({"status": 429}, StripeOutage, 429, "rate_limit"),
    ({"status": 409}, StripeOutage, 409, "idempotency_key_in_use"),
    ({"status": 403}, StripeOutage, 403, None),
    ({"status": 500}, StripeOutcomeUnknown, 500, None),
    ({"status": 500, "afterWork": True}, StripeOutcomeUnknown, 500, None),
    ({"status": 503}, StripeOutcomeUnknown, 503, None),
    ({"status": 424}, StripeOutcomeUnknown, 424, None),
]


@pytest.mark.parametrize(("fault", "family", "status", "code"), FAULTS, ids=[str(fault[0]) for fault in FAULTS])
async def test_each_fault_has_its_family(
    parts: StripeParts, fault: dict[str, Any], family: type[StripeError], status: int | None, code: str | None
) -> None:
    customer = await parts.customer()
    await parts.stand_in.behave(fail=[{"method": "POST", "path": GRANTS, **fault}])
    with pytest.raises(StripeError) as told:
        await parts.gateway.create_credit_grant(new_mirror(customer))
    assert type(told.value) is family
    assert (told.value.status, told.value.code) == (status, code)
    assert told.value.message
    assert len(await parts.grants()) == (1 if fault.get("afterWork") else 0)


async def test_a_decline_keeps_its_reason(parts: StripeParts) -> None:
    call = PaymentMethodCall(await parts.customer(), "pm_card_chargeDeclinedInsufficientFunds", "attach-1")
    with pytest.raises(StripeRefused) as told:
        await parts.gateway.attach_payment_method(call)
    assert (told.value.code, told.value.decline_code) == ("card_declined", "insufficient_funds")
    assert told.value.message == "Your card has insufficient funds."


async def test_a_wrong_secret_key_is_an_outage_for_the_grants(parts: StripeParts) -> None:
    async with gateway_to(parts.stand_in.url, key="rk_wrong") as gateway:
        with pytest.raises(StripeOutage) as told:
            await gateway.create_customer(new_customer())
    assert told.value.status == 401


async def test_an_unknown_customer_or_grant_is_a_refusal(parts: StripeParts) -> None:
    for refused, status in (
        (parts.gateway.create_credit_grant(new_mirror("cus_of_nobody")), 400),
        (parts.gateway.retrieve_credit_grant(StripeGrantId("credgr_of_nobody")), 404),
    ):
        with pytest.raises(StripeRefused) as told:
            await refused
        assert (told.value.status, told.value.code) == (status, "resource_missing")


async def test_nobody_there_is_an_outage() -> None:
    async with gateway_to(f"http://127.0.0.1:{free_port()}") as gateway:
        with pytest.raises(StripeOutage) as told:
            await gateway.create_customer(new_customer())
    assert told.value.status is None


async def test_an_outage_on_a_later_page_is_an_outage_too(parts: StripeParts) -> None:
    await parts.stand_in.behave(fail=[{"method": "GET", "path": GRANTS, "status": 503}])
    with pytest.raises(StripeOutcomeUnknown):
        await parts.gateway.find_credit_grant(MirrorQuestion("op-1", await parts.customer()))


async def test_a_stored_500_is_replayed_and_the_next_key_is_free(parts: StripeParts) -> None:
    customer = await parts.customer()
    await parts.stand_in.behave(fail=[{"method": "POST", "path": GRANTS, "status": 500}])
    for _ in range(2):
        with pytest.raises(StripeOutcomeUnknown):
            await parts.gateway.create_credit_grant(new_mirror(customer))
    await parts.gateway.create_credit_grant(new_mirror(customer, idempotency_key="grant-op-1-2"))
    assert len(await parts.grants()) == 1


HTML = b"<html><h1>Not from Stripe</h1>" + b"x" * 10_000


@pytest.mark.parametrize(
    ("status", "body", "family"),
    [
        (200, HTML, StripeOutcomeUnknown),
        (200, b'{"id": "cus_', StripeOutcomeUnknown),
        (302, HTML, StripeOutcomeUnknown),
        (502, HTML, StripeOutcomeUnknown),
        (404, HTML, StripeOutage),
        (413, b'{"message": "too large"}', StripeOutage),
        (400, b'{"error": {}}', StripeOutage),
        (407, b"", StripeOutage),
        (408, b"", StripeOutage),
    ],
)
async def test_what_stripe_did_not_say_is_never_a_refusal(
    odd: OddParts, status: int, body: bytes, family: type[StripeError]
) -> None:
    odd.server.status, odd.server.body = status, body
    with pytest.raises(StripeError) as told:
        await odd.gateway.create_customer(new_customer())
    assert type(told.value) is family
    assert told.value.status == status
    assert 0 < len(told.value.message) <= 500


async def test_an_answer_that_the_library_trips_over_is_an_unknown_outcome(odd: OddParts) -> None:
    odd.server.status, odd.server.body = 502, b'{"error": "Bad gateway"}'
    with pytest.raises(StripeOutcomeUnknown, match="can't be read"):
        await odd.gateway.create_customer(new_customer())


async def test_a_needed_authentication_may_stand_in_the_decline_code(odd: OddParts) -> None:
    error = {"type": "card_error", "code": "card_declined", "decline_code": "authentication_required", "message": "no"}
    odd.server.status, odd.server.body = 402, json.dumps({"error": error}).encode()
    with pytest.raises(StripeAuthenticationRequired) as told:
        await odd.gateway.create_customer(new_customer())
    assert (told.value.code, told.value.decline_code) == ("card_declined", "authentication_required")


async def test_the_code_of_a_server_error_is_kept(odd: OddParts) -> None:
    odd.server.status = 500
    odd.server.body = json.dumps({"error": {"type": "api_error", "code": "lock_timeout", "message": "no"}}).encode()
    with pytest.raises(StripeOutcomeUnknown) as told:
        await odd.gateway.create_customer(new_customer())
    assert (told.value.code, told.value.message) == ("lock_timeout", "no")


async def test_a_payment_method_that_is_no_card_has_no_brand(odd: OddParts) -> None:
    account = {
        "id": "pm_1",
        "object": "payment_method",
        "type": "us_bank_account",
        "us_bank_account": {"last4": "6789"},
    }
    odd.server.body = json.dumps(account).encode()
    method = await odd.gateway.attach_payment_method(PaymentMethodCall("cus_1", "pm_1", "attach-1"))
    assert (method.payment_method_id, method.kind, method.brand) == ("pm_1", "us_bank_account", None)
