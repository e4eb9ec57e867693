"""Authentication, late failures, refunds and disputes, on the whole stack: the numbers that the contract gives."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.faults.shop import Shop, seen


async def balance_is(shop: Shop, account: str, **wanted: int) -> dict[str, Any]:
    """Waits for a balance with these numbers."""
    last: dict[str, Any] = {}

    async def look() -> dict[str, Any] | None:
        nonlocal last
        last = await shop.balance(account)
        return last if {name: last[name] for name in wanted} == wanted else None

    try:
        return await seen(look, seconds=30)
    except TimeoutError:
        raise AssertionError(f"wanted {wanted}, and it is {last}") from None


async def bought(shop: Shop, account: str, credits: int = 1000) -> str:
    """Credits that are paid; gives the payment's id at Stripe."""
    purchase = await shop.buy(account, credits)
    assert purchase["status"] == "paid", purchase
    [intent] = await shop.intents(account)
    name: str = intent["id"]
    return name


async def test_an_authentication_gives_the_credits_of_the_same_attempt(shop: Shop) -> None:
    account = await shop.account(card="pm_card_authenticationRequired", credits=600)
    await shop.switch_on(account, threshold=500, target=2000)
    async with shop.listening(account) as listener:
        await shop.spend(account, 200)

        async def asked() -> dict[str, Any] | None:
            return listener.errors[0] if listener.errors else None

        error = await seen(asked)
        assert error["error"] == "auto-topup-authentication-required"
        assert (await shop.auto_topup(account))["enabled"] is False
        async with httpx.AsyncClient(timeout=30) as browser:
            there = await browser.get(error["actionUrl"])
            assert there.status_code == 303, there.text
            page = await browser.get(there.headers["location"])
            assert page.status_code == 200
            assert "Complete authentication" in page.text
            back = await browser.post(there.headers["location"], data={"outcome": "complete"})
            assert back.status_code == 303
            done = await browser.get(back.headers["location"])
            assert done.status_code == 200
        await balance_is(shop, account, netBalance=2000)

        async def told() -> list[int] | None:
            return listener.top_ups or None

        assert await seen(told) == [1600]
    [intent] = await shop.intents(account)
    assert intent["status"] == "succeeded"

    async def paid() -> bool | None:
        return True if [each["status"] for each in await shop.payments(account)] == ["paid"] else None

    await seen(paid)
    assert (await shop.auto_topup(account))["enabled"] is False, "only its owner turns it on"


@pytest.mark.parametrize(("others", "net", "debt"), [(0, -400, 400), (1000, 600, 0)])
async def test_a_late_failure_after_40_percent_was_spent(shop: Shop, others: int, net: int, debt: int) -> None:
    account = await shop.account(card="pm_usBankAccount_success")
    await shop.switch_on(account, threshold=500, target=1000)
    await balance_is(shop, account, netBalance=1000)
    [intent] = await shop.intents(account)
    assert intent["status"] == "processing"
    assert (await shop.spend(account, 400)).status_code == 200
    if others:
        await shop.grant(account, others)
    async with shop.listening(account) as listener:
        await shop.trigger("payment_intent.payment_failed", intent["id"])
        await balance_is(shop, account, netBalance=net, debt=debt, remainingBalance=max(0, net))

        async def told() -> list[dict[str, Any]] | None:
            return listener.errors or None

        assert [error["error"] for error in await seen(told)] == ["payment-reversed"]
    settings = await shop.auto_topup(account)
    assert (settings["enabled"], settings["disabledReason"]) == (False, "payment-reversed")
    assert len(await shop.intents(account)) == 1


async def test_refunds_are_cumulative_and_a_failed_refund_restores(shop: Shop) -> None:
    account = await shop.account()
    intent = await bought(shop, account)
    await shop.trigger("charge.refunded", intent, amount=250)
    await balance_is(shop, account, netBalance=750)
    await shop.trigger("charge.refunded", intent, amount=250)
    await balance_is(shop, account, netBalance=500)
    await shop.trigger("refund.failed", intent)
    await balance_is(shop, account, netBalance=750)
    await shop.spend(account, 500)
    await shop.trigger("charge.refunded", intent)
    await balance_is(shop, account, netBalance=-500, debt=500)


async def test_a_dispute_freezes_takes_and_gives_back(shop: Shop) -> None:
    account = await shop.account()
    intent = await bought(shop, account)
    await shop.spend(account, 400)
    await shop.trigger("charge.dispute.created", intent)
    await balance_is(shop, account, held=600, remainingBalance=0, netBalance=600)
    await shop.trigger("charge.dispute.funds_withdrawn", intent)
    await balance_is(shop, account, held=0, remainingBalance=0, debt=400, netBalance=-400)
    await shop.trigger("charge.dispute.closed", intent, status="won")
    await balance_is(shop, account, held=0, remainingBalance=600, debt=0, netBalance=600)


async def test_a_dispute_of_what_is_spent_switches_off_and_the_next_spend_charges_nobody(shop: Shop) -> None:
    account = await shop.account()
    intent = await bought(shop, account)
    assert (await shop.spend(account, 1000)).status_code == 200
    await shop.switch_on(account, threshold=0, target=1000)
    async with shop.listening(account) as listener:
        await shop.trigger("charge.dispute.created", intent)

        async def told() -> list[dict[str, Any]] | None:
            return listener.errors or None

        [error] = await seen(told)
        assert error["error"] == "payment-reversed"
        assert error["message"] == (
            "A payment has been disputed. No credits were left to freeze. "
            "Auto top-up is off; switch it on again when that is settled."
        )
        settings = await shop.auto_topup(account)
        assert (settings["enabled"], settings["disabledReason"]) == (False, "payment-reversed")
        refused = await shop.spend(account, 400)
        assert refused.status_code == 402, refused.text
        await asyncio.sleep(2)
        assert len(listener.errors) == 1
    assert [each["id"] for each in await shop.intents(account)] == [intent]


async def test_an_inquiry_freezes_and_takes_nothing(shop: Shop) -> None:
    account = await shop.account()
    intent = await bought(shop, account)
    await shop.trigger("charge.dispute.created", intent, status="warning_needs_response")
    await balance_is(shop, account, held=1000, remainingBalance=0)
    await shop.trigger("charge.dispute.closed", intent, status="warning_closed")
    await balance_is(shop, account, held=0, remainingBalance=1000)


async def test_a_hosted_page_sells_credits_also_by_a_bank_that_takes_its_time(shop: Shop) -> None:
    account = await shop.account(card=None)
    purchase = await shop.buy(account, 1000)
    assert purchase["status"] == "requires-action"
    async with httpx.AsyncClient(timeout=30) as browser:
        page = purchase["checkoutUrl"]
        refused = await browser.post(page, data={"payment_method": "pm_card_visa_chargeDeclined", "action": "pay"})
        assert refused.status_code == 402
        back = await browser.post(page, data={"payment_method": "pm_usBankAccount_success", "action": "pay"})
        assert back.status_code == 303, back.text
        assert (await browser.get(back.headers["location"])).status_code == 200
    await asyncio.sleep(1)
    assert (await shop.balance(account))["netBalance"] == 0, "nobody has paid yet"
    intent = next(each for each in await shop.intents(account) if each["status"] == "processing")
    await shop.trigger("payment_intent.succeeded", intent["id"])
    await balance_is(shop, account, netBalance=1000)
    again = await shop.ok(
        "POST", f"/v1/accounts/{account}/purchases", {"operationId": purchase["operationId"], "credits": 1000}
    )
    assert (again["status"], again["grant"]["principal"]) == ("paid", 1000)
