"""What a person does in a browser: pays on the hosted page, and shows the bank who they are. With no network."""

from typing import Any

from playwright.async_api import Page, expect

from tests.faults.shop import SECONDS, Listener, Shop, seen


async def _checkout(shop: Shop, account: str) -> str:
    """Buys without a card; gives the address of the page on which it is paid."""
    purchase = await shop.buy(account, 1000)
    assert purchase["status"] == "requires-action", purchase
    url: str = purchase["checkoutUrl"]
    return url


async def _balance_becomes(shop: Shop, account: str, net: int, *, seconds: float = SECONDS) -> None:
    async def look() -> bool | None:
        return True if (await shop.balance(account))["netBalance"] == net else None

    await seen(look, seconds=seconds)


async def _error(listener: Listener) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        return listener.errors[0] if listener.errors else None

    return await seen(look)


async def test_credits_are_bought_on_the_hosted_page(shop: Shop, page: Page) -> None:
    account = await shop.account(card=None)
    await page.goto(await _checkout(shop, account))
    await expect(page.get_by_role("heading", name="Checkout")).to_be_visible()
    await expect(page.get_by_text("1000 credits")).to_be_visible()
    await page.get_by_label("Visa 4242").check()
    await page.get_by_role("button", name="Pay 10.00 USD").click()
    await expect(page.get_by_role("heading", name="Your payment")).to_be_visible()
    assert page.url.startswith(f"{shop.api.base_url}".rstrip("/"))
    await expect(page.get_by_text("Thank you.")).to_be_visible()
    await _balance_becomes(shop, account, 1000)


async def test_who_comes_back_from_the_hosted_page_gets_the_credits_though_no_webhook_comes(
    shop: Shop, page: Page
) -> None:
    account = await shop.account(card=None)
    await page.goto(await _checkout(shop, account))
    (await shop.stripe.post("/_sandbox/behaviour", json={"dropWebhooks": True})).raise_for_status()
    await page.get_by_label("Visa 4242").check()
    await page.get_by_role("button", name="Pay 10.00 USD").click()
    await expect(page.get_by_text("Thank you.")).to_be_visible()
    # By itself the workflow would not have looked yet.
    await _balance_becomes(shop, account, 1000, seconds=15)


async def test_a_declined_card_says_why_and_another_one_pays(shop: Shop, page: Page) -> None:
    account = await shop.account(card=None)
    await page.goto(await _checkout(shop, account))
    await page.get_by_label("Visa 0341").check()
    await page.get_by_role("button", name="Pay").click()
    await expect(page.get_by_role("alert")).to_contain_text("declined")
    await page.get_by_label("Link").check()
    await page.get_by_role("button", name="Pay").click()
    await expect(page.get_by_text("Thank you.")).to_be_visible()
    await _balance_becomes(shop, account, 1000)
    assert len(await shop.intents(account)) == 1


async def test_a_bank_that_asks_on_the_hosted_page_is_answered_there(shop: Shop, page: Page) -> None:
    account = await shop.account(card=None)
    await page.goto(await _checkout(shop, account))
    await page.get_by_label("Visa 3184").check()
    await page.get_by_role("button", name="Pay").click()
    await expect(page.get_by_role("heading", name="Authenticate your payment")).to_be_visible()
    await page.get_by_role("button", name="Complete authentication").click()
    await expect(page.get_by_text("Thank you.")).to_be_visible()
    await _balance_becomes(shop, account, 1000)


async def test_who_leaves_the_hosted_page_has_bought_nothing(shop: Shop, page: Page) -> None:
    account = await shop.account(card=None)
    await page.goto(await _checkout(shop, account))
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.get_by_text("nothing was paid")).to_be_visible()
    assert (await shop.balance(account))["netBalance"] == 0
    [purchase] = await shop.payments(account)
    assert purchase["status"] == "requires-action"


async def test_a_top_up_is_authenticated_by_the_link_that_its_owner_was_sent(shop: Shop, page: Page) -> None:
    account = await shop.account(card="pm_card_authenticationRequired", credits=600)
    await shop.switch_on(account, threshold=500, target=2000)
    async with shop.listening(account) as listener:
        await shop.spend(account, 200)
        link = (await _error(listener))["actionUrl"]
    await page.goto(link)
    await expect(page.get_by_text("16.00 USD")).to_be_visible()
    await page.get_by_role("button", name="Fail authentication").click()
    await expect(page.get_by_role("heading", name="Your payment")).to_be_visible()
    assert (await shop.balance(account))["netBalance"] == 400
    # It was not done; the same link leads to the same payment again.
    await page.goto(link)
    await page.get_by_role("button", name="Complete authentication").click()
    await expect(page.get_by_role("heading", name="Your payment")).to_be_visible()
    await _balance_becomes(shop, account, 2000)
    await page.goto(link)
    await expect(page.get_by_role("heading", name="Your payment")).to_be_visible()
    assert len(await shop.intents(account)) == 1
