"""Auto top-up in line: a request that lacks credits waits for them, and goes on by itself."""

import asyncio
import time
from typing import Any

import pytest

from api.background import Background
from api.topping_up import QUIET_SECONDS, TopUpDesk, Want
from gateways.temporal.flows import FlowUnavailable
from messages.payments import TopUpDemand, TopUpOutcome
from tests.api.flows import LocalFlows
from tests.api.paying import RULE, account_with_top_up, balance_of, give_card, put_settings
from tests.api.payment_flows import AUTHENTICATION_MESSAGE, DECLINED_MESSAGE
from tests.api.running import RunningApi, found, new_id, until


@pytest.fixture
def flows(api: RunningApi) -> Any:
    """The flows, which behave well again after the test."""
    yield api.flows
    api.flows.card, api.flows.down, api.flows.loses_answers, api.flows.stripe_seconds = "good", False, False, 0.0


def _calls(api: RunningApi, account: str) -> list[TopUpDemand]:
    return [demand for topped_up, demand in api.flows.topped_up if topped_up == account]


async def _top_ups(api: RunningApi, account: str) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = (await api.admin.get(f"/v1/accounts/{account}/purchases")).json()["data"]
    return data


async def _spend(api: RunningApi, account: str, credits: int, **more: Any) -> tuple[int, dict[str, Any]]:
    body = {"operationId": new_id(), "credits": credits, **more}
    answer = await api.admin.post(f"/v1/accounts/{account}/consumptions", json=body)
    return answer.status_code, answer.json()


async def test_what_could_not_be_paid_is_paid_after_a_top_up(api: RunningApi) -> None:
    account = await account_with_top_up(api)
    async with api.client(await api.token_of(account)) as owner:
        answer = await owner.post(
            f"/v1/accounts/{account}/consumptions",
            json={"operationId": new_id(), "credits": 500},
            headers={"X-Request-Id": "wants-500"},
        )
    assert (answer.status_code, answer.json()["consumed"]) == (200, 500)
    assert (answer.json()["remainingBalance"], answer.json()["replayed"]) == (1500, False)
    [demand] = _calls(api, account)
    assert demand.needed == 500
    assert demand.request_id.startswith("wants-500~")
    last = (await api.admin.get(f"/v1/accounts/{account}/auto-topup")).json()["lastResult"]
    assert (last["credits"], last["amountCents"], last["error"], last["actionUrl"]) == (1850, 1850, None, None)


async def test_the_socket_waits_as_well_and_so_do_holds(api: RunningApi) -> None:
    account = await account_with_top_up(api)
    async with api.socket_of(account) as socket:
        consumed = await socket.ask("consume", operationId=new_id(), credits=500)
        assert (consumed["type"], consumed["consumed"]) == ("consume-response", 500)
        held = await socket.ask("hold", operationId=new_id(), credits=3000, ttlSeconds=60)
        assert (held["type"], held["credits"]) == ("hold-response", 3000)
    assert [demand.needed for demand in _calls(api, account)] == [500, 3000]
    body = {"operationId": new_id(), "credits": 4000, "ttlSeconds": 60}
    over_http = await api.admin.post(f"/v1/accounts/{account}/holds", json=body)
    assert (over_http.status_code, over_http.json()["credits"]) == (201, 4000)


async def test_many_that_wait_share_one_top_up(api: RunningApi, flows: LocalFlows) -> None:
    account = await account_with_top_up(api, credits=100, threshold=10, target=9000)
    flows.stripe_seconds = 0.5
    answers = await asyncio.gather(*(_spend(api, account, 101 + number) for number in range(20)))
    assert [status for status, _ in answers] == [200] * 20
    assert len(_calls(api, account)) == 1
    assert await balance_of(api, account) == 9000 - sum(101 + number for number in range(20))


async def test_many_on_one_socket_share_one_top_up(api: RunningApi, flows: LocalFlows) -> None:
    account = await account_with_top_up(api, credits=100, threshold=10, target=5000)
    flows.stripe_seconds = 0.3
    async with api.socket_of(account) as socket:
        sent = {await socket.send("consume", operationId=new_id(), credits=150) for _ in range(20)}
        answers: list[dict[str, Any]] = []
        while len(answers) < len(sent):
            message = await socket.next()
            answers += [message] if message.get("requestId") in sent else []
    assert [answer["type"] for answer in answers] == ["consume-response"] * 20
    assert len(_calls(api, account)) == 1


async def test_each_that_waits_is_judged_by_itself(api: RunningApi, flows: LocalFlows) -> None:
    account = await account_with_top_up(api, credits=10, threshold=10, target=600)
    flows.stripe_seconds = 0.5
    answers = await asyncio.gather(*(_spend(api, account, credits) for credits in (250, 250, 50_000, 250)))
    assert sorted(status for status, _ in answers) == [200, 200, 200, 402]


async def test_what_one_top_up_can_serve_is_bought_at_once(api: RunningApi) -> None:
    account = await account_with_top_up(api, credits=10, threshold=10, target=600)
    desk = api.parts.top_ups
    # Not by requests: on their way one may come after the question was asked.
    wants = (Want(name, credits) for name, credits in (("a", 250), ("b", 250), ("c", 50_000), ("d", 250)))
    outcomes = await asyncio.gather(*(desk.top_up(account, want, deadline=desk.deadline()) for want in wants))
    assert outcomes == [TopUpOutcome(added=740)] * 4
    [bought] = await _top_ups(api, account)
    assert bought["credits"] == 740


async def test_who_comes_while_a_top_up_is_under_way_gets_the_next_one(api: RunningApi, flows: LocalFlows) -> None:
    account = await account_with_top_up(api, credits=10, threshold=10, target=600)
    flows.stripe_seconds = 0.5
    first = asyncio.create_task(_spend(api, account, 400))
    await until(lambda: len(_calls(api, account)) == 1)
    later = await asyncio.gather(*(_spend(api, account, 1_000) for _ in range(3)))
    assert [status for status, _ in (await first, *later)] == [200] * 4
    assert len(await _top_ups(api, account)) == 2


async def test_beyond_what_a_top_up_may_buy_the_refusal_says_so(api: RunningApi) -> None:
    account = await account_with_top_up(api)
    status, problem = await _spend(api, account, 20_000)
    assert (status, problem["code"], "autoTopupError" in problem) == (402, "insufficient-credits", False)
    assert "may not buy what the request needs" in problem["detail"]
    assert await _top_ups(api, account) == []


async def test_during_the_pause_at_the_limit_every_request_hears_why_and_no_workflow_is_asked(api: RunningApi) -> None:
    account = await account_with_top_up(api, monthlyLimitCents=499)
    answers = [await _spend(api, account, 151) for _ in range(3)]
    assert {(status, problem["autoTopupError"]) for status, problem in answers} == {(402, "auto-topup-limit-reached")}
    assert len(_calls(api, account)) == 1
    settings = (await api.admin.get(f"/v1/accounts/{account}/auto-topup")).json()
    assert settings["notBefore"][:10] in answers[-1][1]["detail"]
    await put_settings(api, account, **RULE, monthlyLimitCents=None)
    assert (await _spend(api, account, 151))[0] == 200


async def test_without_auto_top_up_nobody_is_asked(api: RunningApi, account: str) -> None:
    await api.grant(account, 50)
    status, problem = await _spend(api, account, 51)
    assert (status, problem["code"], problem["available"]) == (402, "insufficient-credits", 50)
    assert "autoTopupError" not in problem
    assert _calls(api, account) == []


async def test_what_becomes_a_debt_buys_nothing(api: RunningApi) -> None:
    account = await account_with_top_up(api)
    status, answer = await _spend(api, account, 500, onInsufficient="debt")
    assert (status, answer["debt"]) == (200, 350)
    assert _calls(api, account) == []


async def test_a_declined_card_is_the_reason_of_the_refusal(api: RunningApi, flows: LocalFlows) -> None:
    account = await account_with_top_up(api)
    flows.card = "declined"
    status, problem = await _spend(api, account, 500)
    assert (status, problem["code"]) == (402, "insufficient-credits")
    assert problem["autoTopupError"] == "auto-topup-declined"
    assert DECLINED_MESSAGE in problem["detail"]
    assert (problem["needed"], problem["available"], problem["remainingBalance"]) == (500, 150, 150)
    assert "actionUrl" not in problem
    # It is off now: nobody is asked again.
    status, problem = await _spend(api, account, 500)
    assert status == 402
    assert "autoTopupError" not in problem
    assert len(_calls(api, account)) == 1
    shown = (await api.admin.get(f"/v1/accounts/{account}/auto-topup")).json()
    assert (shown["enabled"], shown["disabledReason"]) == (False, "auto-topup-declined")
    assert shown["disabledMessage"] == DECLINED_MESSAGE
    assert (shown["lastResult"]["state"], shown["lastResult"]["error"]) == ("failed", "auto-topup-declined")


async def test_an_authentication_is_offered_where_it_is_needed(api: RunningApi, flows: LocalFlows) -> None:
    account = await account_with_top_up(api)
    flows.card = "authentication"
    async with api.socket_of(account) as socket:
        answer = await socket.ask("consume", operationId=new_id(), credits=500)
    last = (await api.admin.get(f"/v1/accounts/{account}/auto-topup")).json()["lastResult"]
    page = f"{api.url}/payments/{last['operationId']}/authenticate"
    assert (answer["type"], answer["error"], answer["retryable"]) == ("action-error", "insufficient-credits", False)
    assert answer["autoTopupError"] == "auto-topup-authentication-required"
    assert AUTHENTICATION_MESSAGE in answer["message"]
    assert (answer["actionUrl"], answer["remainingBalance"]) == (page, 150)
    assert (last["state"], last["actionUrl"]) == ("requires-action", page)


async def test_a_limit_that_is_reached_leaves_it_on(api: RunningApi) -> None:
    account = await account_with_top_up(api, monthlyLimitCents=400)
    status, problem = await _spend(api, account, 500)
    assert (status, problem["autoTopupError"]) == (402, "auto-topup-limit-reached")
    assert (await api.admin.get(f"/v1/accounts/{account}/auto-topup")).json()["enabled"] is True


async def test_an_outage_leaves_the_refusal_as_it_was(api: RunningApi, flows: LocalFlows) -> None:
    account = await account_with_top_up(api)
    flows.down = True
    status, problem = await _spend(api, account, 500)
    assert (status, problem["code"]) == (402, "insufficient-credits")
    assert "autoTopupError" not in problem
    flows.down = False
    assert (await _spend(api, account, 500))[0] == 200


async def test_who_goes_away_takes_only_himself(api: RunningApi, flows: LocalFlows) -> None:
    account = await account_with_top_up(api)
    flows.stripe_seconds = 0.5
    desk = api.parts.top_ups
    impatient, patient, again = (
        asyncio.create_task(desk.top_up(account, Want(name, credits), deadline=desk.deadline()))
        for name, credits in (("a", 500), ("b", 600), ("b", 600))
    )
    await until(lambda: len(_calls(api, account)) == 1)
    impatient.cancel()
    assert await patient == TopUpOutcome(added=1850)
    assert await again == TopUpOutcome(added=1850)
    # What came together was asked for together; what was sent twice, once.
    assert _calls(api, account) == [TopUpDemand(needed=500, others=[600])]


async def test_nobody_waits_longer_than_he_is_told(api: RunningApi, flows: LocalFlows) -> None:
    account = await account_with_top_up(api)
    flows.stripe_seconds = 0.6
    desk = TopUpDesk(api.engine, flows, api.parts.background, wait_seconds=0.2)
    outcome = await desk.top_up(account, Want("a", 500), deadline=desk.deadline())
    assert outcome is not None
    assert (outcome.added, outcome.error, "takes longer" in outcome.message) == (0, None, True)
    assert await balance_of(api, account) == 150

    async def arrived() -> bool | None:
        return True if await balance_of(api, account) == 2000 else None

    # The top-up itself goes on.
    await found(arrived)


async def test_a_crossing_is_signalled_once_for_many(api: RunningApi) -> None:
    account = await account_with_top_up(api)
    crossed = (account, TopUpDemand())
    assert (await _spend(api, account, 50))[0] == 200
    began = time.monotonic()
    answers = await asyncio.gather(*(_spend(api, account, 1) for _ in range(50)))
    assert {status for status, _ in answers} == {200}
    await until(lambda: crossed in api.flows.wanted)
    await asyncio.sleep(0.1)
    # One at once, and one for each second of a slow machine.
    assert api.flows.wanted.count(crossed) <= 1 + (time.monotonic() - began) / QUIET_SECONDS
    assert _calls(api, account) == []


async def test_whoever_is_above_the_threshold_is_left_alone(api: RunningApi, account: str) -> None:
    await give_card(api, account)
    await api.grant(account, 1000)
    await put_settings(api, account, **RULE)
    assert (await _spend(api, account, 900))[0] == 200
    held = await api.admin.post(
        f"/v1/accounts/{account}/holds", json={"operationId": new_id(), "credits": 90, "ttlSeconds": 60}
    )
    assert held.status_code == 201
    await asyncio.sleep(0.1)
    assert (account, TopUpDemand()) not in api.flows.wanted


class _Away:
    """Temporal, away; it notes who was to be told."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def top_up_wanted(self, account_id: str, demand: TopUpDemand) -> None:
        self.asked.append(account_id)
        raise FlowUnavailable("Temporal did not answer.")

    async def top_up(self, account_id: str, demand: TopUpDemand) -> TopUpOutcome:
        raise FlowUnavailable("Temporal did not answer.")


async def test_crossings_do_no_harm_while_temporal_is_away(api: RunningApi) -> None:
    away, background = _Away(), Background()
    desk = TopUpDesk(api.engine, away, background, quiet_seconds=0.1)
    for _ in range(20):
        desk.crossed("a")
        desk.crossed("b")
    await until(lambda: len(away.asked) == 2)
    await asyncio.sleep(0.2)
    desk.crossed("a")
    await until(lambda: len(away.asked) == 3)
    await background.finish()
    assert sorted(away.asked) == ["a", "a", "b"]
