"""What an account is at Stripe: its customer and its default payment method."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store.tables import account_profiles, accounts
from messages.customers import CustomerRequest, PaymentMethod


async def find_customer_request(tx: AsyncConnection, account_id: UUID) -> CustomerRequest | None:
    """What Stripe is to be told about the account, or None for an unknown one."""
    found = await tx.execute(_requests().where(account_profiles.c.account_id == account_id))
    row = found.one_or_none()
    return None if row is None else _request(row)


async def without_customer(tx: AsyncConnection, *, limit: int) -> list[CustomerRequest]:
    """Accounts that Stripe does not know yet, oldest first."""
    found = await tx.execute(
        _requests()
        .where(account_profiles.c.stripe_customer_id.is_(None))
        .order_by(account_profiles.c.created_at)
        .limit(limit)
    )
    return [_request(row) for row in found]


async def write_customer(tx: AsyncConnection, account_id: UUID, stripe_customer_id: str) -> None:
    """Notes the customer, unless the account has one."""
    await tx.execute(
        update(account_profiles)
        .where(account_profiles.c.account_id == account_id, account_profiles.c.stripe_customer_id.is_(None))
        .values(stripe_customer_id=stripe_customer_id)
    )


async def write_customer_key(tx: AsyncConnection, account_id: UUID, key: str) -> None:
    """Stores the idempotency key of the next try to create the customer."""
    await tx.execute(
        update(account_profiles).where(account_profiles.c.account_id == account_id).values(stripe_customer_key=key)
    )


async def write_payment_method(tx: AsyncConnection, account_id: UUID, method: PaymentMethod | None) -> None:
    """Notes the account's default payment method, or that it has none."""
    await tx.execute(
        update(account_profiles)
        .where(account_profiles.c.account_id == account_id)
        .values(default_payment_method=null() if method is None else asdict(method))
    )


async def find_account_of_customer(tx: AsyncConnection, stripe_customer_id: str) -> UUID | None:
    """The account that is this customer at Stripe, or None."""
    found = await tx.execute(
        select(account_profiles.c.account_id).where(account_profiles.c.stripe_customer_id == stripe_customer_id)
    )
    account_id: UUID | None = found.scalar_one_or_none()
    return account_id


async def forget_customer(tx: AsyncConnection, account_id: UUID, stripe_customer_id: str, *, next_key: str) -> None:
    """The customer was deleted at Stripe: when one is needed again it is made anew, under the key ``next_key``. One
    that has been made anew already stays."""
    await tx.execute(
        update(account_profiles)
        .where(account_profiles.c.account_id == account_id, account_profiles.c.stripe_customer_id == stripe_customer_id)
        .values(stripe_customer_id=None, default_payment_method=null(), stripe_customer_key=next_key)
    )


def _requests() -> Any:
    return select(
        account_profiles.c.account_id,
        account_profiles.c.name,
        account_profiles.c.email,
        account_profiles.c.stripe_customer_id,
        account_profiles.c.stripe_customer_key,
        accounts.c.kind,
    ).join(accounts, accounts.c.account_id == account_profiles.c.account_id)


def _request(row: Any) -> CustomerRequest:
    return CustomerRequest(
        account_id=str(row.account_id),
        name=row.name,
        email=row.email,
        kind=row.kind,
        stripe_customer_id=row.stripe_customer_id,
        idempotency_key=row.stripe_customer_key,
    )
