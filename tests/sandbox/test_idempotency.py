"""One key, one effect, and the places where Stripe's keys are awkward."""

import asyncio

import httpx
import pytest
import stripe
from stripe.params import PaymentIntentCreateParams

from tests.sandbox.endpoint import Endpoint
from tests.sandbox.standin import API_KEY, StandIn, error_of, grant_form

GRANTS = "/v1/billing/credit_grants"
DAY_SECONDS = 24 * 60 * 60


async def test_a_repeat_gets_the_first_answer_and_does_nothing(stand_in: StandIn, endpoint: Endpoint) -> None:
    customer = await stand_in.customer()
    first = await stand_in.grant(customer.id, key="op-1")
    request_id = stand_in.transport.last.headers["request-id"]
    await stand_in.client.v1.billing.credit_grants.update_async(first.id, {"metadata": {"changed": "since"}})
    again = await stand_in.grant(customer.id, key="op-1")
    assert again.to_dict() == first.to_dict()
    headers = stand_in.transport.last.headers
    assert headers["idempotent-replayed"] == "true"
    assert (headers["original-request"], headers["idempotency-key"]) == (request_id, "op-1")
    assert headers["request-id"] != request_id
    assert len(await stand_in.look("objects/credit_grants")) == 1
    assert [request["replayed"] for request in await stand_in.look("requests")] == [False, False, False, True]
    told = await endpoint.wait_for(3)
    caused = {delivery.event.type: delivery.payload["request"] for delivery in told}
    assert caused["billing.credit_grant.created"] == {"id": request_id, "idempotency_key": "op-1"}


async def test_a_key_is_for_one_request(stand_in: StandIn) -> None:
    customer = await stand_in.customer()
    grant = await stand_in.grant(customer.id, key="op-1")
    with pytest.raises(stripe.IdempotencyError, match="same parameters") as other_params:
        await stand_in.grant(customer.id, key="op-1", name="other")
    assert other_params.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        await stand_in.client.v1.billing.credit_grants.void_grant_async(grant.id, {}, {"idempotency_key": "op-1"})
    assert (await stand_in.client.v1.billing.credit_grants.retrieve_async(grant.id)).voided_at is None
    assert (await stand_in.grant(customer.id, key="op-1")).id == grant.id


async def test_the_same_key_at_the_same_time_is_in_use(stand_in: StandIn) -> None:
    customer = await stand_in.customer()
    await stand_in.behave(latencyMs=300)
    first = asyncio.create_task(stand_in.grant(customer.id, key="op-1"))
    while len(await stand_in.look("requests")) < 2:
        pass
    with pytest.raises(stripe.APIError) as in_use:
        await stand_in.grant(customer.id, key="op-1")
    assert (in_use.value.http_status, error_of(in_use)["code"]) == (409, "idempotency_key_in_use")
    made = await first
    assert (await stand_in.grant(customer.id, key="op-1")).id == made.id


async def test_100_at_once_make_one(stand_in: StandIn) -> None:
    customer = await stand_in.customer()
    outcomes = await asyncio.gather(
        *(stand_in.grant(customer.id, key="op-1") for _ in range(100)), return_exceptions=True
    )
    made = {outcome.id for outcome in outcomes if isinstance(outcome, stripe.billing.CreditGrant)}
    refused = {outcome.http_status for outcome in outcomes if isinstance(outcome, stripe.StripeError)}
    assert len(made) == 1
    assert refused <= {409}
    assert len(await stand_in.look("objects/credit_grants")) == 1


async def test_a_500_that_did_its_work_is_kept_and_replayed(stand_in: StandIn) -> None:
    customer = await stand_in.customer()
    await stand_in.behave(fail=[{"method": "POST", "path": GRANTS, "status": 500, "afterWork": True}])
    for _ in range(2):
        with pytest.raises(stripe.APIError) as broken:
            await stand_in.grant(customer.id, key="op-1", metadata={"operationId": "op-1"})
        assert broken.value.http_status == 500
    assert stand_in.transport.last.headers["idempotent-replayed"] == "true"
    listed = await stand_in.client.v1.billing.credit_grants.list_async({"customer": customer.id})
    assert [grant.metadata["operationId"] for grant in listed.data] == ["op-1"]


async def test_a_500_that_did_nothing_is_kept_too(stand_in: StandIn) -> None:
    customer = await stand_in.customer()
    await stand_in.behave(fail=[{"method": "POST", "path": GRANTS, "status": 500}])
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            await stand_in.grant(customer.id, key="op-1")
    assert await stand_in.look("objects/credit_grants") == []
    assert (await stand_in.grant(customer.id, key="op-2")).id


@pytest.mark.parametrize("status", [400, 404, 409, 429, 502, 503])
async def test_what_was_refused_before_the_work_may_be_sent_again(stand_in: StandIn, status: int) -> None:
    customer = await stand_in.customer()
    await stand_in.behave(fail=[{"method": "POST", "path": GRANTS, "status": status}])
    with pytest.raises(stripe.StripeError) as refused:
        await stand_in.grant(customer.id, key="op-1")
    assert refused.value.http_status == status
    assert (await stand_in.grant(customer.id, key="op-1")).id


async def test_wrong_parameters_leave_the_key_free(stand_in: StandIn) -> None:
    customer = await stand_in.customer()
    with pytest.raises(stripe.InvalidRequestError):
        await stand_in.grant(customer.id, key="op-1", priority=101)
    assert (await stand_in.grant(customer.id, key="op-1")).priority == 50


async def test_a_refusal_by_the_state_is_kept(stand_in: StandIn) -> None:
    grants = stand_in.client.v1.billing.credit_grants
    grant = await stand_in.grant((await stand_in.customer()).id)
    await grants.void_grant_async(grant.id)
    for _ in range(2):
        with pytest.raises(stripe.InvalidRequestError, match="voided"):
            await grants.expire_async(grant.id, {}, {"idempotency_key": "op-1"})
    assert stand_in.transport.last.headers["idempotent-replayed"] == "true"


async def test_a_declined_card_stays_declined_under_its_key(stand_in: StandIn) -> None:
    customer = await stand_in.customer()
    params: PaymentIntentCreateParams = {
        "amount": 500,
        "currency": "usd",
        "customer": customer.id,
        "payment_method": "pm_card_chargeCustomerFail",
        "confirm": True,
        "off_session": True,
    }
    with pytest.raises(stripe.CardError) as first:
        await stand_in.client.v1.payment_intents.create_async(params, {"idempotency_key": "op-1"})
    with pytest.raises(stripe.CardError) as again:
        await stand_in.client.v1.payment_intents.create_async(params, {"idempotency_key": "op-1"})
    assert error_of(first) == error_of(again)
    intents = await stand_in.look("objects/payment_intents")
    assert [intent["id"] for intent in intents] == [error_of(again)["payment_intent"]["id"]]


async def test_a_key_is_forgotten_after_24_hours(stand_in: StandIn) -> None:
    customer = await stand_in.customer()
    first = await stand_in.grant(customer.id, key="op-1")
    await stand_in.control("clock", {"advanceSeconds": DAY_SECONDS - 60})
    assert (await stand_in.grant(customer.id, key="op-1")).id == first.id
    await stand_in.control("clock", {"advanceSeconds": 60})
    assert (await stand_in.grant(customer.id, key="op-1")).id != first.id


async def test_keys_have_at_most_255_characters(stand_in: StandIn, http: httpx.AsyncClient) -> None:
    customer = await stand_in.customer()
    assert (await stand_in.grant(customer.id, key="k" * 255)).id
    for key in ("k" * 256, ""):
        answer = await http.post(
            stand_in.url + GRANTS,
            data=grant_form(customer.id),
            headers={"Authorization": f"Bearer {API_KEY}", "Idempotency-Key": key},
        )
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "idempotency_error")
    assert len(await stand_in.look("objects/credit_grants")) == 1
