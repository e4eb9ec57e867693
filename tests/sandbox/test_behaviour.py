"""The test controls: what goes wrong on request, what the dashboard does, and the clock."""

import time
from typing import Any

import httpx
import pytest
import stripe

from tests.sandbox.endpoint import Endpoint
from tests.sandbox.standin import StandIn, error_of

GRANTS = "/v1/billing/credit_grants"


async def test_an_outage_cuts_connections_and_holds_webhooks(stand_in: StandIn, endpoint: Endpoint) -> None:
    await stand_in.behave(webhookDelayMs=100)
    customer = await stand_in.customer()
    await stand_in.behave(outage=True)
    with pytest.raises(stripe.APIConnectionError) as cut:
        await stand_in.grant(customer.id, key="op-1")
    assert isinstance(cut.value.__cause__, httpx.RemoteProtocolError | httpx.ReadError)
    with pytest.raises(TimeoutError):
        await endpoint.wait_for(1, within_seconds=0.3)
    requests = await stand_in.look("requests")
    assert [(request["status"], request["idempotencyKey"]) for request in requests][1:] == [(None, "op-1")]
    await stand_in.behave()
    [delivery] = await endpoint.wait_for(1)
    assert delivery.event.type == "customer.created"
    assert (await stand_in.grant(customer.id, key="op-1")).customer == customer.id


async def test_a_lost_answer_is_had_again_with_the_same_key(stand_in: StandIn) -> None:
    customer = await stand_in.customer()
    await stand_in.behave(fail=[{"method": "POST", "path": GRANTS, "cut": True, "afterWork": True}])
    with pytest.raises(stripe.APIConnectionError):
        await stand_in.grant(customer.id, key="op-1")
    [made] = await stand_in.look("objects/credit_grants")
    assert (await stand_in.grant(customer.id, key="op-1")).id == made["id"]


async def test_latency_is_added(stand_in: StandIn) -> None:
    await stand_in.behave(latencyMs=150)
    asked = time.monotonic()
    await stand_in.customer()
    assert time.monotonic() - asked >= 0.15


async def test_a_fault_strikes_as_often_as_it_says(stand_in: StandIn) -> None:
    await stand_in.behave(fail=[{"method": "POST", "path": "/v1/customers", "status": 503, "times": 2}])
    for _ in range(2):
        with pytest.raises(stripe.APIError) as broken:
            await stand_in.customer()
        assert broken.value.http_status == 503
    assert (await stand_in.customer()).id


@pytest.mark.parametrize(
    ("path", "hit"),
    [
        ("/v1/billing/credit_grants/{id}/void", True),
        ("/v1/billing/*", True),
        ("*", True),
        ("/v1/billing/credit_grants", False),
        ("/v1/billing/credit_grants/{id}", False),
        ("/v1/billing/credit_grants/credgr_other/void", False),
    ],
)
async def test_a_faults_path_has_wildcards(stand_in: StandIn, path: str, hit: bool) -> None:
    grant = await stand_in.grant((await stand_in.customer()).id)
    await stand_in.behave(fail=[{"method": "*", "path": path, "status": 503}])
    try:
        await stand_in.client.v1.billing.credit_grants.void_grant_async(grant.id)
    except stripe.APIError:
        assert hit
    else:
        assert not hit


@pytest.mark.parametrize(
    ("fault", "error_type", "code", "decline_code"),
    [
        ({"status": 429}, stripe.RateLimitError, "rate_limit", None),
        ({"status": 402}, stripe.CardError, "card_declined", "generic_decline"),
        ({"status": 402, "code": "insufficient_funds"}, stripe.CardError, "card_declined", "insufficient_funds"),
        (
            {"status": 402, "code": "authentication_required"},
            stripe.CardError,
            "authentication_required",
            "authentication_required",
        ),
        ({"status": 400, "code": "customer_max_grants"}, stripe.InvalidRequestError, "customer_max_grants", None),
        ({"status": 404}, stripe.InvalidRequestError, "resource_missing", None),
        ({"status": 409}, stripe.APIError, "idempotency_key_in_use", None),
        ({"status": 500}, stripe.APIError, None, None),
    ],
)
async def test_faults_speak_as_stripe_does(
    stand_in: StandIn,
    fault: dict[str, Any],
    error_type: type[stripe.StripeError],
    code: str | None,
    decline_code: str | None,
) -> None:
    await stand_in.behave(fail=[{"method": "POST", "path": "/v1/customers", **fault}])
    with pytest.raises(error_type) as refused:
        await stand_in.customer()
    assert refused.value.http_status == fault["status"]
    error = error_of(refused)
    assert (error.get("code"), error.get("decline_code")) == (code, decline_code)


@pytest.mark.parametrize(
    ("control", "order", "complaint"),
    [
        ("behaviour", '{"latency": 5}', "latency: Extra inputs are not permitted"),
        ("behaviour", '{"latencyMs": "5"}', "latencyMs"),
        ("behaviour", '{"latencyMs": -1}', "latencyMs"),
        ("behaviour", '{"outage": 1}', "outage"),
        ("behaviour", '{"fail": [{"path": "/v1/customers"}]}', "status must be from 400 to 599"),
        ("behaviour", '{"fail": [{"path": "*", "status": 200}]}', "status must be from 400 to 599"),
        ("behaviour", '{"fail": [{"path": "*", "status": 400, "afterWork": true}]}', "afterWork"),
        ("behaviour", '{"fail": [{"status": 500}]}', "fail.0.path"),
        ("behaviour", "[]", "object"),
        ("behaviour", "not json", "JSON"),
        ("behaviour", '{"fail": "' + "x" * 70_000 + '"}', "65536 bytes"),
        ("clock", "{}", "either now or advanceSeconds"),
        ("clock", '{"advanceSeconds": -1}', "advanceSeconds"),
        ("clock", '{"now": "tomorrow"}', "now"),
        ("clock", '{"now": "2027-01-01T00:00:00"}', "now"),
        ("trigger", '{"event": "earthquake", "object": "x"}', "unknown event 'earthquake'"),
        ("trigger", '{"event": "resend"}', "object"),
        ("trigger", '{"event": "resend", "object": "x", "often": 2}', "unknown parameter: often"),
        ("tea", "{}", "no test control POST /_sandbox/tea"),
    ],
)
async def test_wrong_orders_are_refused_with_a_reason(
    stand_in: StandIn, http: httpx.AsyncClient, control: str, order: str, complaint: str
) -> None:
    answer = await http.post(f"{stand_in.url}/_sandbox/{control}", content=order)
    assert answer.status_code == 400
    assert complaint in answer.json()["error"]["message"]
    shown = await http.get(f"{stand_in.url}/_sandbox/behaviour")
    assert (shown.json()["latencyMs"], shown.json()["fail"]) == (0, [])


async def test_unknown_kinds_are_refused_with_those_there_are(stand_in: StandIn, http: httpx.AsyncClient) -> None:
    answer = await http.get(f"{stand_in.url}/_sandbox/objects/unicorns")
    assert answer.status_code == 400
    assert "credit_grants, customers, deliveries, disputes, events" in answer.json()["error"]["message"]


async def test_a_person_in_the_dashboard_voids_a_grant(stand_in: StandIn, endpoint: Endpoint) -> None:
    grant = await stand_in.grant((await stand_in.customer()).id)
    await endpoint.wait_for(2)
    order = {"event": "billing.credit_grant.voided", "object": grant.id}
    done = await stand_in.control("trigger", order)
    assert done["object"]["voided_at"] is not None
    told = (await endpoint.wait_for(3))[2]
    assert told.event.type == "billing.credit_grant.updated"
    assert told.payload["data"]["object"]["voided_at"] == done["object"]["voided_at"]
    assert told.payload["request"] == {"id": None, "idempotency_key": None}


async def test_a_trigger_takes_the_object_itself_as_well(stand_in: StandIn, http: httpx.AsyncClient) -> None:
    grant = await stand_in.grant((await stand_in.customer()).id)
    order = {"event": "billing.credit_grant.voided", "object": grant.to_dict()}
    assert (await stand_in.control("trigger", order))["object"]["voided_at"] is not None
    nothings: list[object] = [{}, None, 5, [grant.id]]
    for nothing in nothings:
        answer = await http.post(f"{stand_in.url}/_sandbox/trigger", json={**order, "object": nothing})
        assert answer.status_code == 400, answer.text


async def test_a_trigger_on_nothing_is_a_missing_resource(stand_in: StandIn, http: httpx.AsyncClient) -> None:
    order = {"event": "billing.credit_grant.voided", "object": "credgr_of_nobody"}
    answer = await http.post(f"{stand_in.url}/_sandbox/trigger", json=order)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "resource_missing")


async def test_the_clock_can_be_set_and_shows_in_new_objects(stand_in: StandIn) -> None:
    moved = await stand_in.control("clock", {"now": "2030-01-01T00:00:00Z"})
    assert moved["now"].startswith("2030-01-01T00:00:0")
    customer = await stand_in.customer()
    assert 1_893_456_000 <= customer.created < 1_893_456_010


async def test_health_tells_of_the_outage_and_of_what_is_pending(stand_in: StandIn, http: httpx.AsyncClient) -> None:
    await stand_in.behave(webhookDelayMs=60_000)
    await stand_in.customer()
    await stand_in.behave(outage=True)
    health = (await http.get(f"{stand_in.url}/_sandbox/health")).json()
    assert (health["status"], health["outage"], health["pendingWebhooks"]) == ("ok", True, 1)
