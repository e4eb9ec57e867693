"""Events on their way to the endpoint: signed, retried, doubled, shuffled, dropped."""

import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
import stripe

from stripe_sandbox.app import create_app
from stripe_sandbox.config import SandboxConfig
from stripe_sandbox.webhooks import RETRIED_FOR_SECONDS, retry_delay_seconds, signature_header
from tests.sandbox.endpoint import SECRET, Endpoint
from tests.sandbox.serving import free_port, served
from tests.sandbox.standin import RecordingClient, StandIn


async def test_an_event_is_posted_signed(stand_in: StandIn, endpoint: Endpoint) -> None:
    customer = await stand_in.customer()
    [delivery] = await endpoint.wait_for(1)
    event = delivery.event
    assert (event.type, event.livemode, event.pending_webhooks) == ("customer.created", False, 1)
    assert event.api_version == stripe.api_version
    assert delivery.payload["data"]["object"] == customer.to_dict()
    await stand_in.until_all_is_delivered()
    assert (await stand_in.client.v1.events.retrieve_async(event.id)).pending_webhooks == 0


async def test_a_wrong_secret_or_a_changed_body_is_noticed(stand_in: StandIn, endpoint: Endpoint) -> None:
    await stand_in.customer()
    [delivery] = await endpoint.wait_for(1)
    for body, secret in ((delivery.body + b" ", SECRET), (delivery.body, "whsec_other")):
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body, delivery.signature, secret)


def test_the_signature_is_the_librarys_own() -> None:
    payload, at = '{"object":"event"}', int(time.time())
    theirs = stripe.WebhookSignature.generate_signature_header(payload, SECRET, at)
    assert signature_header(payload.encode(), SECRET, at) == theirs


async def test_what_is_not_accepted_is_posted_again_signed_anew(stand_in: StandIn, endpoint: Endpoint) -> None:
    endpoint.answers.extend([500, 302])
    await stand_in.customer()
    await stand_in.customer()
    refused, redirected, *again = await endpoint.wait_for(4)
    assert {refused.event.id, redirected.event.id} == {delivery.event.id for delivery in again}
    assert 0.9 < again[0].at - refused.at < 4
    assert len({delivery.signature for delivery in (refused, redirected, *again)}) == 4
    await stand_in.until_all_is_delivered()
    for tried in await stand_in.look("objects/deliveries"):
        assert (tried["state"], tried["attempts"], tried["lastAnswer"]) == ("delivered", 2, "200")


async def test_an_endpoint_that_is_away_is_tried_again(
    tmp_path: Path, http: httpx.AsyncClient, stripe_transport: RecordingClient
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/"
    config = SandboxConfig(data_dir=tmp_path, webhook_url=nowhere, webhook_secret=SECRET)
    async with served(create_app(config)) as url:
        stand_in = StandIn(url, http, stripe_transport)
        await stand_in.customer()
        tried = await stand_in.until(lambda delivery: delivery["attempts"] == 1)
    assert [(delivery["state"], delivery["lastAnswer"].split(":")[0]) for delivery in tried] == [
        ("pending", "ConnectError")
    ]


def test_patience_grows_and_ends_after_three_days() -> None:
    delays = [retry_delay_seconds(attempts) for attempts in range(1, 30)]
    assert delays[:6] == [1, 2, 5, 15, 60, 300]
    assert delays == sorted(delays)
    tried_for, attempts = 0, 0
    while tried_for <= RETRIED_FOR_SECONDS:
        attempts += 1
        tried_for += retry_delay_seconds(attempts)
    assert 15 <= attempts <= 25


async def test_events_are_doubled_on_request(stand_in: StandIn, endpoint: Endpoint) -> None:
    await stand_in.behave(duplicateWebhooks=2)
    customer = await stand_in.customer()
    await stand_in.grant(customer.id)
    posted = Counter(delivery.event.id for delivery in await endpoint.wait_for(6))
    assert sorted(posted.values()) == [3, 3]


async def test_events_are_shuffled_on_request(stand_in: StandIn, endpoint: Endpoint) -> None:
    await stand_in.behave(shuffleWebhooks=True)
    made = [(await stand_in.customer()).id for _ in range(12)]
    told = [delivery.payload["data"]["object"]["id"] for delivery in await endpoint.wait_for(12)]
    assert sorted(told) == sorted(made)
    assert told != made


async def test_events_come_late_on_request(stand_in: StandIn, endpoint: Endpoint) -> None:
    await stand_in.behave(webhookDelayMs=300)
    asked = time.monotonic()
    await stand_in.customer()
    [delivery] = await endpoint.wait_for(1)
    assert 0.29 < delivery.at - asked < 4


async def test_dropped_events_are_listed_but_never_posted_unless_resent(stand_in: StandIn, endpoint: Endpoint) -> None:
    await stand_in.behave(dropWebhooks=True)
    await stand_in.customer()
    await stand_in.behave()
    await stand_in.customer()
    await endpoint.wait_for(1)
    await stand_in.until_all_is_delivered()
    missed = (await stand_in.client.v1.events.list_async({"delivery_success": False})).data
    assert [(event.type, event.pending_webhooks) for event in missed] == [("customer.created", 1)]
    assert missed[0].id not in {delivery.event.id for delivery in endpoint.deliveries}
    await stand_in.control("trigger", {"event": "resend", "object": missed[0].id})
    assert (await endpoint.wait_for(2))[1].event.id == missed[0].id


async def test_a_number_drops_so_many(stand_in: StandIn, endpoint: Endpoint) -> None:
    await stand_in.behave(dropWebhooks=2)
    made = [(await stand_in.customer()).id for _ in range(3)]
    [delivery] = await endpoint.wait_for(1)
    assert delivery.payload["data"]["object"]["id"] == made[2]


async def test_a_slow_endpoint_does_not_hold_up_the_api(stand_in: StandIn, endpoint: Endpoint) -> None:
    endpoint.slow_seconds = 0.4
    await stand_in.customer()
    await endpoint.wait_for(1)
    await stand_in.customer()
    [first, _] = await stand_in.look("objects/deliveries")
    assert (first["state"], first["attempts"]) == ("pending", 0)
