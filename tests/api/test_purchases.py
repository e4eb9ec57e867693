"""Credits are bought with money: each operation id once, and what is said while it is not decided yet."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from api.background import Background
from api.looking import LookDesk, quiet_seconds_at
from gateways.temporal.flows import FlowUnavailable
from ledger.paying import read_payment, record_payment
from messages.payments import Payment, PaymentEvent, PaymentNews, PaymentState
from tests.api.flows import LocalFlows
from tests.api.paying import account_with_top_up, balance_of
from tests.api.payment_flows import CHECKOUT_PAGE, Card
from tests.api.running import RunningApi, new_id, running_api, until

FIELDS = {"operationId", "accountId", "kind", "credits", "amountCents", "currency", "status", "createdAt", "replayed"}


@pytest.fixture
def flows(api: RunningApi) -> Any:
    """The flows, which behave well again after the test."""
    yield api.flows
    api.flows.card, api.flows.down, api.flows.loses_answers = "good", False, False


async def _buy(api: RunningApi, account: str, operation_id: str, credits: Any = 1000) -> tuple[int, dict[str, Any]]:
    body = {"operationId": operation_id, "credits": credits}
    answer = await api.admin.post(f"/v1/accounts/{account}/purchases", json=body)
    return answer.status_code, answer.json()


async def test_what_is_paid_gives_its_credits(api: RunningApi, account: str) -> None:
    operation_id = new_id()
    async with api.client(await api.token_of(account)) as owner:
        answer = await owner.post(
            f"/v1/accounts/{account}/purchases", json={"operationId": operation_id, "credits": 1000}
        )
    assert answer.status_code == 201
    bought = answer.json()
    assert set(bought) == FIELDS | {"grant", "receiptUrl"}
    assert (bought["status"], bought["kind"], bought["replayed"]) == ("paid", "purchase", False)
    assert (bought["credits"], bought["amountCents"], bought["currency"]) == (1000, 1000, "usd")
    assert bought["grant"] == (await api.admin.get(f"/v1/grants/{operation_id}")).json()
    assert (bought["grant"]["type"], bought["grant"]["principal"]) == ("purchase", 1000)
    assert await balance_of(api, account) == 1000
    assert await _buy(api, account, operation_id) == (200, bought | {"replayed": True})
    assert api.flows.purchased.count(operation_id) == 1
    assert await balance_of(api, account) == 1000


async def test_what_the_bank_has_not_decided_is_processing(api: RunningApi, account: str, flows: LocalFlows) -> None:
    flows.card = "slow"
    operation_id = new_id()
    status, bought = await _buy(api, account, operation_id)
    assert (status, bought["status"]) == (201, "processing")
    assert set(bought) == FIELDS
    # Paid is what the credits are there for, and nothing before.
    news = PaymentNews(operation_id, PaymentState.SUCCEEDED, payment_intent_id="pi_x")
    await record_payment(api.engine, news)
    status, again = await _buy(api, account, operation_id)
    assert (status, again["status"], again["replayed"]) == (200, "processing", True)


async def test_what_the_owner_has_to_pay_by_hand(api: RunningApi, account: str, flows: LocalFlows) -> None:
    flows.card = "checkout"
    operation_id = new_id()
    status, bought = await _buy(api, account, operation_id)
    assert (status, bought["status"], bought["checkoutUrl"]) == (201, "requires-action", CHECKOUT_PAGE)
    assert await balance_of(api, account) == 0
    shown = (await api.admin.get(f"/v1/purchases/{operation_id}")).json()
    assert shown == {name: value for name, value in bought.items() if name != "replayed"}


async def test_what_is_declined_says_why(api: RunningApi, account: str, flows: LocalFlows) -> None:
    flows.card = "declined"
    status, bought = await _buy(api, account, new_id())
    assert (status, bought["status"], bought["error"]) == (201, "failed", "payment-declined")
    assert bought["message"] == "Your card was declined."
    assert "grant" not in bought


async def test_an_id_buys_once_and_no_other_thing(api: RunningApi, account: str) -> None:
    operation_id = new_id()
    answers = await asyncio.gather(*(_buy(api, account, operation_id) for _ in range(8)))
    assert sorted(status for status, _ in answers) == [200] * 7 + [201]
    assert {bought["status"] for _, bought in answers} <= {"paid", "processing"}
    assert await balance_of(api, account) == 1000
    status, problem = await _buy(api, account, operation_id, 1001)
    assert (status, problem["code"]) == (409, "idempotency-conflict")
    status, problem = await _buy(api, await api.open_account(), operation_id)
    assert (status, problem["code"]) == (409, "idempotency-conflict")
    granted = await api.grant(account)
    status, problem = await _buy(api, account, granted["operationId"])
    assert (status, problem["code"]) == (409, "idempotency-conflict")


@pytest.mark.parametrize("credits", [499, 100_001, 0, -500, 10**30])
async def test_too_few_and_too_many_name_the_range(api: RunningApi, account: str, credits: int) -> None:
    status, problem = await _buy(api, account, new_id(), credits)
    assert (status, problem["code"]) == (422, "invalid-request")
    [error] = problem["errors"]
    assert error["field"] == "credits"
    assert "from 500 to 100000" in error["problem"]


@pytest.mark.parametrize("credits", ["1000", 1000.0, True, None])
async def test_credits_are_whole_numbers(api: RunningApi, account: str, credits: Any) -> None:
    status, problem = await _buy(api, account, new_id(), credits)
    assert (status, problem["errors"][0]["problem"]) == (422, "must be a whole number")


async def test_ids_of_the_system_are_its_own(api: RunningApi, account: str) -> None:
    status, problem = await _buy(api, account, "auto-topup-mine")
    assert (status, problem["errors"][0]["field"]) == (422, "operationId")


async def test_an_outage_claims_nothing(api: RunningApi, account: str, flows: LocalFlows) -> None:
    flows.down = True
    operation_id = new_id()
    status, problem = await _buy(api, account, operation_id)
    assert (status, problem["code"], problem["retryable"]) == (503, "service-unavailable", True)
    flows.down = False
    assert (await _buy(api, account, operation_id))[0] == 201


async def test_an_answer_that_is_lost_is_looked_up(api: RunningApi, account: str, flows: LocalFlows) -> None:
    flows.loses_answers = True
    operation_id = new_id()
    status, bought = await _buy(api, account, operation_id)
    assert (status, bought["status"], bought["replayed"]) == (201, "paid", False)
    flows.down = True
    assert await _buy(api, account, operation_id) == (200, bought | {"replayed": True})


async def test_strangers_neither_buy_nor_look(api: RunningApi, account: str) -> None:
    operation_id = new_id()
    await _buy(api, account, operation_id)
    async with api.client(await api.token_of(await api.open_account())) as stranger:
        bought = await stranger.post(f"/v1/accounts/{account}/purchases", json={"operationId": "x", "credits": 500})
        listed = await stranger.get(f"/v1/accounts/{account}/purchases")
        assert [bought.status_code, listed.status_code] == [403, 403]
        theirs = await stranger.get(f"/v1/purchases/{operation_id}")
        nobodys = await stranger.get(f"/v1/purchases/{operation_id}-no")
    for answer in (theirs, nobodys):
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    odd = await api.admin.get("/v1/purchases/%00")
    assert odd.status_code == 404
    async with api.client(await api.token_of(account)) as owner:
        assert (await owner.get(f"/v1/purchases/{operation_id}")).json()["status"] == "paid"


async def test_the_list_has_all_payments_newest_first(api: RunningApi) -> None:
    account = await account_with_top_up(api)
    first, second = new_id(), new_id()
    await _buy(api, account, first, 500)
    consumed = await api.admin.post(
        f"/v1/accounts/{account}/consumptions", json={"operationId": new_id(), "credits": 900}
    )
    assert consumed.status_code == 200
    await _buy(api, account, second, 600)
    path = f"/v1/accounts/{account}/purchases"
    page = (await api.admin.get(path, params={"limit": 2})).json()
    rest = (await api.admin.get(path, params={"limit": 2, "cursor": page["nextCursor"]})).json()
    assert rest["nextCursor"] is None
    listed = page["data"] + rest["data"]
    assert [each["kind"] for each in listed] == ["purchase", "auto-topup", "purchase"]
    assert [listed[0]["operationId"], listed[2]["operationId"]] == [second, first]
    assert {each["status"] for each in listed} == {"paid"}
    assert all("error" not in each for each in listed)
    unknown = await api.admin.get("/v1/accounts/01970000-0000-7000-8000-000000000001/purchases")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown-account")


@pytest.mark.parametrize(
    "parts", [["payments"], ["payments", 5, "x"], ["payments", "2026-11-20T00:00:00", "x"], ["notices", 7],
              ["payments", "2026-11-20T00:00:00Z", 7], ["payments", "2026-11-20T00:00:00Z", "\x00"]]
)  # fmt: skip
async def test_cursors_that_are_none(api: RunningApi, account: str, parts: list[Any]) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()
    answer = await api.admin.get(f"/v1/accounts/{account}/purchases", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")


async def test_the_socket_buys_as_http_does(api: RunningApi, account: str, flows: LocalFlows) -> None:
    operation_id = new_id()
    async with api.socket_of(account) as socket:
        bought = await socket.ask("buy-credits", operationId=operation_id, credits=700)
        assert (bought["type"], bought["status"], bought["replayed"]) == ("purchase-response", "paid", False)
        assert bought["grant"]["operationId"] == operation_id
        again = await socket.ask("buy-credits", operationId=operation_id, credits=700)
        assert (again["status"], again["replayed"]) == ("paid", True)
        conflict = await socket.ask("buy-credits", operationId=operation_id, credits=701)
        assert conflict["error"] == "idempotency-conflict"
        odd = await socket.ask("buy-credits", operationId=new_id(), credits=499)
        assert odd["error"] == "invalid-message"
        assert "from 500 to 100000" in odd["message"]
        flows.down = True
        away = await socket.ask("buy-credits", operationId=new_id(), credits=700)
        assert (away["error"], away["retryable"]) == ("service-unavailable", True)


@pytest.fixture
async def second_api(api: RunningApi) -> AsyncIterator[RunningApi]:
    """A second process on the same database."""
    async with running_api(api.database) as running:
        yield running


async def test_two_processes_buy_an_id_once(api: RunningApi, second_api: RunningApi, account: str) -> None:
    operation_id = new_id()
    answers = await asyncio.gather(*(_buy(each, account, operation_id) for each in (api, second_api) * 3))
    assert {bought["status"] for _, bought in answers} <= {"paid", "processing"}
    assert await balance_of(api, account) == 1000


async def test_what_can_be_bought_is_offered_at_the_accounts_price(api: RunningApi, account: str) -> None:
    offered = (await api.admin.get(f"/v1/accounts/{account}/purchase-options")).json()
    assert offered == {
        "accountId": account,
        "minCredits": 500,
        "maxCredits": 100_000,
        "currency": "usd",
        "options": [{"credits": credits, "amountCents": credits} for credits in (1_000, 2_500, 5_000, 10_000)],
    }
    # Whatever is offered can be bought, for so much, and so can the least; beyond the bounds is refused.
    for credits in (*(each["credits"] for each in offered["options"]), offered["minCredits"], offered["maxCredits"]):
        status, bought = await _buy(api, account, new_id(), credits)
        assert (status, bought["status"], bought["amountCents"]) == (201, "paid", credits)
    for credits in (offered["minCredits"] - 1, offered["maxCredits"] + 1):
        assert (await _buy(api, account, new_id(), credits))[0] == 422


async def test_organizations_are_offered_more(api: RunningApi) -> None:
    account = await api.open_account(kind="organization")
    offered = (await api.admin.get(f"/v1/accounts/{account}/purchase-options")).json()
    assert [each["credits"] for each in offered["options"]] == [10_000, 25_000, 50_000, 100_000]
    nobody = "01970000-0000-7000-8000-000000000001"
    assert (await api.admin.get(f"/v1/accounts/{nobody}/purchase-options")).status_code == 404


class _Told:
    """Temporal, which notes what it is told of, or is away."""

    def __init__(self) -> None:
        self.payments: list[str] = []
        self.at: list[float] = []
        self.tried = 0
        self.away = False

    async def payment_changed(self, payment: Payment, event: PaymentEvent, *, failed: bool = False) -> None:
        self.tried += 1
        if self.away:
            raise FlowUnavailable("Temporal did not answer within 5 s (RPCError).")
        assert not failed
        self.payments.append(payment.operation_id)
        self.at.append(asyncio.get_running_loop().time())


async def _to_be_paid(api: RunningApi, account: str) -> Payment:
    """A purchase whose owner was sent to Stripe's page."""
    operation_id = new_id()
    api.flows.card = "checkout"
    assert (await _buy(api, account, operation_id))[1]["status"] == "requires-action"
    return await read_payment(api.engine, operation_id)


def _times_told(api: RunningApi, operation_id: str) -> int:
    return [told for told, _ in api.flows.told].count(operation_id)


async def test_whoever_asks_for_what_is_still_to_be_paid_has_stripe_asked(
    api: RunningApi, account: str, flows: LocalFlows
) -> None:
    bought, repeated, listed = [(await _to_be_paid(api, account)).operation_id for _ in range(3)]
    async with api.client(await api.token_of(await api.open_account())) as stranger:
        assert (await stranger.get(f"/v1/purchases/{bought}")).status_code == 404
    await api.admin.get(f"/v1/accounts/{account}/purchases")
    assert [_times_told(api, each) for each in (bought, repeated, listed)] == [0, 0, 0]
    for _ in range(5):
        assert (await api.admin.get(f"/v1/purchases/{bought}")).json()["status"] == "requires-action"
        assert (await _buy(api, account, repeated))[0] == 200
    await until(lambda: _times_told(api, bought) == _times_told(api, repeated) == 1)
    assert _times_told(api, listed) == 0


async def test_nobody_is_told_of_what_is_paid_or_has_failed(api: RunningApi, account: str, flows: LocalFlows) -> None:
    cards: list[Card] = ["good", "declined", "slow"]
    bought = {card: new_id() for card in cards}
    for flows.card, operation_id in bought.items():
        for _ in range(2):
            await _buy(api, account, operation_id)
            await api.admin.get(f"/v1/purchases/{operation_id}")
    waits = await _to_be_paid(api, account)
    await api.admin.get(f"/v1/purchases/{waits.operation_id}")
    await until(lambda: _times_told(api, waits.operation_id) == 1)
    assert [_times_told(api, each) for each in bought.values()] == [0, 0, 0]


async def test_many_who_ask_are_one_look_and_one_more_when_the_quiet_is_over(
    api: RunningApi, account: str, flows: LocalFlows
) -> None:
    payment, told = await _to_be_paid(api, account), _Told()
    desk = LookDesk(api.engine, told, Background(), quiet_seconds=0.2)
    for _ in range(50):
        desk.asked(payment)
    await until(lambda: len(told.payments) == 2)
    assert told.at[1] - told.at[0] >= 0.2
    await asyncio.sleep(0.6)
    assert len(told.payments) == 2
    desk.asked(payment)
    await until(lambda: len(told.payments) == 3)


async def test_what_was_paid_before_its_turn_is_not_looked_at(api: RunningApi, account: str, flows: LocalFlows) -> None:
    payment, told, background = await _to_be_paid(api, account), _Told(), Background()
    news = PaymentNews(payment.operation_id, PaymentState.PROCESSING, payment_intent_id="pi_y")
    await record_payment(api.engine, news)
    LookDesk(api.engine, told, background).asked(payment)
    await background.finish()
    assert told.tried == 0


async def test_so_many_are_looked_at_and_no_more(api: RunningApi, account: str, flows: LocalFlows) -> None:
    first, second = await _to_be_paid(api, account), await _to_be_paid(api, account)
    told = _Told()
    desk = LookDesk(api.engine, told, Background(), quiet_seconds=0.2, payments_max=1)
    paid = replace(first, operation_id=new_id(), state=PaymentState.PAID)
    for payment in (paid, first, second, first):
        desk.asked(payment)
    await until(lambda: told.payments == [first.operation_id] * 2)
    await asyncio.sleep(0.6)
    desk.asked(second)
    await until(lambda: told.payments[2:] == [second.operation_id])


async def test_an_outage_of_temporal_is_only_logged(
    api: RunningApi, account: str, flows: LocalFlows, caplog: pytest.LogCaptureFixture
) -> None:
    payment, told = await _to_be_paid(api, account), _Told()
    told.away = True
    desk = LookDesk(api.engine, told, Background(), quiet_seconds=0.1)
    desk.asked(payment)
    await until(lambda: told.tried == 1)
    await asyncio.sleep(0.3)
    [record] = [each for each in caplog.records if each.name == "api.looking"]
    assert (record.levelname, payment.operation_id in record.getMessage()) == ("WARNING", True)
    told.away = False
    desk.asked(payment)
    await until(lambda: told.payments == [payment.operation_id])


def test_the_older_a_payment_the_longer_it_is_quiet() -> None:
    ages = (timedelta(seconds=-9), timedelta(), timedelta(minutes=10), timedelta(hours=25))
    assert [quiet_seconds_at(age) for age in ages] == [5, 5, 30, 120]
