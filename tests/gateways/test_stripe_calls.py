"""Every call of the gateway, by the real library, against the stand-in; and each of them as stripe-mock takes it."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import stripe

from gateways.stripe import credit_grants
from gateways.stripe.errors import StripeOutcomeUnknown, StripeRefused
from ledger.rules.grant_types import GRANT_PRIORITIES
from messages.customers import PaymentMethodCall
from messages.grants import GrantType, MirrorClosing, MirrorQuestion, StripeGrantId
from tests.gateways.stripe_parts import METERED_PRICE, StripeParts, gateway_to, new_customer, new_mirror
from tests.sandbox.replay import replay
from tests.sandbox.standin import API_KEY

EXPIRES = datetime(2030, 1, 31, 12, 0, 0, 999_999, tzinfo=UTC)


async def call_everything(parts: StripeParts) -> list[str]:
    """Every call of the gateway, as the flows make them; answers with the keys that it used, in their order."""
    gateway = parts.gateway
    wanted = new_customer()
    customer = (await gateway.create_customer(wanted)).stripe_customer_id
    nameless = new_customer(email=None, kind="organization")
    await gateway.create_customer(nameless)
    first = await gateway.create_credit_grant(new_mirror(customer, "op-1"))
    free = new_mirror(customer, "op-2", type=GrantType.FREE, expires_at=EXPIRES)
    second = await gateway.create_credit_grant(free)
    await gateway.find_credit_grant(MirrorQuestion("op-1", customer))
    await gateway.retrieve_credit_grant(StripeGrantId(first.stripe_grant_id))
    await gateway.void_credit_grant(MirrorClosing("op-1", first.stripe_grant_id, "close-op-1"))
    await gateway.expire_credit_grant(MirrorClosing("op-2", second.stripe_grant_id, "close-op-2"))
    attached = await gateway.attach_payment_method(PaymentMethodCall(customer, "pm_card_visa", "attach-1"))
    await gateway.set_default_payment_method(PaymentMethodCall(customer, attached.payment_method_id, "default-1"))
    return [
        wanted.idempotency_key,
        nameless.idempotency_key,
        "grant-op-1-1",
        "grant-op-2-1",
        "close-op-1-void",
        "close-op-2-expire",
        "attach-1",
        "default-1",
    ]


async def test_every_post_carries_our_key_and_no_other(parts: StripeParts) -> None:
    keys = await call_everything(parts)
    assert [key for _, key in await parts.posts()] == keys


async def test_every_request_names_the_librarys_api_version_and_our_secret_key(parts: StripeParts) -> None:
    await call_everything(parts)
    assert {headers["stripe-version"] for headers in parts.headers} == {stripe.api_version}
    assert {headers["authorization"] for headers in parts.headers} == {f"Bearer {API_KEY}"}


async def test_stripe_mock_takes_every_request(parts: StripeParts, stripe_mock: str, http: httpx.AsyncClient) -> None:
    await call_everything(parts)
    requests = await parts.stand_in.look("requests")
    assert len(requests) == 10
    for request in requests:
        answer = await replay(http, stripe_mock, request)
        assert answer.status_code == 200, f"{request['method']} {request['path']} {request['form']}: {answer.text}"


async def test_a_customer_carries_its_account(parts: StripeParts) -> None:
    wanted = new_customer()
    made = await parts.gateway.create_customer(wanted)
    assert made.account_id == wanted.account_id
    [customer] = await parts.stand_in.look("objects/customers")
    assert (customer["id"], customer["name"], customer["email"]) == (made.stripe_customer_id, "Ada", "ada@example.com")
    assert customer["metadata"] == {"accountId": wanted.account_id, "kind": "user"}


async def test_a_mirror_says_all_that_it_mirrors(parts: StripeParts) -> None:
    request = new_mirror(await parts.customer(), type=GrantType.FREE, expires_at=EXPIRES, amount_cents=999)
    made = await parts.gateway.create_credit_grant(request)
    assert (made.operation_id, made.closed) == ("op-1", False)
    [grant] = await parts.grants()
    assert grant["id"] == made.stripe_grant_id
    assert grant["amount"] == {"type": "monetary", "monetary": {"value": 999, "currency": "usd"}}
    assert grant["applicability_config"] == {"scope": {"prices": [{"id": METERED_PRICE}]}}
    assert (grant["category"], grant["priority"], grant["name"]) == ("promotional", 20, "1000 free credits")
    assert grant["expires_at"] == int(EXPIRES.timestamp())
    assert grant["metadata"] == {
        "operationId": "op-1",
        "accountId": request.account_id,
        "grantType": "free",
        "credits": "1000",
    }


@pytest.mark.parametrize("grant_type", GrantType)
async def test_each_type_has_its_category_and_the_ledgers_priority(parts: StripeParts, grant_type: GrantType) -> None:
    await parts.gateway.create_credit_grant(new_mirror(await parts.customer(), type=grant_type))
    [grant] = await parts.grants()
    paid = grant_type in (GrantType.PURCHASE, GrantType.ROLLOVER)
    assert (grant["category"], grant["priority"]) == ("paid" if paid else "promotional", GRANT_PRIORITIES[grant_type])


async def test_a_mirror_without_a_customer_never_leaves_the_house(parts: StripeParts) -> None:
    with pytest.raises(ValueError, match="op-1 has no customer"):
        await parts.gateway.create_credit_grant(new_mirror(None))
    assert await parts.posts() == []


async def test_the_same_key_gives_the_same_object(parts: StripeParts) -> None:
    wanted = new_customer()
    first, again = [await parts.gateway.create_customer(wanted) for _ in range(2)]
    assert first == again
    request = new_mirror(first.stripe_customer_id)
    grants = [await parts.gateway.create_credit_grant(request) for _ in range(3)]
    assert len({grant.stripe_grant_id for grant in grants}) == len(await parts.grants()) == 1
    other = await parts.gateway.create_credit_grant(replace(request, idempotency_key="grant-op-1-2"))
    assert other.stripe_grant_id != grants[0].stripe_grant_id


async def test_a_key_used_with_other_parameters_tells_of_an_earlier_call(parts: StripeParts) -> None:
    customer = await parts.customer()
    await parts.gateway.create_credit_grant(new_mirror(customer))
    with pytest.raises(StripeOutcomeUnknown, match="same parameters") as told:
        await parts.gateway.create_credit_grant(new_mirror(customer, credits=2000))
    assert told.value.status == 400
    assert len(await parts.grants()) == 1


async def test_a_grant_is_found_behind_a_hundred_others(parts: StripeParts) -> None:
    customer = await parts.customer()
    oldest = await parts.gateway.create_credit_grant(new_mirror(customer, "oldest"))
    for number in range(2):
        made = await asyncio.gather(
            *(parts.gateway.create_credit_grant(new_mirror(customer, f"op-{number}-{each}")) for each in range(51))
        )
        if number == 0:
            await asyncio.gather(*(_void(parts, grant.stripe_grant_id) for grant in made))
    await parts.stand_in.http.delete(f"{parts.stand_in.url}/_sandbox/requests")
    found = await parts.gateway.find_credit_grant(MirrorQuestion("oldest", customer))
    assert found.stripe_grant == oldest
    assert (await parts.gateway.find_credit_grant(MirrorQuestion("nothing", customer))).stripe_grant is None
    pages = await parts.stand_in.look("requests")
    assert [("starting_after" in page["form"], page["form"]["limit"]) for page in pages] == [
        (False, "100"),
        (True, "100"),
    ] * 2


async def _void(parts: StripeParts, stripe_grant_id: str) -> None:
    await parts.gateway.void_credit_grant(MirrorClosing("", stripe_grant_id, f"close-{stripe_grant_id}"))


async def test_what_was_voided_or_ended_is_not_found(parts: StripeParts) -> None:
    customer = await parts.customer()
    question = MirrorQuestion("op-1", customer)
    voided = await parts.gateway.create_credit_grant(new_mirror(customer))
    await _void(parts, voided.stripe_grant_id)
    assert (await parts.gateway.find_credit_grant(question)).stripe_grant is None
    ended = await parts.gateway.create_credit_grant(new_mirror(customer, idempotency_key="grant-op-1-2"))
    await parts.gateway.expire_credit_grant(MirrorClosing("op-1", ended.stripe_grant_id, "close-op-1"))
    assert (await parts.gateway.find_credit_grant(question)).stripe_grant is None
    stands = await parts.gateway.create_credit_grant(new_mirror(customer, idempotency_key="grant-op-1-3"))
    assert (await parts.gateway.find_credit_grant(question)).stripe_grant == stands


async def test_others_grants_are_none_of_ours(parts: StripeParts) -> None:
    customer = await parts.customer()
    foreign = await parts.stand_in.grant(customer)
    theirs = await parts.gateway.retrieve_credit_grant(StripeGrantId(foreign.id))
    assert (theirs.operation_id, theirs.closed) == (None, False)
    assert (await parts.gateway.find_credit_grant(MirrorQuestion("op-1", customer))).stripe_grant is None


async def test_void_is_for_what_was_never_applied_and_expire_for_the_rest(parts: StripeParts) -> None:
    made = await parts.gateway.create_credit_grant(new_mirror(await parts.customer()))
    await parts.stand_in.control(
        "trigger", {"event": "credit_grant.applied", "object": made.stripe_grant_id, "amount": 300}
    )
    closing = MirrorClosing("op-1", made.stripe_grant_id, "close-op-1")
    with pytest.raises(StripeRefused, match="applied"):
        await parts.gateway.void_credit_grant(closing)
    assert not (await parts.gateway.retrieve_credit_grant(StripeGrantId(made.stripe_grant_id))).closed
    await parts.gateway.expire_credit_grant(closing)
    assert (await parts.gateway.retrieve_credit_grant(StripeGrantId(made.stripe_grant_id))).closed
    assert [key for _, key in await parts.posts()][-2:] == ["close-op-1-void", "close-op-1-expire"]


async def test_a_grant_whose_time_ran_out_was_not_closed(parts: StripeParts) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    made = await parts.gateway.create_credit_grant(new_mirror(await parts.customer(), expires_at=soon))
    await parts.stand_in.control("clock", {"advanceSeconds": 7200})
    assert not (await parts.gateway.retrieve_credit_grant(StripeGrantId(made.stripe_grant_id))).closed


async def test_a_card_is_attached_under_the_id_that_stripe_gives_it(parts: StripeParts) -> None:
    customer = await parts.customer()
    method = await parts.gateway.attach_payment_method(PaymentMethodCall(customer, "pm_card_visa", "attach-1"))
    assert method.payment_method_id != "pm_card_visa"
    assert (method.kind, method.brand, method.last4) == ("card", "visa", "4242")
    assert method.expiry_year is not None
    await parts.gateway.set_default_payment_method(PaymentMethodCall(customer, method.payment_method_id, "default-1"))
    [stored] = await parts.stand_in.look("objects/customers")
    assert stored["invoice_settings"]["default_payment_method"] == method.payment_method_id


def test_the_ledgers_priorities_are_stripes() -> None:
    assert credit_grants._PRIORITIES == GRANT_PRIORITIES


async def test_a_slash_at_the_end_of_the_address_does_no_harm(parts: StripeParts) -> None:
    async with gateway_to(f"{parts.stand_in.url}/") as gateway:
        assert (await gateway.create_customer(new_customer())).stripe_customer_id.startswith("cus_")
