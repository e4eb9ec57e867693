"""Notices: what an account's owner is to be told, each thing once. Here: that credits are about to expire."""

from collections.abc import Sequence

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.rules.errors import UnknownAccount
from ledger.store import notices as rows
from ledger.store.accounts import find_account, parse_account_id
from ledger.store.notices import FIRST_GRANT, GrantKey, Notice, NoticedPage
from ledger.transaction import with_transaction

WRITTEN = Counter("grantflow_notices", "Notices written, each thing once, by kind", ["kind"])


async def give_expiry_notices(
    engine: AsyncEngine, *, days: Sequence[int], after: GrantKey | None = None, limit: int
) -> NoticedPage:
    """Writes the notices that are due for a page of grants that live longer than 45 days, and still have credits.

    ``days`` are whole days before the expiry. A grant gets each once, ever, and of those that are due at the same time
    the nearest alone. The page begins after the key ``after`` and looks at ``limit`` grants. Raises LedgerUnavailable.
    """
    page = await with_transaction(
        engine,
        lambda tx: rows.write_expiry_notices(tx, days=days, after=after or FIRST_GRANT, limit=limit),
        what="give expiry notices",
    )
    WRITTEN.labels(rows.EXPIRY).inc(page.written)
    return page


async def untold_notices(engine: AsyncEngine, account_id: str, *, limit: int) -> list[Notice]:
    """What the account was not told yet, oldest first, at most ``limit``. Raises UnknownAccount for no id."""
    parsed = parse_account_id(account_id)
    return await with_transaction(
        engine, lambda tx: rows.untold_notices(tx, parsed, limit=limit), what="untold notices"
    )


async def mark_told(engine: AsyncEngine, notice_ids: Sequence[int]) -> None:
    """Notes that these have been told; a repeat changes nothing."""
    await with_transaction(engine, lambda tx: rows.mark_told(tx, notice_ids), what="mark told")


async def notices_of_account(
    engine: AsyncEngine, account_id: str, *, before: int | None = None, limit: int
) -> list[Notice]:
    """A page of all the account's notices, told or not, newest first. Raises UnknownAccount."""
    parsed = parse_account_id(account_id)

    async def work(tx: AsyncConnection) -> list[Notice]:
        page = await rows.notices_of_account(tx, parsed, before=before, limit=limit)
        if not page and await find_account(tx, parsed) is None:
            raise UnknownAccount(account_id)
        return page

    return await with_transaction(engine, work, what="notices of account")
