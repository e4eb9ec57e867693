"""CustomerWorkflow against fakes: our books learn which payment method would be charged now."""

import asyncio

from messages.customers import PaymentMethod
from tests.workflows.payment_flow import PaymentFlow
from tests.workflows.stripe_payments_fake import BAD_CARD, GOOD_CARD


async def test_a_changed_default_is_recorded(money: PaymentFlow) -> None:
    await money.customer_webhook()
    await money.ends()
    money.stripe.methods = []
    await money.customer_webhook()
    await money.ends()
    assert _recorded(money) == [GOOD_CARD, None]
    assert {default.account_id for default in money.books.defaults} == {money.account_id}


async def test_news_during_the_question_is_not_lost(money: PaymentFlow) -> None:
    loop = asyncio.get_running_loop()
    told: list[asyncio.Task[None]] = []

    def change() -> None:
        money.stripe.on_choice = lambda: None
        money.stripe.methods = [BAD_CARD]
        told.append(loop.create_task(money.customer_webhook()))

    money.stripe.on_choice = change
    await money.customer_webhook()
    await money.until(lambda: told != [])
    await told[0]
    await money.ends()
    assert _recorded(money)[-1] == BAD_CARD


def _recorded(money: PaymentFlow) -> list[PaymentMethod | None]:
    return [default.payment_method for default in money.books.defaults]
