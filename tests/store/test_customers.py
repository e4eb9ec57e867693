"""What an account is at Stripe: found by its customer, forgotten when that is deleted, and its default method."""

import asyncio
from collections import Counter
from dataclasses import asdict, replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.customers import (
    account_of_customer,
    accounts_without_customer,
    forget_customer,
    prepare_customer,
    record_customer,
    record_payment_method,
)
from ledger.opening import find_account
from ledger.rules.errors import UnknownAccount
from messages.customers import Customer, DefaultPaymentMethod
from tests.store.paying import CARD, give_card
from tests.store.support import open_user


async def test_an_account_is_found_by_its_customer(engine: AsyncEngine) -> None:
    ada, bob = await open_user(engine), await open_user(engine, name="Bob")
    await record_customer(engine, Customer(ada, "cus_ada"))
    await record_customer(engine, Customer(bob, "cus_bob"))
    assert await account_of_customer(engine, "cus_ada") == ada
    assert await account_of_customer(engine, "cus_bob") == bob
    assert await account_of_customer(engine, "cus_nobody") is None


async def test_a_deleted_customer_is_forgotten_once_and_made_anew_under_the_next_key(engine: AsyncEngine) -> None:
    account_id, other = await open_user(engine), await open_user(engine, name="Bob")
    for each, customer in ((account_id, "cus_1"), (other, "cus_2")):
        await record_customer(engine, Customer(each, customer))
        await give_card(engine, each)
    untouched = await find_account(engine, other)
    answers = await asyncio.gather(*(forget_customer(engine, "cus_1") for _ in range(2)))
    answers += [await forget_customer(engine, each) for each in ("cus_1", "cus_nobody")]
    assert Counter(answers)[account_id] >= 1
    assert answers[2:] == [None, None]
    forgotten = await find_account(engine, account_id)
    assert (forgotten.stripe_customer_id, forgotten.default_payment_method) == (None, None)
    [waiting] = await accounts_without_customer(engine, limit=10)
    assert waiting == await prepare_customer(engine, account_id)
    assert waiting.idempotency_key == f"customer-{account_id}-2"
    assert await find_account(engine, other) == untouched
    await record_customer(engine, Customer(account_id, "cus_3"))
    assert await account_of_customer(engine, "cus_3") == account_id
    assert await account_of_customer(engine, "cus_1") is None


async def test_the_default_method_is_noted_and_that_there_is_none_any_more(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    for card in (CARD, replace(CARD, payment_method_id="pm_2"), None, CARD):
        await record_payment_method(engine, DefaultPaymentMethod(account_id, card))
        noted = (await find_account(engine, account_id)).default_payment_method
        assert noted == (None if card is None else asdict(card))
    with pytest.raises(UnknownAccount):
        await record_payment_method(engine, DefaultPaymentMethod("x", None))
