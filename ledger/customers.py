"""The account's side of being a customer at Stripe. Each function is one short transaction."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.rules.errors import UnknownAccount
from ledger.store import customers as rows
from ledger.store.accounts import parse_account_id
from ledger.transaction import with_transaction
from messages.customers import Customer, CustomerRequest, DefaultPaymentMethod


async def prepare_customer(engine: AsyncEngine, account_id: str) -> CustomerRequest:
    """What to tell Stripe about the account, under the stored idempotency key. Raises UnknownAccount."""
    return await with_transaction(engine, lambda tx: _request(tx, account_id), what="prepare customer")


async def renew_customer_key(engine: AsyncEngine, account_id: str, *, used: str) -> CustomerRequest:
    """Stores the key that follows ``used``, once, because Stripe answers to that one with a stored failure."""

    async def work(tx: AsyncConnection) -> CustomerRequest:
        request = await _request(tx, account_id)
        if request.idempotency_key == used:
            await rows.write_customer_key(tx, parse_account_id(account_id), next_customer_key(used))
        return await _request(tx, account_id)

    return await with_transaction(engine, work, what="renew customer key")


async def accounts_without_customer(engine: AsyncEngine, *, limit: int) -> list[CustomerRequest]:
    """Accounts that Stripe does not know yet, oldest first."""
    return await with_transaction(engine, lambda tx: rows.without_customer(tx, limit=limit), what="without customer")


async def record_customer(engine: AsyncEngine, customer: Customer) -> None:
    """Notes which customer the account is at Stripe."""
    account_id = parse_account_id(customer.account_id)
    await with_transaction(
        engine, lambda tx: rows.write_customer(tx, account_id, customer.stripe_customer_id), what="record customer"
    )


async def account_of_customer(engine: AsyncEngine, stripe_customer_id: str) -> str | None:
    """The account that is this customer at Stripe, or None."""
    found = await with_transaction(
        engine, lambda tx: rows.find_account_of_customer(tx, stripe_customer_id), what="account of customer"
    )
    return None if found is None else str(found)


async def forget_customer(engine: AsyncEngine, stripe_customer_id: str) -> str | None:
    """The customer was deleted at Stripe: forgets it, once, and answers whose it was; None where nobody's."""

    async def work(tx: AsyncConnection) -> UUID | None:
        account_id = await rows.find_account_of_customer(tx, stripe_customer_id)
        if account_id is not None:
            used = (await _request(tx, str(account_id))).idempotency_key
            await rows.forget_customer(tx, account_id, stripe_customer_id, next_key=next_customer_key(used))
        return account_id

    found = await with_transaction(engine, work, what="forget customer")
    return None if found is None else str(found)


def next_customer_key(used: str) -> str:
    """The idempotency key that follows ``used``."""
    stem, _, number = used.rpartition("-")
    return f"{stem}-{int(number) + 1}"


async def record_payment_method(engine: AsyncEngine, default: DefaultPaymentMethod) -> None:
    """Notes the account's default payment method."""
    account_id = parse_account_id(default.account_id)
    await with_transaction(
        engine,
        lambda tx: rows.write_payment_method(tx, account_id, default.payment_method),
        what="record payment method",
    )


async def _request(tx: AsyncConnection, account_id: str) -> CustomerRequest:
    request = await rows.find_customer_request(tx, parse_account_id(account_id))
    if request is None:
        raise UnknownAccount(account_id)
    return request
