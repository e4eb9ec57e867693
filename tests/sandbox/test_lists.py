"""Pages, and the filters of the events list."""

from typing import Any

import httpx
import pytest
import stripe

from tests.sandbox.endpoint import Endpoint
from tests.sandbox.standin import API_KEY, StandIn

AUTHORIZATION = {"Authorization": f"Bearer {API_KEY}"}
MONTH_SECONDS = 31 * 24 * 60 * 60


async def test_pages_go_both_ways_and_end(stand_in: StandIn) -> None:
    customers = stand_in.client.v1.customers
    made = [(await stand_in.customer()).id for _ in range(12)][::-1]
    first = await customers.list_async({})
    assert ([customer.id for customer in first.data], first.has_more) == (made[:10], True)
    rest = await customers.list_async({"starting_after": made[9]})
    assert ([customer.id for customer in rest.data], rest.has_more) == (made[10:], False)
    before = await customers.list_async({"ending_before": made[10], "limit": 4})
    assert ([customer.id for customer in before.data], before.has_more) == (made[6:10], True)
    newest = await customers.list_async({"ending_before": made[2], "limit": 4})
    assert ([customer.id for customer in newest.data], newest.has_more) == (made[:2], False)
    walked = [customer.id async for customer in (await customers.list_async({"limit": 5})).auto_paging_iter()]
    assert walked == made


async def test_a_list_is_of_one_customer(stand_in: StandIn) -> None:
    ada, bob = await stand_in.customer(), await stand_in.customer()
    for customer in (ada, bob, ada):
        await stand_in.grant(customer.id)
    page = await stand_in.client.v1.billing.credit_grants.list_async({"customer": ada.id})
    assert [grant.customer for grant in page.data] == [ada.id] * 2
    assert stand_in.transport.last.body["url"] == "/v1/billing/credit_grants"


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "ten"},
        {"page": "2"},
        {"starting_after": "cus_of_nobody"},
        {"created[since]": "1"},
        {"created[gte]": "yesterday"},
    ],
)
async def test_wrong_queries_are_refused(stand_in: StandIn, http: httpx.AsyncClient, query: dict[str, str]) -> None:
    answer = await http.get(f"{stand_in.url}/v1/customers", params=query, headers=AUTHORIZATION)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_two_cursors_at_once_are_refused(stand_in: StandIn) -> None:
    customer = await stand_in.customer()
    with pytest.raises(stripe.InvalidRequestError, match="only specify one"):
        await stand_in.client.v1.customers.list_async({"starting_after": customer.id, "ending_before": customer.id})


async def test_created_is_a_period(stand_in: StandIn) -> None:
    early = await stand_in.customer()
    await stand_in.control("clock", {"advanceSeconds": 100})
    late = await stand_in.customer()
    assert early.created + 100 <= late.created
    for created, expected in (
        ({"gte": late.created}, [late.id]),
        ({"lt": late.created}, [early.id]),
        ({"gt": early.created - 1, "lte": late.created}, [late.id, early.id]),
    ):
        page = await stand_in.client.v1.customers.list_async({"created": created})  # type: ignore[arg-type]
        assert [customer.id for customer in page.data] == expected


async def events(stand_in: StandIn, **filters: Any) -> list[str]:
    """Return the types of the events that a filter finds."""
    page = await stand_in.client.v1.events.list_async(filters)  # type: ignore[arg-type]
    return [event.type for event in page.data]


async def test_events_are_found_by_type_and_delivery(stand_in: StandIn, endpoint: Endpoint) -> None:
    customer = await stand_in.customer()
    await endpoint.wait_for(1)
    await stand_in.behave(dropWebhooks=True)
    await stand_in.grant(customer.id)
    await stand_in.until_all_is_delivered()
    assert await events(stand_in, delivery_success=True) == ["customer.created"]
    assert await events(stand_in, delivery_success=False) == ["billing.credit_grant.created"]
    assert await events(stand_in, type="customer.*") == ["customer.created"]
    assert await events(stand_in, types=["customer.created", "billing.credit_grant.created"]) == [
        "billing.credit_grant.created",
        "customer.created",
    ]
    assert await events(stand_in, types=["customer.deleted"]) == []
    with pytest.raises(stripe.InvalidRequestError, match="only specify one"):
        await events(stand_in, type="customer.created", types=["customer.created"])
    with pytest.raises(stripe.InvalidRequestError, match="at most 20"):
        await events(stand_in, types=["customer.created"] * 21)


async def test_events_are_kept_for_30_days(stand_in: StandIn) -> None:
    await stand_in.customer()
    event = (await stand_in.client.v1.events.list_async({})).data[0]
    assert (await stand_in.client.v1.events.retrieve_async(event.id)).type == "customer.created"
    await stand_in.control("clock", {"advanceSeconds": MONTH_SECONDS})
    assert await events(stand_in) == []
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await stand_in.client.v1.events.retrieve_async(event.id)
    assert refused.value.code == "resource_missing"
