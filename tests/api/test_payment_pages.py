"""The pages for people who pay: no token, no amounts, and nothing about what could be guessed."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from ledger.paying import record_payment
from messages.failures import Failure
from messages.payments import PaymentNews, PaymentState
from tests.api.flows import LocalFlows
from tests.api.paying import account_with_top_up, put_settings
from tests.api.payment_flows import STRIPES_PAGE
from tests.api.running import RunningApi, new_id, until


@pytest.fixture
def flows(api: RunningApi) -> Any:
    """The flows, which behave well again after the test."""
    yield api.flows
    api.flows.card, api.flows.down, api.flows.stripes_page = "good", False, STRIPES_PAGE
    api.flows.refuses_to_authenticate = None


@pytest.fixture
async def person(api: RunningApi) -> AsyncIterator[httpx.AsyncClient]:
    """A browser, without any token."""
    async with api.client(None) as browser:
        yield browser


async def _waiting(api: RunningApi) -> tuple[str, str]:
    """An account, and its auto top-up that waits to be authenticated."""
    account = await account_with_top_up(api)
    api.flows.card = "authentication"
    await api.admin.post(f"/v1/accounts/{account}/consumptions", json={"operationId": new_id(), "credits": 500})
    api.flows.card = "good"
    last = (await api.admin.get(f"/v1/accounts/{account}/auto-topup")).json()["lastResult"]
    return account, last["operationId"]


def _check_page(answer: httpx.Response, status: int, says: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert says in answer.text
    assert "1,850" not in answer.text
    assert "1850" not in answer.text


async def test_the_owner_is_led_to_stripe(api: RunningApi, flows: LocalFlows, person: httpx.AsyncClient) -> None:
    _, operation_id = await _waiting(api)
    for _ in range(2):
        answer = await person.get(f"/payments/{operation_id}/authenticate")
        assert (answer.status_code, answer.headers["location"]) == (303, STRIPES_PAGE)
        assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert flows.authenticated.count(operation_id) == 2


async def test_what_needs_no_page_any_more_says_how_it_stands(
    api: RunningApi, flows: LocalFlows, person: httpx.AsyncClient
) -> None:
    account, operation_id = await _waiting(api)
    path = f"/payments/{operation_id}/authenticate"
    flows.stripes_page = None
    _check_page(await person.get(path), 200, "Stripe is looking at this payment.")
    news = PaymentNews(operation_id, PaymentState.PROCESSING, payment_intent_id=f"pi_{operation_id}")
    await record_payment(api.engine, news)
    _check_page(await person.get(path), 200, "This payment is under way.")
    _check_page(await person.get(f"/payments/{operation_id}/done"), 200, "This payment is under way.")
    news = PaymentNews(operation_id, PaymentState.FAILED, error="auto-topup-declined", message="It cost 1850 cents.")
    await record_payment(api.engine, news)
    _check_page(await person.get(path), 200, "This payment did not go through.")
    assert flows.authenticated.count(operation_id) == 1
    assert account not in (await person.get(path)).text


async def test_a_later_top_up_takes_its_place(api: RunningApi, flows: LocalFlows, person: httpx.AsyncClient) -> None:
    account, operation_id = await _waiting(api)
    await put_settings(api, account, enabled=True, threshold=100, target=2000)
    spent = await api.admin.post(f"/v1/accounts/{account}/consumptions", json={"operationId": "o", "credits": 500})
    assert spent.status_code == 200
    answer = await person.get(f"/payments/{operation_id}/authenticate")
    _check_page(answer, 200, "A later payment has taken the place of this one.")
    paid = (await api.admin.get(f"/v1/accounts/{account}/auto-topup")).json()["lastResult"]["operationId"]
    for page in ("authenticate", "done", "canceled"):
        _check_page(await person.get(f"/payments/{paid}/{page}"), 200, "its credits are in your balance")
    assert flows.authenticated == [each for each in flows.authenticated if each not in (paid, operation_id)]


async def test_an_outage_asks_to_come_again(api: RunningApi, flows: LocalFlows, person: httpx.AsyncClient) -> None:
    _, operation_id = await _waiting(api)
    flows.down = True
    answer = await person.get(f"/payments/{operation_id}/authenticate")
    _check_page(answer, 503, "Try again")
    assert answer.headers["retry-after"] == "60"


@pytest.mark.parametrize(
    ("failure", "status", "says"),
    [(Failure.STRIPE_OUTAGE, 503, "Try again"), ("nothing-to-authenticate", 200, "Stripe is looking at this payment.")],
)
async def test_what_the_workflow_refuses(
    api: RunningApi,
    flows: LocalFlows,
    person: httpx.AsyncClient,
    failure: str,
    status: int,
    says: str,
) -> None:
    _, operation_id = await _waiting(api)
    flows.refuses_to_authenticate = failure
    _check_page(await person.get(f"/payments/{operation_id}/authenticate"), status, says)


async def test_payments_that_are_unknown(api: RunningApi, account: str, person: httpx.AsyncClient) -> None:
    operation_id = new_id()
    bought = await api.admin.post(
        f"/v1/accounts/{account}/purchases", json={"operationId": operation_id, "credits": 1850}
    )
    assert bought.status_code == 201
    # What clients chose might be guessed: a purchase is as unknown here as nothing.
    pages = [
        [(await person.get(f"/payments/{each}/{page}")).text for each in (operation_id, "auto-topup-none", "%00")]
        for page in ("authenticate", "done", "canceled")
    ]
    assert all(len(set(same)) == 1 for same in pages)
    _check_page(await person.get(f"/payments/{operation_id}/authenticate"), 404, "There is no such payment.")
    _check_page(await person.get(f"/payments/{operation_id}/done"), 200, "Thank you.")
    _check_page(await person.get(f"/payments/{operation_id}/canceled"), 200, "nothing was paid on it")
    assert operation_id not in api.flows.authenticated


async def test_who_comes_back_from_stripe_has_it_asked_and_is_told_nothing_of_a_purchase(
    api: RunningApi, account: str, flows: LocalFlows, person: httpx.AsyncClient
) -> None:
    waits, paid = new_id(), new_id()
    for operation_id in (paid, waits):
        flows.card = "good" if operation_id == paid else "checkout"
        order = {"operationId": operation_id, "credits": 1850}
        assert (await api.admin.post(f"/v1/accounts/{account}/purchases", json=order)).status_code == 201
    for page in ("authenticate", "canceled"):
        await person.get(f"/payments/{waits}/{page}")
    assert waits not in [told for told, _ in flows.told]
    answers = [await person.get(f"/payments/{each}/done") for each in (waits, waits, waits, paid, new_id())]
    _check_page(answers[0], 200, "Thank you.")
    assert len({answer.text for answer in answers}) == 1
    await until(lambda: [told for told, _ in flows.told if told in (waits, paid)] == [waits])


async def test_who_comes_back_from_an_authentication_has_stripe_asked(
    api: RunningApi, flows: LocalFlows, person: httpx.AsyncClient
) -> None:
    _, operation_id = await _waiting(api)
    _check_page(await person.get(f"/payments/{operation_id}/done"), 200, "Stripe is looking at this payment.")
    await until(lambda: operation_id in [told for told, _ in flows.told])
