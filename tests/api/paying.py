"""What the tests of payments say often: a card, settings, and an account that has both."""

from typing import Any

from ledger.customers import record_payment_method
from messages.customers import DefaultPaymentMethod, PaymentMethod
from tests.api.running import RunningApi

CARD = PaymentMethod(payment_method_id="pm_1", kind="card", brand="visa", last4="4242")
RULE = {"enabled": True, "threshold": 100, "target": 2000}


async def give_card(api: RunningApi, account: str, card: PaymentMethod = CARD) -> None:
    """Stores a card for the account, as its workflow does."""
    await record_payment_method(api.engine, DefaultPaymentMethod(account, card))


async def put_settings(api: RunningApi, account: str, **settings: Any) -> dict[str, Any]:
    """Chooses auto top-up, which must be accepted."""
    answer = await api.admin.put(f"/v1/accounts/{account}/auto-topup", json=settings)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def account_with_top_up(api: RunningApi, *, credits: int = 150, **settings: Any) -> str:
    """A new account with ``credits``, a card, and auto top-up below 100 to 2,000, unless told."""
    account = await api.open_account()
    await give_card(api, account)
    await api.grant(account, credits)
    await put_settings(api, account, **{**RULE, **settings})
    return account


async def balance_of(api: RunningApi, account: str) -> int:
    """What the account can spend."""
    remaining: int = (await api.admin.get(f"/v1/accounts/{account}/balance")).json()["remainingBalance"]
    return remaining
