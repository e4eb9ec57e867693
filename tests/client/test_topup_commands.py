"""`grantflow topup` and what `watch` and `consume` say of top-ups: words, JSON, exit codes."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from ledger.noticing import give_notice
from local.ports import free_port
from messages.payments import NoticeKind, NoticeOrder, PaymentError
from tests.api.payment_flows import CHECKOUT_PAGE
from tests.api.running import RunningApi, new_id
from tests.client.test_cli import run

PAGE = "https://grantflow.test/payments/x/authenticate"


@pytest.fixture
async def carded(api: RunningApi, account: str) -> AsyncIterator[str]:
    """An account with a card, which is good unless the test says otherwise."""
    assert (await run(api, "account", "payment-method", account, "pm_card_visa")).code == 0
    yield account
    api.flows.card = "good"


async def test_on_show_and_off(api: RunningApi, carded: str) -> None:
    await api.grant(carded, 5000)
    on = await run(
        api, "topup", "on", carded, "--threshold", "500", "--target", "2000", "--monthly-limit", "9050", "--json"
    )
    assert (on.code, on.json["enabled"], on.json["monthlyLimitCents"]) == (0, True, 9050)
    shown = await run(api, "topup", "show", carded)
    for words in ("on", "500", "2,000", "90.50 USD", "0.00 USD", "your payment method is charged"):
        assert words in shown.out
    assert (await run(api, "topup", "show", carded, "--json")).json == on.json
    off = (await run(api, "topup", "off", carded, "--json")).json
    assert (off["enabled"], off["threshold"], off["target"], off["monthlyLimitCents"]) == (False, 500, 2000, 9050)
    assert "Nothing is bought automatically." in (await run(api, "topup", "show", carded)).out


async def test_off_where_nothing_was_chosen(api: RunningApi, account: str) -> None:
    for _ in range(2):
        ran = await run(api, "topup", "off", account)
        assert (ran.code, ran.err, "Nothing is bought automatically." in ran.out) == (0, "", True)
    shown = (await run(api, "topup", "show", account, "--json")).json
    assert (await run(api, "topup", "off", account, "--json")).json == shown


async def test_on_again_keeps_what_is_not_named(api: RunningApi, carded: str) -> None:
    await api.grant(carded, 5000)
    first = await run(api, "topup", "on", carded)
    assert (first.code, "--threshold and --target are needed" in first.err) == (2, True)
    await run(api, "topup", "on", carded, "--threshold", "500", "--target", "2000", "--monthly-limit", "9000")
    again = (await run(api, "topup", "on", carded, "--target", "3000", "--json")).json
    assert (again["threshold"], again["target"], again["monthlyLimitCents"]) == (500, 3000, 9000)
    unlimited = (await run(api, "topup", "on", carded, "--monthly-limit", "none", "--json")).json
    assert (unlimited["target"], unlimited["monthlyLimitCents"]) == (3000, None)


async def test_on_below_the_threshold_warns(api: RunningApi, carded: str) -> None:
    ran = await run(api, "topup", "on", carded, "--threshold", "500", "--target", "2000")
    assert (ran.code, "charged at once" in ran.err) == (0, True)


async def test_options_are_listed_with_their_prices(api: RunningApi, account: str) -> None:
    shown = await run(api, "topup", "options", account)
    for words in ("2,500", "25.00 USD", "from 500 to 100,000"):
        assert words in shown.out
    listed = (await run(api, "topup", "options", account, "--json")).json
    assert listed["options"][0] == {"credits": 1_000, "amountCents": 1_000}


async def test_buying(api: RunningApi, carded: str) -> None:
    bought = await run(api, "topup", "buy", carded, "600")
    assert (bought.code, "operation id: cli-" in bought.err) == (0, True)
    for words in ("600", "6.00 USD", "paid", "https://stripe.test/receipts/"):
        assert words in bought.out
    operation_id = new_id()
    first = await run(api, "topup", "buy", carded, "700", "--operation-id", operation_id, "--json")
    again = await run(api, "topup", "buy", carded, "700", "--operation-id", operation_id, "--json")
    assert (first.json["replayed"], again.json["replayed"]) == (False, True)
    assert again.json["grant"]["principal"] == 700
    repeated = await run(api, "topup", "buy", carded, "700", "--operation-id", operation_id)
    assert "was bought before" in repeated.err
    conflict = await run(api, "topup", "buy", carded, "800", "--operation-id", operation_id)
    assert (conflict.code, "another payload" in conflict.err) == (1, True)


async def test_buying_on_a_page_by_a_slow_bank_and_in_vain(api: RunningApi, carded: str) -> None:
    api.flows.card = "checkout"
    asked = await run(api, "topup", "buy", carded, "600")
    assert (asked.code, CHECKOUT_PAGE in asked.out) == (0, True)
    api.flows.card = "slow"
    slow = await run(api, "topup", "buy", carded, "600")
    assert (slow.code, "has not answered yet" in slow.out) == (0, True)
    api.flows.card = "declined"
    declined = await run(api, "topup", "buy", carded, "600")
    assert (declined.code, "declined" in declined.err) == (1, True)
    assert (await run(api, "topup", "buy", carded, "600", "--json")).json["error"] == "payment-declined"
    listed = await run(api, "topup", "history", carded)
    for words in ("purchase", "failed", "processing", "requires-action", "payment-declined: Your card", CHECKOUT_PAGE):
        assert words in listed.out
    page = await run(api, "topup", "history", carded, "--limit", "1", "--json")
    assert (len(page.json["data"]), page.json["data"][0]["status"]) == (1, "failed")
    more = await run(api, "topup", "history", carded, "--limit", "1")
    cursor = more.err.split("--cursor ")[1].strip()
    assert "failed" in (await run(api, "topup", "history", carded, "--limit", "1", "--cursor", cursor)).out


async def test_a_latest_top_up_that_needs_its_owner_is_shown(api: RunningApi, carded: str) -> None:
    await api.grant(carded, 600)
    await run(api, "topup", "on", carded, "--threshold", "500", "--target", "2000")
    api.flows.card = "authentication"
    refused = await run(api, "consume", carded, "1000")
    assert refused.code == 1
    assert f"Mend it at {api.url}/payments/auto-topup-" in refused.err
    shown = await run(api, "topup", "show", carded)
    for words in ("auto-topup-authentication-required", "requires-action", "/authenticate"):
        assert words in shown.out


async def test_exit_codes(api: RunningApi, account: str) -> None:
    for arguments, code, words in (
        (("topup", "show", "nobody"), 1, "no account"),
        (("topup", "on", account, "--threshold", "0", "--target", "1000"), 1, "no payment method"),
        (("topup", "on", account, "--threshold", "9", "--target", "1"), 1, "above the threshold"),
        (("topup", "buy", account, "1"), 1, "from 500"),
        (("topup", "buy", account), 2, ""),
        (("topup", "buy", account, "many"), 2, "whole number"),
        (("topup", "on", account, "--monthly-limit", "much"), 2, "whole number"),
        (("topup", "history", account, "--limit", "0"), 2, ""),
    ):
        ran = await run(api, *arguments)
        assert (ran.code, ran.out) == (code, ""), arguments
        assert words in ran.err, ran.err
    nowhere = f"http://127.0.0.1:{free_port()}"
    for command in (
        ("show", account),
        ("on", account),
        ("off", account),
        ("buy", account, "500"),
        ("history", account),
    ):
        assert (await run(api, "topup", *command, "--api-url", nowhere)).code == 3


async def _watched(api: RunningApi, account: str, *options: str) -> str:
    """What `watch` prints while again and again a top-up comes, one asks for its owner, and one fails."""
    token = await api.token_of(account)
    watching = asyncio.create_task(run(api, "watch", "--count", "7", "--token", token, *options))
    failed, asks = NoticeKind.AUTO_TOPUP_FAILED, PaymentError.AUTHENTICATION_REQUIRED
    while not watching.done():
        for order in (
            NoticeOrder(account, NoticeKind.AUTO_TOPUP_ADDED, new_id(), "Added.", credits=2000),
            NoticeOrder(account, failed, new_id(), "Your bank asks.", error=asks, action_url=PAGE),
            NoticeOrder(account, failed, new_id(), "No.", error=PaymentError.DECLINED),
        ):
            await give_notice(api.engine, order)
        await asyncio.sleep(0.1)
    return (await watching).out


async def test_watching_shows_top_ups_and_failures(api: RunningApi, account: str) -> None:
    words = await _watched(api, account)
    assert "0 credits to spend, +2,000 credits by auto top-up" in words
    assert f"auto-topup-authentication-required: Your bank asks. Mend it at {PAGE}" in words
    assert f"auto-topup-declined: No. (grantflow account payment-method {account} METHOD" in words


async def test_watching_gives_programs_the_same(api: RunningApi, account: str) -> None:
    events = [json.loads(each) for each in (await _watched(api, account, "--json")).splitlines()]
    assert 2000 in [each.get("autoTopupAdded") for each in events]
    failures = {each["error"]: each["actionUrl"] for each in events if "error" in each}
    assert failures == {"auto-topup-authentication-required": PAGE, "auto-topup-declined": None}
