"""What the tests of payments and auto top-up say often."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.customers import record_payment_method
from ledger.paying import open_purchase, record_payment
from ledger.rules.topping_up import TopUpRule
from ledger.topping_up import open_top_up, set_auto_topup
from messages.customers import DefaultPaymentMethod, PaymentMethod
from messages.payments import (
    Decline,
    Payment,
    PaymentNews,
    PaymentState,
    PurchaseOrder,
    TopUpDecision,
    TopUpQuestion,
)
from tests.conftest import Database
from tests.store.support import grant, open_user, session

RULE = TopUpRule(threshold=500, target=2_000, monthly_limit_cents=None)
CARD = PaymentMethod("pm_1", "card", "visa", "4242", expiry_month=12, expiry_year=2099)
DECLINE = Decline("Your card was declined.", code="card_declined", decline_code="insufficient_funds")


async def give_card(engine: AsyncEngine, account_id: str, card: PaymentMethod | None = CARD) -> None:
    """The account's default payment method is this one now."""
    await record_payment_method(engine, DefaultPaymentMethod(account_id, card))


async def choose(engine: AsyncEngine, account_id: str, rule: TopUpRule = RULE, *, enabled: bool = True) -> None:
    """The owner chooses this; the account has a card."""
    await give_card(engine, account_id)
    await set_auto_topup(engine, account_id, rule, enabled=enabled, by="ada")


async def topped_up_user(engine: AsyncEngine, *, credits: int = 0, rule: TopUpRule = RULE, name: str = "Ada") -> str:
    """A user with so many credits of his own, whose auto top-up is on."""
    account_id = await open_user(engine, name=name)
    if credits:
        await grant(engine, account_id, f"first-{account_id}", credits)
    await choose(engine, account_id, rule)
    return account_id


async def ask(engine: AsyncEngine, account_id: str, name: str = "topup-1", *, needed: int = 0) -> TopUpDecision:
    """Asks whether the account is to be topped up now."""
    return await open_top_up(engine, TopUpQuestion(account_id, name, [needed] if needed else [], request_id="r-1"))


async def attempt(engine: AsyncEngine, account_id: str, name: str = "topup-1", *, needed: int = 0) -> Payment:
    """The attempt that such a question opens."""
    decision = await ask(engine, account_id, name, needed=needed)
    assert decision.payment is not None, decision.reason
    return decision.payment


async def buy_credits(engine: AsyncEngine, account_id: str, name: str = "bought", credits: int = 1_000) -> Payment:
    """A purchase that was begun by the account's owner."""
    order = PurchaseOrder(name, account_id, credits, actor=f"account {account_id}", request_id="r-1")
    return await open_purchase(engine, order)


async def become(engine: AsyncEngine, name: str, state: PaymentState, **news: Any) -> Payment:
    """Writes that the payment has come so far; one at Stripe is ``pi_`` and its name unless told."""
    if state not in (PaymentState.OPEN, PaymentState.FAILED):
        news = {"payment_intent_id": f"pi_{name}"} | news
    if state is PaymentState.FAILED:
        news = {"error": "auto-topup-declined", "message": "No."} | news
    return await record_payment(engine, PaymentNews(name, state, **news))


async def decline(
    engine: AsyncEngine, name: str, method: str = "pm_1", said: Decline = DECLINE, fingerprint: str | None = None
) -> None:
    """The payment was declined on this method, which is the card with the fingerprint."""
    await become(
        engine,
        name,
        PaymentState.FAILED,
        payment_method_id=method,
        payment_method_fingerprint=fingerprint,
        decline=said,
    )


async def seq_of(database: Database, account_id: str) -> int:
    """The account's change number."""
    return int(await value_of(database, "SELECT seq FROM accounts WHERE account_id = $1::uuid", account_id))


async def value_of(database: Database, query: str, *values: object) -> Any:
    """One value, as the owner reads it."""
    async with session(database.owner_url) as owner:
        return await owner.fetchval(query, *values)
