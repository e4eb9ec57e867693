"""The client's calls that look back: the journal of an account, and its balance explained."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any

from client.answers import Entry, Explanation, Notice, Page
from client.sending import Sender, in_path


class HistoryCalls(Sender):
    """What the client can ask of an account's past."""

    async def entries(
        self,
        account_id: str,
        *,
        newest_first: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
        kinds: Sequence[str] = (),
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Entry]:
        """A page of the account's journal. ``since`` and ``until`` (exclusive) bound when entries count.

        With a filter a page may be short, even empty, and not be the last: go on while there is a ``next_cursor``.
        """
        query = _query(newest_first=newest_first, since=since, until=until, kinds=kinds)
        return await self._get(Page[Entry], _entries_of(account_id), **query, limit=limit, cursor=cursor)

    async def all_entries(
        self,
        account_id: str,
        *,
        newest_first: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
        kinds: Sequence[str] = (),
    ) -> AsyncGenerator[Entry, None]:
        """All entries of the account that the filter wants, page by page."""
        cursor = None
        while True:
            page = await self.entries(
                account_id,
                newest_first=newest_first,
                since=since,
                until=until,
                kinds=kinds,
                limit=200,
                cursor=cursor,
            )
            for entry in page.data:
                yield entry
            cursor = page.next_cursor
            if cursor is None:
                return

    async def notices(self, account_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Notice]:
        """A page of what the account was told over its sockets or is still to be told, newest first."""
        path = f"/v1/accounts/{in_path(account_id)}/notices"
        return await self._get(Page[Notice], path, limit=limit, cursor=cursor)

    async def entries_csv(
        self,
        account_id: str,
        *,
        newest_first: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
        kinds: Sequence[str] = (),
    ) -> AsyncGenerator[str, None]:
        """The account's journal as lines of CSV, the header first, however long it is."""
        query = _query(newest_first=newest_first, since=since, until=until, kinds=kinds)
        async for line in self._lines(_entries_of(account_id), query):
            yield line

    async def explain(
        self, account_id: str, *, at: datetime | None = None, limit: int = 50, cursor: str | None = None
    ) -> Explanation:
        """The account's balance at an instant (None: now), and the entries that make it."""
        path = f"/v1/accounts/{in_path(account_id)}/explain"
        asked = None if at is None else at.isoformat()
        return await self._get(Explanation, path, at=asked, limit=limit, cursor=cursor)


def _entries_of(account_id: str) -> str:
    return f"/v1/accounts/{in_path(account_id)}/entries"


def _query(
    *, newest_first: bool, since: datetime | None, until: datetime | None, kinds: Sequence[str]
) -> dict[str, Any]:
    return {
        "order": "newest" if newest_first else "oldest",
        "from": None if since is None else since.isoformat(),
        "to": None if until is None else until.isoformat(),
        "kind": list(kinds) or None,
    }
