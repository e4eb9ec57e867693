"""Notices: what an account's owner is to be told, each thing once: that credits are about to expire, what has become of
a payment."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.changes import announce_notice
from ledger.rules.errors import UnknownAccount
from ledger.store import notices as rows
from ledger.store.accounts import find_account, parse_account_id
from ledger.store.notices import FIRST_GRANT, GrantKey, Notice, NoticedPage
from ledger.transaction import with_transaction
from messages.payments import NoticeOrder

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


async def give_notice(engine: AsyncEngine, order: NoticeOrder) -> bool:
    """Writes the notice, and announces it to those who are connected; False where it was given before.

    Raises UnknownAccount or LedgerUnavailable.
    """
    account_id = parse_account_id(order.account_id)
    named = {"error": order.error, "actionUrl": order.action_url, "credits": order.credits}
    payload = {"message": order.message} | {name: value for name, value in named.items() if value is not None}
    try:
        notice = await with_transaction(
            engine,
            lambda tx: rows.insert_notice(tx, account_id, kind=order.kind, subject=order.subject, payload=payload),
            what="give notice",
        )
    except IntegrityError as error:
        if "fk_notices_account_id" in str(error.orig):
            raise UnknownAccount(order.account_id) from None
        raise
    if notice is None:
        return False
    WRITTEN.labels(order.kind).inc()
    await announce_notice(engine, account_id, notice.notice_id)
    return True


async def notices_since(engine: AsyncEngine, known: Mapping[UUID, int], *, kinds: Sequence[str]) -> list[Notice]:
    """The notices of these accounts and kinds that came after the one that is known of each, oldest first."""
    return await with_transaction(engine, lambda tx: rows.notices_since(tx, known, kinds), what="notices since")


async def latest_notice(engine: AsyncEngine, account_id: str) -> int:
    """The id of the account's latest notice; 0 where it has none. Raises UnknownAccount for no id."""
    parsed = parse_account_id(account_id)
    return await with_transaction(engine, lambda tx: rows.latest_notice(tx, parsed), what="latest notice")


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
