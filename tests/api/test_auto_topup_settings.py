"""Auto top-up's settings: what may be chosen, by whom, and what is said of it."""

from typing import Any
from uuid import UUID

import pytest

from messages.customers import PaymentMethod
from messages.payments import TopUpDemand
from tests.api.paying import RULE, account_with_top_up, give_card, put_settings
from tests.api.running import RunningApi, until
from tests.store.support import session

FIELDS = {
    "accountId", "enabled", "threshold", "target", "monthlyLimitCents", "monthlySpentCents", "currency", "cycleStart",
    "disabledReason", "disabledMessage", "disabledAt", "notBefore", "sentence", "warning", "lastResult",
}  # fmt: skip


async def _put(api: RunningApi, account: str, **body: Any) -> tuple[int, dict[str, Any]]:
    answer = await api.admin.put(f"/v1/accounts/{account}/auto-topup", json=body)
    return answer.status_code, answer.json()


async def test_what_was_never_chosen_is_null(api: RunningApi, account: str) -> None:
    shown = (await api.admin.get(f"/v1/accounts/{account}/auto-topup")).json()
    assert set(shown) == FIELDS
    null = {"threshold", "target", "monthlyLimitCents", "disabledReason", "disabledMessage", "disabledAt"}
    assert all(shown[name] is None for name in null | {"notBefore", "warning", "lastResult"})
    assert (shown["accountId"], shown["enabled"], shown["monthlySpentCents"]) == (account, False, 0)
    assert (shown["currency"], shown["sentence"]) == ("usd", "Nothing is bought automatically.")


async def test_the_owner_chooses_and_reads(api: RunningApi, account: str) -> None:
    await give_card(api, account)
    await api.grant(account, 150)
    path = f"/v1/accounts/{account}/auto-topup"
    async with api.client(await api.token_of(account)) as owner:
        answer = await owner.put(path, json={**RULE, "monthlyLimitCents": 5000})
        read = await owner.get(path)
    assert answer.status_code == 200
    assert answer.json() == read.json()
    shown = read.json()
    assert (shown["enabled"], shown["threshold"], shown["target"]) == (True, 100, 2000)
    assert shown["monthlyLimitCents"] == 5000
    assert "below 100 credits" in shown["sentence"]
    assert "50.00 USD a month" in shown["sentence"]
    assert shown["warning"] is None


async def test_strangers_neither_choose_nor_read(api: RunningApi, account: str) -> None:
    path = f"/v1/accounts/{account}/auto-topup"
    async with api.client(await api.token_of(await api.open_account())) as stranger:
        for answer in (await stranger.get(path), await stranger.put(path, json=RULE)):
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    async with api.client(None) as nobody:
        assert (await nobody.get(path)).status_code == 401
    unknown = "01970000-0000-7000-8000-000000000001"
    for answer in (
        await api.admin.get(f"/v1/accounts/{unknown}/auto-topup"),
        await api.admin.put(f"/v1/accounts/{unknown}/auto-topup", json=RULE),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown-account")


OUT_OF_RANGE = [
    ({"threshold": -1}, "threshold", "0 to 99999"),
    ({"threshold": 100_000, "target": 100_001}, "threshold", "0 to 99999"),
    ({"threshold": 10**30}, "threshold", "0 to 99999"),
    ({"target": 100}, "target", "101 to 100000"),
    ({"target": 100_001}, "target", "101 to 100000"),
    ({"monthlyLimitCents": -1}, "monthlyLimitCents", "0 to 100000000"),
    ({"threshold": 99.0}, "threshold", "whole number"),
    ({"threshold": "100"}, "threshold", "whole number"),
    ({"target": True}, "target", "whole number"),
    ({"enabled": "yes"}, "enabled", "true or false"),
    ({"enabled": 1}, "enabled", "true or false"),
    ({"enabled": None}, "enabled", "true or false"),
    ({"threshold": None}, "threshold", "is required"),
    ({"target": None}, "target", "is required"),
    ({"credits": 5}, "credits", "not a field"),
]


@pytest.mark.parametrize(("odd", "field", "says"), OUT_OF_RANGE)
async def test_what_is_out_of_range_names_the_range(
    api: RunningApi, account: str, odd: dict[str, Any], field: str, says: str
) -> None:
    await give_card(api, account)
    status, problem = await _put(api, account, **{**RULE, **odd})
    assert (status, problem["code"]) == (422, "invalid-request")
    [error] = problem["errors"]
    assert error["field"] == field
    assert says in error["problem"]
    async with api.socket_of(account) as socket:
        answer = await socket.ask("set-auto-topup", **{**RULE, **odd})
    assert (answer["type"], answer["error"]) == ("action-error", "invalid-message")
    assert says in answer["message"]
    assert not (await api.admin.get(f"/v1/accounts/{account}/auto-topup")).json()["enabled"]


async def test_organizations_may_choose_more(api: RunningApi) -> None:
    account = await api.open_account(kind="organization")
    await give_card(api, account)
    await api.grant(account, 1_000_000)
    shown = await put_settings(api, account, enabled=True, threshold=500_000, target=1_000_000)
    assert shown["target"] == 1_000_000


async def test_nothing_is_switched_on_without_a_card_that_can_be_charged(api: RunningApi, account: str) -> None:
    status, problem = await _put(api, account, **RULE)
    assert (status, problem["code"]) == (402, "auto-topup-no-payment-method")
    assert "nothing was changed" in problem["detail"]
    expired = PaymentMethod("pm_1", "card", last4="4242", expiry_year=2020, expiry_month=1)
    await give_card(api, account, expired)
    status, problem = await _put(api, account, **RULE)
    assert (status, problem["code"]) == (402, "auto-topup-no-payment-method")
    assert "4242 has expired" in problem["detail"]
    async with api.socket_of(account) as socket:
        answer = await socket.ask("set-auto-topup", **RULE)
    assert (answer["error"], answer["retryable"]) == ("auto-topup-no-payment-method", False)
    assert (await api.admin.get(f"/v1/accounts/{account}/auto-topup")).json()["threshold"] is None


async def test_to_switch_off_needs_no_numbers_where_there_are_some(api: RunningApi, account: str) -> None:
    # Off, a rule may be chosen without a card.
    await put_settings(api, account, enabled=False, threshold=10, target=600, monthlyLimitCents=900)
    shown = await put_settings(api, account, enabled=False, target=700)
    assert (shown["threshold"], shown["target"], shown["monthlyLimitCents"]) == (10, 700, 900)
    shown = await put_settings(api, account, enabled=False, monthlyLimitCents=None)
    assert (shown["threshold"], shown["target"], shown["monthlyLimitCents"]) == (10, 700, None)
    assert shown["enabled"] is False


async def test_what_was_never_chosen_can_be_switched_off(api: RunningApi, account: str) -> None:
    before = (await api.admin.get(f"/v1/accounts/{account}/auto-topup")).json()
    empty = {"threshold": None, "target": None, "monthlyLimitCents": None}
    for body in ({}, {}, empty):
        assert await _put(api, account, enabled=False, **body) == (200, before)
    async with api.socket_of(account) as socket:
        answer = await socket.ask("set-auto-topup", enabled=False)
    assert answer == {**before, "type": "auto-topup-response", "requestId": "r1"}
    async with session(api.database.owner_url) as owner:
        assert await owner.fetchval("SELECT count(*) FROM auto_topups WHERE account_id = $1", UUID(account)) == 0
    unknown = await api.admin.put(
        "/v1/accounts/01970000-0000-7000-8000-000000000001/auto-topup", json={"enabled": False}
    )
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown-account")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"enabled": True}, "threshold"),
        ({"enabled": True, "threshold": 100}, "target"),
        ({"enabled": False, "threshold": 100}, "target"),
        ({"enabled": False, "target": 2000}, "threshold"),
        ({"enabled": False, "monthlyLimitCents": 900}, "threshold"),
    ],
)
async def test_half_a_choice_is_refused_where_there_was_none(
    api: RunningApi, account: str, body: dict[str, Any], field: str
) -> None:
    await give_card(api, account)
    status, problem = await _put(api, account, **body)
    assert (status, problem["errors"]) == (422, [{"field": field, "problem": "is required"}])


async def test_a_limit_that_is_not_named_stays(api: RunningApi) -> None:
    account = await account_with_top_up(api, monthlyLimitCents=5000)
    assert (await put_settings(api, account, **{**RULE, "target": 900}))["monthlyLimitCents"] == 5000
    assert (await put_settings(api, account, **RULE, monthlyLimitCents=None))["monthlyLimitCents"] is None


async def test_what_is_charged_at_once_is_said_and_begins(api: RunningApi, account: str) -> None:
    await give_card(api, account)
    await api.grant(account, 40)
    wanted = (account, TopUpDemand())
    await put_settings(api, account, **RULE, monthlyLimitCents=100_000)
    shown = await put_settings(api, account, **RULE)
    assert shown["warning"] is not None
    assert "40 credits" in shown["warning"]
    assert "at once" in shown["warning"]
    assert "about 1,960 credits" in shown["warning"]
    assert "or fewer" in shown["warning"]
    assert (await put_settings(api, account, **RULE, monthlyLimitCents=None))["warning"].endswith("1,960 credits.")
    await until(lambda: api.flows.wanted.count(wanted) == 3)
    off = await put_settings(api, account, enabled=False)
    assert off["warning"] is None
    high = await put_settings(api, account, enabled=True, threshold=50_000, target=60_000)
    assert "about 10,000 credits" in high["warning"]
    await api.grant(account, 100_000)
    assert (await put_settings(api, account, **RULE))["warning"] is None
    assert api.flows.wanted.count(wanted) == 4


async def test_nobody_is_warned_while_a_top_up_is_under_way_or_paused(api: RunningApi) -> None:
    account = await account_with_top_up(api, monthlyLimitCents=100)
    refused = await api.admin.post(
        f"/v1/accounts/{account}/consumptions", json={"operationId": "too-much", "credits": 500}
    )
    assert refused.json()["autoTopupError"] == "auto-topup-limit-reached"
    spent = await api.admin.post(f"/v1/accounts/{account}/consumptions", json={"operationId": "o", "credits": 100})
    assert spent.status_code == 200
    shown = (await api.admin.get(f"/v1/accounts/{account}/auto-topup")).json()
    assert (shown["enabled"], shown["warning"]) == (True, None)
    assert shown["notBefore"] > shown["cycleStart"]


async def test_the_socket_answers_with_all_fields(api: RunningApi, account: str) -> None:
    await give_card(api, account)
    await api.grant(account, 150)
    async with api.socket_of(account) as socket:
        answer = await socket.ask("set-auto-topup", **RULE)
    over_http = (await api.admin.get(f"/v1/accounts/{account}/auto-topup")).json()
    assert answer == {**over_http, "type": "auto-topup-response", "requestId": "r1"}
    assert set(over_http) == FIELDS
