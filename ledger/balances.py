"""Balances: what an account can spend now, and what makes it up."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.rules.errors import UnknownAccount
from ledger.store import balances as balance_rows
from ledger.store.accounts import parse_account_id
from ledger.transaction import with_transaction
from messages.grants import GrantType


@dataclass(frozen=True)
class Balance:
    """An account's balance in credits, at ``now`` (UTC, the product's clock).

    ``seq`` numbers the account's latest change. ``usage`` is what was spent since the cycle began.
    ``breakdown`` has all five types; they sum to ``remaining`` plus ``held``. ``net`` is live credits less debt.
    """

    account_id: str
    seq: int
    usage: int
    remaining: int
    net: int
    debt: int
    held: int
    breakdown: dict[GrantType, int]
    next_reset: datetime
    now: datetime


async def read_balance(engine: AsyncEngine, account_id: str) -> Balance:
    """The account's balance. Raises UnknownAccount."""
    parsed = parse_account_id(account_id)
    row = await with_transaction(engine, lambda tx: balance_rows.read_balance(tx, parsed), what="read balance")
    if row is None:
        raise UnknownAccount(account_id)
    breakdown = {grant_type: row.by_type.get(grant_type, 0) for grant_type in GrantType}
    live = sum(breakdown.values())
    return Balance(
        account_id=account_id,
        seq=row.seq,
        usage=row.usage,
        remaining=live,
        net=live - row.debt,
        debt=row.debt,
        held=0,
        breakdown=breakdown,
        next_reset=row.next_reset,
        now=row.now,
    )
