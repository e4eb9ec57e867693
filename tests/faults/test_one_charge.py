"""One crossing of the threshold is one charge and one grant, whoever notices it, from however many processes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from ledger.consuming import ConsumeOrder, Consumption
from ledger.transaction import open_engine
from local.ports import free_ports
from settings import asyncpg_url
from tests.faults.conftest import ADMIN_TOKEN, Stack
from tests.faults.shop import VISA, Shop, seen
from tests.faults.up import Up


@pytest.fixture
async def second(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """A second API process on the same database."""
    [port] = free_ports(1)
    other = replace(stack, environment={**stack.environment, "GRANTFLOW_PORT": str(port)})
    await other.start("api")
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:

        async def answers() -> bool | None:
            with contextlib.suppress(httpx.HTTPError):
                return True if (await client.get("/healthz")).status_code == 200 else None
            return None

        await seen(answers)
        yield client


async def test_64_consumptions_by_two_processes_cause_one_charge_and_all_go_through(
    own_shop: Shop, second: httpx.AsyncClient
) -> None:
    shop = own_shop
    account = await shop.account(credits=1000)
    await shop.switch_on(account, threshold=500, target=2000)
    other = replace(shop, api=second)
    async with (
        shop.listening(account) as here,
        shop.listening(account, url=str(second.base_url)) as there,
    ):
        answers = await asyncio.gather(*((shop, other)[number % 2].spend(account, 20) for number in range(64)))
        assert {answer.status_code for answer in answers} == {200}

        async def settled() -> dict[str, Any] | None:
            [payment] = await shop.payments(account)
            return payment if payment["status"] == "paid" and here.top_ups and there.top_ups else None

        payment = await seen(settled)
    [intent] = await shop.intents(account)
    assert (intent["status"], intent["amount"]) == ("succeeded", payment["credits"])
    assert here.top_ups == there.top_ups == [payment["credits"]]
    balance = await shop.balance(account)
    assert balance["remainingBalance"] == 1000 + payment["credits"] - 64 * 20
    assert balance["balanceBreakdown"]["purchase"] == balance["remainingBalance"]
    assert (await shop.auto_topup(account))["enabled"] is True


async def test_a_refused_request_goes_through_when_its_top_up_has_come(shop: Shop) -> None:
    account = await shop.account(credits=600)
    await shop.switch_on(account, threshold=500, target=2000)
    answer = await shop.spend(account, 1500)
    assert answer.status_code == 200, answer.text
    assert answer.json()["consumed"] == 1500
    assert len(await shop.intents(account)) == 1
    # max(target - net, the shortfall) = max(1400, 900), and it has brought more than the request needed.
    assert (await shop.balance(account))["netBalance"] == 500


async def test_a_declined_card_turns_it_off_once_and_is_not_tried_again(shop: Shop) -> None:
    account = await shop.account(card="pm_card_chargeCustomerFail", credits=600)
    await shop.switch_on(account, threshold=500, target=2000)
    async with shop.listening(account) as listener:
        await shop.spend(account, 200)

        async def off() -> dict[str, Any] | None:
            settings = await shop.auto_topup(account)
            return None if settings["enabled"] or not listener.errors else settings

        settings = await seen(off)
        answers = [await shop.spend(account, 100) for _ in range(6)]
    assert (settings["disabledReason"], settings["lastResult"]["state"]) == ("auto-topup-declined", "failed")
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 402, 402]
    assert [error["error"] for error in listener.errors] == ["auto-topup-declined"]
    assert len(await shop.intents(account)) == 1
    await shop.ok("PUT", f"/v1/accounts/{account}/payment-method", {"paymentMethodId": "pm_card_visa"})
    assert (await shop.auto_topup(account))["enabled"] is False, "a new card alone turns nothing on"
    await shop.switch_on(account, threshold=500, target=2000)
    assert (await shop.spend(account, 100)).status_code == 200


async def test_an_outage_turns_nothing_off_and_ends_in_one_charge(shop: Shop, up: Up) -> None:
    account = await shop.account(credits=600)
    await shop.switch_on(account, threshold=500, target=2000)
    await up.stripe_behaves(outage=True)
    assert (await shop.spend(account, 200)).status_code == 200
    await asyncio.sleep(3)
    assert (await shop.auto_topup(account))["enabled"] is True
    await up.stripe_behaves()

    async def paid() -> dict[str, Any] | None:
        payments = await shop.payments(account)
        return payments[0] if payments and payments[0]["status"] == "paid" else None

    await seen(paid)
    assert len(await shop.intents(account)) == 1
    assert (await shop.balance(account))["netBalance"] == 2000


async def test_a_crossing_whose_trigger_was_lost_is_found_by_the_sweep(shop: Shop, up: Up) -> None:
    account = await shop.account(credits=600)
    await shop.switch_on(account, threshold=500, target=2000)
    engine = open_engine(asyncpg_url(up.address["databaseUrl"]))
    # A process that spends, and dies between the commit and the signal.
    spending = Consumption(engine)
    async with spending.running():
        await spending.consume(ConsumeOrder(account, "spent", 200, request_id="r1"))
    await engine.dispose()

    async def topped_up() -> bool | None:
        return True if (await shop.balance(account))["netBalance"] == 2000 else None

    await seen(topped_up, seconds=90)
    assert len(await shop.intents(account)) == 1


async def test_a_lost_card_is_not_charged_again_when_it_is_attached_anew(shop: Shop) -> None:
    lost = "pm_card_chargeCustomerFailLostCard"
    account = await shop.account(card=lost, credits=600)
    await shop.switch_on(account)
    await shop.spend(account, 200)

    async def off() -> bool | None:
        return None if (await shop.auto_topup(account))["enabled"] else True

    await seen(off)
    answers = []
    for again in (lost, VISA):
        await shop.ok("PUT", f"/v1/accounts/{account}/payment-method", {"paymentMethodId": again})
        choice = {"enabled": True, "threshold": 500, "target": 2000}
        answers.append(await shop.api.put(f"/v1/accounts/{account}/auto-topup", json=choice))
    assert [answer.status_code for answer in answers] == [402, 200], [answer.text for answer in answers]
    assert answers[0].json()["code"] == "auto-topup-no-payment-method"


async def test_nor_is_it_charged_for_a_purchase(shop: Shop) -> None:
    account = await shop.account(card="pm_card_chargeCustomerFailLostCard")
    assert (await shop.buy(account, 500))["error"] == "payment-declined"
    card = {"paymentMethodId": "pm_card_chargeCustomerFailLostCard"}
    await shop.ok("PUT", f"/v1/accounts/{account}/payment-method", card)
    # Its owner gets the page instead.
    assert (await shop.buy(account, 500))["status"] == "requires-action"
    assert len(await shop.intents(account)) == 1


async def test_who_pays_the_new_top_up_can_not_pay_the_old_one_as_well(shop: Shop) -> None:
    account = await shop.account(card="pm_card_authenticationRequired", credits=600)
    await shop.switch_on(account, threshold=500, target=1000)
    async with shop.listening(account) as listener:
        await shop.spend(account, 200)

        async def asked() -> str | None:
            return listener.errors[0]["actionUrl"] if listener.errors else None

        link = await seen(asked)
    async with httpx.AsyncClient(timeout=30) as browser:
        page = (await browser.get(link)).headers["location"]
        # The page stays open; meanwhile its owner pays with another card.
        await shop.ok("PUT", f"/v1/accounts/{account}/payment-method", {"paymentMethodId": VISA})
        await shop.switch_on(account, threshold=500, target=1000)

        async def topped_up() -> bool | None:
            return True if (await shop.balance(account))["netBalance"] == 1000 else None

        await seen(topped_up)
        late = await browser.post(page, data={"outcome": "complete"})
        assert late.status_code in (200, 303), late.text
    assert [each["status"] for each in await shop.intents(account)] == ["canceled", "succeeded"]
    assert (await shop.balance(account))["netBalance"] == 1000


async def test_what_one_top_up_does_not_pay_the_next_one_does(shop: Shop, up: Up) -> None:
    account = await shop.account(credits=500)
    await shop.switch_on(account, threshold=400, target=1000)
    # Slow enough for the others to come while the first top-up is under way; its webhook comes much later.
    await up.stripe_behaves(latencyMs=200, webhookDelayMs=20_000)
    first = asyncio.create_task(shop.spend(account, 150))
    await asyncio.sleep(0.1)
    answers = await asyncio.gather(first, *(shop.spend(account, credits) for credits in (3000, 800, 800)))
    assert [answer.status_code for answer in answers] == [200] * 4, [answer.text for answer in answers]
    bought = [intent["amount"] for intent in await shop.intents(account)]
    assert len(bought) <= 3
    assert (await shop.balance(account))["netBalance"] == 500 + sum(bought) - 150 - 3000 - 800 - 800
