"""The history of an account: the entries of its journal, page by page."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.rules.errors import UnknownAccount
from ledger.store.accounts import parse_account_id
from ledger.store.history import EntryFilter, RecordedEntry, latest_entry, read_entries
from ledger.store.tables import ENTRY_KINDS
from ledger.transaction import with_transaction

__all__ = [
    "ENTRY_KINDS",
    "EntryFilter",
    "EntryPage",
    "RecordedEntry",
    "all_entries",
    "entries_of_account",
]

ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class EntryPage:
    """Entries in their order, and the id of the entry behind which there may be more; None on the last page."""

    entries: list[RecordedEntry]
    next_after: int | None


async def entries_of_account(
    engine: AsyncEngine,
    account_id: str,
    wanted: EntryFilter,
    *,
    after: int | None = None,
    newest_first: bool = False,
    limit: int,
) -> EntryPage:
    """A page of the account's journal, in the order of booking. Raises UnknownAccount.

    With a filter a page may have fewer entries than ``limit``, even none, and yet not be the last.
    """
    parsed = parse_account_id(account_id)

    async def work(tx: AsyncConnection) -> EntryPage:
        found = await read_entries(tx, parsed, wanted, after=after, newest_first=newest_first, limit=limit)
        page = EntryPage(*found)
        if not page.entries and await latest_entry(tx, parsed) is None:
            raise UnknownAccount(account_id)
        return page

    return await with_transaction(engine, work, what="entries of account")


async def all_entries(
    engine: AsyncEngine,
    account_id: str,
    wanted: EntryFilter,
    *,
    newest_first: bool = False,
    rows_at_once: int = ROWS_AT_ONCE,
) -> AsyncGenerator[RecordedEntry, None]:
    """All entries that are there when the first is asked for, read in pages. Raises UnknownAccount.

    No transaction is open between two pages: whoever reads slowly holds nothing up. The journal only grows, and what
    is booked meanwhile is left out.
    """
    parsed = parse_account_id(account_id)
    upto = await with_transaction(engine, lambda tx: latest_entry(tx, parsed), what="latest entry")
    if upto is None:
        raise UnknownAccount(account_id)
    settled, after = replace(wanted, upto=upto), None
    while True:
        page = await entries_of_account(
            engine, account_id, settled, after=after, newest_first=newest_first, limit=rows_at_once
        )
        for entry in page.entries:
            yield entry
        after = page.next_after
        if after is None:
            return
