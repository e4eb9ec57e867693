"""Which of Stripe's refusals are a payment method's no, and what people are told of it."""

from typing import Any

import pytest

from gateways.stripe.errors import StripeAuthenticationRequired, StripeOutage, StripeOutcomeUnknown, StripeRefused
from messages.payments import Authentication, PaymentIntentId, PaymentStatus, StripePayment
from tests.gateways.odd_stripe import OddParts
from tests.gateways.stripe_parts import new_charge

CARD_ERROR: dict[str, Any] = {"type": "card_error", "code": "card_declined", "message": "Your card was declined."}
INVALID: dict[str, Any] = {"type": "invalid_request_error", "message": "No such PaymentMethod: 'pm_secret'"}
INTENT: dict[str, Any] = {
    "id": "pi_1",
    "object": "payment_intent",
    "status": "requires_payment_method",
    "amount": 1000,
    "amount_received": 0,
    "client_secret": "pi_1_secret_x",
    "metadata": {"operationId": "op-1"},
    "payment_method": None,
    "latest_charge": "ch_1",
    "next_action": None,
    "last_payment_error": CARD_ERROR,
}


async def charged(odd: OddParts, status: int, error: dict[str, Any]) -> StripePayment:
    """What a charge is answered when Stripe answers so."""
    odd.server.says(status, {"error": error})
    return await odd.gateway.charge(new_charge("cus_1", "pm_tried"))


@pytest.mark.parametrize(
    ("told", "never_again"),
    [
        ({"decline_code": "generic_decline"}, False),
        ({"decline_code": "generic_decline", "advice_code": "try_again_later"}, False),
        ({"decline_code": "generic_decline", "advice_code": "do_not_try_again"}, True),
        ({"advice_code": "do_not_try_again"}, True),
        ({"decline_code": "insufficient_funds"}, False),
        ({"decline_code": "restricted_card"}, False),
        ({"decline_code": "fraudulent"}, False),
        ({"code": "expired_card"}, False),
        ({"decline_code": "lost_card"}, True),
        ({"decline_code": "stolen_card"}, True),
        ({"decline_code": "pickup_card"}, True),
        ({"decline_code": "invalid_account"}, True),
        ({"decline_code": "stop_payment_order"}, True),
        ({"decline_code": "revocation_of_authorization"}, True),
        ({"decline_code": "revocation_of_all_authorizations"}, True),
        ({"decline_code": "do_not_try_again"}, True),
    ],
    ids=str,
)
async def test_a_card_is_given_up_where_the_networks_forbid_to_try_again(
    odd: OddParts, told: dict[str, str], never_again: bool
) -> None:
    decline = (await charged(odd, 402, {**CARD_ERROR, **told})).decline
    assert decline is not None
    assert decline.never_again is never_again
    assert not decline.authentication_required
    assert (decline.decline_code, decline.advice_code) == (told.get("decline_code"), told.get("advice_code"))


@pytest.mark.parametrize(
    "told", [{"code": "authentication_required"}, {"decline_code": "authentication_required"}], ids=str
)
async def test_a_needed_authentication_is_a_decline_that_its_owner_can_mend(
    odd: OddParts, told: dict[str, str]
) -> None:
    payment = await charged(odd, 402, {**CARD_ERROR, **told, "payment_intent": INTENT})
    assert payment.status is PaymentStatus.DECLINED
    assert payment.decline is not None
    assert payment.decline.authentication_required
    assert not payment.decline.never_again


async def test_a_decline_brings_its_payment_along(odd: OddParts) -> None:
    error = {**CARD_ERROR, "payment_intent": INTENT, "payment_method": {"id": "pm_tried", "object": "payment_method"}}
    payment = await charged(odd, 402, error)
    assert (payment.payment_intent_id, payment.operation_id, payment.amount_cents) == ("pi_1", "op-1", 1000)
    assert (payment.status, payment.received_cents) == (PaymentStatus.DECLINED, 0)
    assert payment.payment_method_id == "pm_tried"
    assert "secret" not in repr(payment)


async def test_a_decline_without_a_payment_is_one_all_the_same(odd: OddParts) -> None:
    payment = await charged(odd, 402, CARD_ERROR)
    assert payment.status is PaymentStatus.DECLINED
    assert (payment.payment_intent_id, payment.operation_id, payment.amount_cents) == ("", "op-1", 1000)
    assert payment.payment_method_id == "pm_tried"


@pytest.mark.parametrize(
    "told",
    [
        {"code": "resource_missing", "param": "payment_method"},
        {"param": "payment_method"},
        {"code": "payment_method_unexpected_state"},
        {"code": "payment_method_customer_decline"},
        {"code": "payment_intent_mandate_invalid"},
        {"code": "payment_intent_authentication_failure"},
        {"param": "mandate_data[customer_acceptance]"},
        {"code": "account_closed"},
        {"code": "debit_not_authorized"},
    ],
    ids=str,
)
async def test_a_payment_method_that_is_no_good_is_declined_and_its_ids_stay_inside(
    odd: OddParts, told: dict[str, str]
) -> None:
    payment = await charged(odd, 400, {**INVALID, **told})
    assert (payment.status, payment.payment_intent_id) == (PaymentStatus.DECLINED, "")
    assert payment.decline is not None
    assert payment.decline.message == "This payment method can't be charged. Please use another one."


@pytest.mark.parametrize(
    "told",
    [
        {"code": "resource_missing", "param": "customer"},
        {"code": "amount_too_small", "param": "amount"},
        {"code": "payment_method_unactivated"},
        {"code": "payment_method_unsupported_type"},
        {"code": "parameter_invalid_empty", "param": "payment_method_types"},
        {},
    ],
    ids=str,
)
async def test_any_other_refusal_is_no_decline(odd: OddParts, told: dict[str, str]) -> None:
    with pytest.raises(StripeRefused) as refused:
        await charged(odd, 400, {**INVALID, **told})
    assert refused.value.code == told.get("code")


@pytest.mark.parametrize(
    ("status", "error", "family"),
    [
        (500, CARD_ERROR, StripeOutcomeUnknown),
        (402, {}, StripeOutage),
        (429, {**CARD_ERROR, "code": "rate_limit"}, StripeOutage),
        (400, {**INVALID, "type": "idempotency_error", "param": "payment_method"}, StripeOutcomeUnknown),
    ],
)
async def test_what_is_no_refusal_is_no_decline_either(
    odd: OddParts, status: int, error: dict[str, Any], family: type[Exception]
) -> None:
    with pytest.raises(family):
        await charged(odd, status, error)


@pytest.mark.parametrize("code", ["lost_card", "stolen_card", "fraudulent", "pickup_card", "merchant_blacklist"])
async def test_nobody_is_told_that_a_card_was_stolen(odd: OddParts, code: str) -> None:
    payment = await charged(odd, 402, {**CARD_ERROR, "decline_code": code, "message": f"It is a {code}!"})
    assert payment.decline is not None
    assert payment.decline.message == "Your card was declined."


async def test_what_stripe_says_of_a_card_is_passed_on_and_kept_short(odd: OddParts) -> None:
    declined = await charged(odd, 402, {**CARD_ERROR, "message": "Your card has insufficient funds." + "x" * 1000})
    assert declined.decline is not None
    assert declined.decline.message.startswith("Your card has insufficient funds.")
    assert len(declined.decline.message) == 500
    silent = await charged(odd, 402, {**CARD_ERROR, "message": None})
    assert silent.decline is not None
    assert silent.decline.message == "Your card was declined."


@pytest.mark.parametrize("answer", [{}, {**INTENT, "status": "requires_capture"}, {**INTENT, "status": "tomorrow"}])
async def test_an_answer_that_we_do_not_understand_is_an_unknown_outcome(odd: OddParts, answer: dict[str, Any]) -> None:
    odd.server.says(200, answer)
    with pytest.raises(StripeOutcomeUnknown):
        await odd.gateway.charge(new_charge("cus_1", "pm_tried"))


async def test_a_refusal_keeps_its_advice(odd: OddParts) -> None:
    odd.server.says(402, {"error": {**CARD_ERROR, "code": "authentication_required", "advice_code": "later"}})
    with pytest.raises(StripeAuthenticationRequired) as told:
        await odd.gateway.retrieve_payment(PaymentIntentId("pi_1"))
    assert told.value.advice_code == "later"


async def test_a_decline_of_an_authentication_without_its_payment_is_not_guessed(odd: OddParts) -> None:
    odd.server.says(400, {"error": {**INVALID, "param": "payment_method"}})
    with pytest.raises(StripeRefused):
        await odd.gateway.authenticate_payment(
            Authentication("pi_1", "pm_gone", "authenticate-1", "https://example.com/back")
        )


@pytest.mark.parametrize(
    ("action", "url"),
    [
        ({"redirect_to_url": {"url": "https://hooks.stripe.com/1"}}, "https://hooks.stripe.com/1"),
        (
            {"verify_with_microdeposits": {"hosted_verification_url": "https://payments.stripe.com/2"}},
            "https://payments.stripe.com/2",
        ),
        ({"use_stripe_sdk": {}}, None),
        (None, None),
    ],
    ids=str,
)
async def test_what_waits_for_its_owner_although_nobody_is_there_is_known(
    odd: OddParts, action: dict[str, Any] | None, url: str | None
) -> None:
    odd.server.says(200, {**INTENT, "status": "requires_action", "next_action": action})
    payment = await odd.gateway.charge(new_charge("cus_1", "pm_tried"))
    assert (payment.status, payment.redirect_url, payment.decline) == (PaymentStatus.REQUIRES_ACTION, url, None)
