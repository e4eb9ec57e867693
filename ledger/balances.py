"""Balances: what an account can spend now, and what makes it up."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.changes import AccountChange
from ledger.rules.burning import Purse, SpendableGrant
from ledger.rules.catching_up import catch_up
from ledger.rules.errors import UnknownAccount
from ledger.store import balances as balance_rows
from ledger.store import grants as grant_rows
from ledger.store.accounts import find_account, parse_account_id
from ledger.transaction import with_transaction
from messages.grants import Grant, GrantStage, GrantType

# Where a page of grants goes on: behind the grant with this instant and id.
PageKey = tuple[datetime, UUID]


@dataclass(frozen=True)
class Balance:
    """An account's balance in credits, at ``now`` (UTC, the product's clock).

    ``seq`` numbers the account's latest change. ``usage`` is what was spent since the cycle began.
    ``breakdown`` has all five types; they sum to ``remaining`` plus ``held``. ``net`` is that sum less debt.
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
    return _balance(row)


def _balance(row: balance_rows.BalanceRow) -> Balance:
    """The balance, with what time alone has changed since it was written."""
    by_type, debt, held = row.by_type, row.debt, row.held
    if row.grants:
        purse = Purse(row.grants, sum(grant.balance - grant.held for grant in row.grants), debt, 0, held=held)
        catch_up(purse, row.holds, row.now)
        by_type, debt, held = _by_type(row.grants), purse.debt, purse.held
    breakdown = {grant_type: by_type.get(grant_type, 0) for grant_type in GrantType}
    live = sum(breakdown.values())
    return Balance(
        account_id=str(row.account_id),
        seq=row.seq,
        usage=row.usage,
        remaining=live - held,
        net=live - debt,
        debt=debt,
        held=held,
        breakdown=breakdown,
        next_reset=row.next_reset,
        now=row.now,
    )


def _by_type(grants: Iterable[SpendableGrant]) -> dict[str, int]:
    by_type: dict[str, int] = defaultdict(int)
    for grant in grants:
        by_type[grant.type] += grant.balance
    return by_type


async def changed_since(engine: AsyncEngine, known: Mapping[UUID, int]) -> list[AccountChange]:
    """Which of the accounts have changed since the change number in ``known``; one query for all of them."""
    changed = await with_transaction(engine, lambda tx: balance_rows.changed_since(tx, known), what="changed since")
    return [AccountChange(account_id=account_id, seq=seq) for account_id, seq in changed.items()]


async def grants_of_account(
    engine: AsyncEngine, account_id: str, *, after: PageKey | None = None, limit: int
) -> list[Grant]:
    """A page of the account's grants, oldest first, also those with nothing left. Raises UnknownAccount."""
    parsed = parse_account_id(account_id)

    async def work(tx: AsyncConnection) -> list[Grant]:
        page = await grant_rows.grants_of_account(tx, parsed, after=after, limit=limit)
        if not page and await find_account(tx, parsed) is None:
            raise UnknownAccount(account_id)
        return page

    return await with_transaction(engine, work, what="grants of account")


async def grants_at_stage(
    engine: AsyncEngine, stage: GrantStage, *, after: PageKey | None = None, limit: int
) -> list[Grant]:
    """A page of the grants whose mirrors are at an open stage, those that wait the longest first."""
    return await with_transaction(
        engine, lambda tx: grant_rows.grants_at_stage(tx, stage, after=after, limit=limit), what="grants at stage"
    )
