"""Billing credit grants."""

import time

import httpx
import pytest
import stripe

from tests.sandbox.endpoint import Endpoint
from tests.sandbox.standin import API_KEY, StandIn, grant_form

DAY_SECONDS = 24 * 60 * 60
AUTHORIZATION = {"Authorization": f"Bearer {API_KEY}"}


def soon() -> int:
    """An instant tomorrow, in Unix seconds."""
    return int(time.time()) + DAY_SECONDS


async def test_a_grant_is_made_and_told_with_its_metadata(stand_in: StandIn, endpoint: Endpoint) -> None:
    customer = await stand_in.customer()
    grant = await stand_in.grant(customer.id, metadata={"operationId": "op-1"})
    assert grant.id.startswith("credgr_")
    assert (grant.priority, grant.category, grant.expires_at, grant.voided_at) == (50, "paid", None, None)
    told = [delivery for delivery in await endpoint.wait_for(2) if "credit_grant" in delivery.event.type]
    assert [delivery.event.type for delivery in told] == ["billing.credit_grant.created"]
    assert told[0].payload["data"]["object"]["metadata"] == {"operationId": "op-1"}


async def test_only_expiry_and_metadata_change(stand_in: StandIn, http: httpx.AsyncClient) -> None:
    grants = stand_in.client.v1.billing.credit_grants
    grant = await stand_in.grant((await stand_in.customer()).id, metadata={"a": "1"})
    later = soon()
    changed = await grants.update_async(grant.id, {"expires_at": later, "metadata": {"b": "2"}})
    assert (changed.expires_at, changed.metadata.to_dict()) == (later, {"a": "1", "b": "2"})
    assert (await grants.update_async(grant.id, {"expires_at": ""})).expires_at is None
    answer = await http.post(
        f"{stand_in.url}/v1/billing/credit_grants/{grant.id}", data={"priority": "1"}, headers=AUTHORIZATION
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "parameter_unknown")


async def test_void_is_for_what_was_never_applied(stand_in: StandIn) -> None:
    grants = stand_in.client.v1.billing.credit_grants
    customer = await stand_in.customer()
    fresh, used = await stand_in.grant(customer.id), await stand_in.grant(customer.id)
    await stand_in.control("trigger", {"event": "credit_grant.applied", "object": used.id, "amount": 1})
    assert (await grants.void_grant_async(fresh.id)).voided_at is not None
    with pytest.raises(stripe.InvalidRequestError, match="has been applied"):
        await grants.void_grant_async(used.id)
    assert (await grants.expire_async(used.id)).expires_at is not None
    for done in (fresh, used):
        with pytest.raises(stripe.InvalidRequestError, match=r"voided|expired"):
            await grants.expire_async(done.id)
        with pytest.raises(stripe.InvalidRequestError, match=r"voided|expired"):
            await grants.void_grant_async(done.id)


async def test_a_customer_holds_at_most_100_unused_grants(stand_in: StandIn) -> None:
    grants = stand_in.client.v1.billing.credit_grants
    await stand_in.behave(dropWebhooks=True)
    full, other = await stand_in.customer(), await stand_in.customer()
    held = [await stand_in.grant(full.id) for _ in range(100)]
    with pytest.raises(stripe.InvalidRequestError, match="100 unused") as refused:
        await stand_in.grant(full.id)
    assert refused.value.http_status == 400
    await stand_in.grant(other.id)
    # Each way of being done with makes room for one more.
    await grants.void_grant_async(held[0].id)
    await stand_in.grant(full.id)
    await grants.expire_async(held[1].id)
    await stand_in.grant(full.id)
    await stand_in.control("trigger", {"event": "credit_grant.applied", "object": held[2].id})
    await stand_in.grant(full.id, expires_at=soon())
    with pytest.raises(stripe.InvalidRequestError, match="100 unused"):
        await stand_in.grant(full.id)
    await stand_in.control("clock", {"advanceSeconds": 2 * DAY_SECONDS})
    await stand_in.grant(full.id)


async def test_expiry_follows_the_products_clock(stand_in: StandIn) -> None:
    customer = await stand_in.customer()
    tomorrow = soon()
    grant = await stand_in.grant(customer.id, expires_at=tomorrow)
    await stand_in.control("clock", {"advanceSeconds": 2 * DAY_SECONDS})
    with pytest.raises(stripe.InvalidRequestError, match="expired"):
        await stand_in.client.v1.billing.credit_grants.void_grant_async(grant.id)
    with pytest.raises(stripe.InvalidRequestError, match="future"):
        await stand_in.grant(customer.id, expires_at=tomorrow)
    made = await stand_in.grant(customer.id)
    assert made.created > tomorrow


@pytest.mark.parametrize(
    ("wrong", "code", "param"),
    [
        ({"amount[monetary][value]": "0"}, "parameter_invalid_integer", "amount[monetary][value]"),
        ({"amount[monetary][value]": "-5"}, "parameter_invalid_integer", "amount[monetary][value]"),
        ({"amount[monetary][value]": "1.5"}, "parameter_invalid_integer", "amount[monetary][value]"),
        ({"amount[monetary][value]": "9" * 30}, "parameter_invalid_integer", "amount[monetary][value]"),
        ({"amount[monetary][currency]": "dollars"}, None, "amount[monetary][currency]"),
        ({"amount[type]": "barter"}, None, "amount[type]"),
        ({"amount[weight]": "1"}, "parameter_unknown", "amount[weight]"),
        ({"applicability_config[scope][price_type]": "licensed"}, None, "applicability_config[scope][price_type]"),
        ({"applicability_config[scope][prices][0][id]": "price_1"}, None, "applicability_config[scope]"),
        ({"category": "gift"}, None, "category"),
        ({"customer": ""}, "parameter_invalid_empty", "customer"),
        ({"expires_at": "1000000000"}, None, "expires_at"),
        ({"expires_at": "tomorrow"}, "parameter_invalid_integer", "expires_at"),
        ({"name": "x" * 101}, None, "name"),
        ({"nickname": "x"}, "parameter_unknown", "nickname"),
        ({"priority": "101"}, "parameter_invalid_integer", "priority"),
        ({"priority": "-1"}, "parameter_invalid_integer", "priority"),
        ({f"metadata[{'k' * 41}]": "v"}, None, "metadata"),
        ({"metadata[k]": "v" * 501}, None, "metadata[k]"),
        ({f"metadata[k{n}]": "v" for n in range(51)}, None, "metadata"),
        ({"metadata": "x"}, None, "metadata"),
        ({"metadata[a][b]": "x"}, None, "metadata[a]"),
        ({"metadata[a": "x"}, None, "metadata[a"),
    ],
)
async def test_wrong_parameters_are_refused(
    stand_in: StandIn, http: httpx.AsyncClient, wrong: dict[str, str], code: str | None, param: str
) -> None:
    form = grant_form((await stand_in.customer()).id) | wrong
    answer = await http.post(f"{stand_in.url}/v1/billing/credit_grants", data=form, headers=AUTHORIZATION)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert (error.get("code"), error["param"]) == (code, param)
    assert await stand_in.look("objects/credit_grants") == []


@pytest.mark.parametrize(
    ("left_out", "param"),
    [
        ("customer", "customer"),
        ("amount[type]", "amount[type]"),
        ("amount[monetary][value]", "amount[monetary][value]"),
        ("amount[monetary][currency]", "amount[monetary][currency]"),
        ("applicability_config[scope][price_type]", "applicability_config"),
    ],
)
async def test_missing_parameters_are_named(
    stand_in: StandIn, http: httpx.AsyncClient, left_out: str, param: str
) -> None:
    form = grant_form((await stand_in.customer()).id)
    del form[left_out]
    answer = await http.post(f"{stand_in.url}/v1/billing/credit_grants", data=form, headers=AUTHORIZATION)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "parameter_missing", param)


async def test_unknown_customers_and_grants_are_missing_resources(stand_in: StandIn) -> None:
    grants = stand_in.client.v1.billing.credit_grants
    for request, status in (
        (stand_in.grant("cus_of_nobody"), 400),
        (grants.list_async({"customer": "cus_of_nobody"}), 400),
        (grants.retrieve_async("credgr_of_nobody"), 404),
        (grants.void_grant_async("credgr_of_nobody"), 404),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await request
        assert (refused.value.http_status, refused.value.code) == (status, "resource_missing")
