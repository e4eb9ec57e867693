"""Accounts: the rows that money runs over, and the profiles beside them."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.rules.errors import UnknownAccount
from ledger.rules.money import Price
from ledger.store.tables import account_profiles, accounts

LEDGER_NOW = func.ledger_now()

# As str() of a UUID gives it: the ids of accounts have one spelling.
_CANONICAL_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class NewAccount:
    """An account to be opened. ``reset_anchor_day`` is the day of the month on which its cycles begin."""

    account_id: UUID
    kind: str
    name: str
    email: str | None
    external_id: str | None
    referral_code: str
    free_credits: int
    debt_cap: int
    price: Price
    created_at: datetime
    next_reset: datetime
    reset_anchor_day: int


@dataclass(frozen=True)
class LockedAccount:
    """An account whose row this transaction holds. ``now`` is the transaction's one instant, by the product's clock.

    ``balance`` is the sum of its grants' balances, expiry that is not booked yet included, and ``held`` the part of it
    that open holds keep; nothing expires or lapses before ``next_expiry``.
    """

    account_id: UUID
    kind: str
    debt: int
    balance: int
    held: int
    next_expiry: datetime | None
    seq: int
    cycle_start: datetime
    next_reset: datetime
    reset_anchor_day: int
    price: Price
    now: datetime

    @classmethod
    def just_opened(cls, new: NewAccount) -> Self:
        """The account that this very transaction has written: nobody else sees it, so there is nothing to lock."""
        return cls(
            account_id=new.account_id,
            kind=new.kind,
            debt=0,
            balance=0,
            held=0,
            next_expiry=None,
            seq=0,
            cycle_start=new.created_at,
            next_reset=new.next_reset,
            reset_anchor_day=new.reset_anchor_day,
            price=new.price,
            now=new.created_at,
        )


@dataclass(frozen=True)
class Account:
    """An account as clients see it."""

    account_id: str
    kind: str
    name: str
    email: str | None
    external_id: str | None
    stripe_customer_id: str | None
    next_reset: datetime
    referral_code: str
    created_at: datetime
    default_payment_method: dict[str, Any] | None


def parse_account_id(account_id: str) -> UUID:
    """The id in the database's form; raises UnknownAccount for what can't be an id."""
    try:
        parsed = UUID(account_id)
    except ValueError:
        raise UnknownAccount(account_id) from None
    if str(parsed) != account_id:
        raise UnknownAccount(account_id)
    return parsed


def check_account_id(account_id: str) -> None:
    """Raises UnknownAccount for what can't be an id. Quicker than to parse it, and just as strict."""
    if not _CANONICAL_ID.fullmatch(account_id):
        raise UnknownAccount(account_id)


async def read_clock(tx: AsyncConnection) -> datetime:
    """The transaction's instant, by the product's clock."""
    now: datetime = (await tx.execute(select(LEDGER_NOW))).scalar_one()
    return now


async def lock_account(tx: AsyncConnection, account_id: UUID) -> LockedAccount:
    """Locks the account's row, so that those who change the same account follow one another.

    Raises UnknownAccount.
    """
    # FOR NO KEY UPDATE: rows that only refer to the account, such as a new token, do not wait for us.
    found = await tx.execute(
        select(accounts, LEDGER_NOW.label("now"))
        .where(accounts.c.account_id == account_id)
        .with_for_update(key_share=True)
    )
    row = found.one_or_none()
    if row is None:
        raise UnknownAccount(str(account_id))
    return LockedAccount(
        account_id=row.account_id,
        kind=row.kind,
        debt=row.debt,
        balance=row.balance,
        held=row.held,
        next_expiry=row.next_expiry,
        seq=row.seq,
        cycle_start=row.cycle_start,
        next_reset=row.next_reset,
        reset_anchor_day=row.reset_anchor_day,
        price=Price(cents=row.price_cents, credits=row.price_credits, currency=row.currency),
        now=row.now,
    )


async def change_account(
    tx: AsyncConnection, account: LockedAccount, *, debt: int, balance: int, held: int, next_expiry: datetime | None
) -> int:
    """Writes what the account owes, has and holds, and its next change number; answers with that number."""
    seq = account.seq + 1
    await tx.execute(
        update(accounts)
        .where(accounts.c.account_id == account.account_id)
        .values(debt=debt, balance=balance, held=held, next_expiry=next_expiry, seq=seq)
    )
    return seq


async def insert_account(tx: AsyncConnection, new: NewAccount) -> None:
    """Writes the account and its profile."""
    await tx.execute(
        insert(accounts).values(
            account_id=new.account_id,
            kind=new.kind,
            debt_cap=new.debt_cap,
            cycle_start=new.created_at,
            next_reset=new.next_reset,
            reset_anchor_day=new.reset_anchor_day,
            price_cents=new.price.cents,
            price_credits=new.price.credits,
            currency=new.price.currency,
            free_credits=new.free_credits,
            created_at=new.created_at,
        )
    )
    await tx.execute(
        insert(account_profiles).values(
            account_id=new.account_id,
            name=new.name,
            email=new.email,
            external_id=new.external_id,
            referral_code=new.referral_code,
            stripe_customer_key=f"customer-{new.account_id}-1",
            created_at=new.created_at,
        )
    )


async def find_account(tx: AsyncConnection, account_id: UUID) -> Account | None:
    """The account with this id, or None."""
    return await _find(tx, accounts.c.account_id == account_id)


async def find_account_by_external_id(tx: AsyncConnection, external_id: str) -> Account | None:
    """The account that the caller knows under ``external_id``, or None."""
    return await _find(tx, account_profiles.c.external_id == external_id)


async def _find(tx: AsyncConnection, condition: Any) -> Account | None:
    found = await tx.execute(
        select(accounts.c.kind, accounts.c.next_reset, accounts.c.created_at.label("opened_at"), account_profiles)
        .join(account_profiles, account_profiles.c.account_id == accounts.c.account_id)
        .where(condition)
    )
    row = found.one_or_none()
    if row is None:
        return None
    return Account(
        account_id=str(row.account_id),
        kind=row.kind,
        name=row.name,
        email=row.email,
        external_id=row.external_id,
        stripe_customer_id=row.stripe_customer_id,
        next_reset=row.next_reset,
        referral_code=row.referral_code,
        created_at=row.opened_at,
        default_payment_method=row.default_payment_method,
    )
