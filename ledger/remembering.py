"""What a process remembers of the accounts that it has just written, so that it need not read them again.

It is never trusted: the writer changes an account only if its ``seq`` is the one that was remembered and time has not
changed it since (``next_expiry``). And it refuses nobody: who asks for more than is remembered is judged by what is
read. So it may be out of date, or lost.
"""

import time
from collections.abc import Iterable, Mapping

from ledger.rules.burning import SpendableGrant
from ledger.running import Book
from ledger.store.consumptions import Spender

ACCOUNTS_MAX = 10_000
# Where another process spends too, what is remembered is mostly out of date.
SHARED_NS = 10**9


class Memory:
    """Accounts as this process has left them, those of longest ago forgotten first."""

    def __init__(self, accounts_max: int = ACCOUNTS_MAX) -> None:
        self._accounts_max = accounts_max
        # In the order in which they were written.
        self._spenders: dict[str, Spender] = {}
        self._shared_until: dict[str, int] = {}

    def take(self, demands: Mapping[str, int]) -> dict[str, Spender]:
        """Those of the accounts that are remembered and can pay what they can be demanded, in credits.

        They are no longer remembered: what becomes of them is not known until it is written.
        """
        taken: dict[str, Spender] = {}
        for account_id, demand in demands.items():
            spender = self._spenders.pop(account_id, None)
            if spender is not None and _reaches(spender.grants, demand):
                taken[account_id] = spender
        return taken

    def keep(self, books: Mapping[str, Book]) -> None:
        """Remembers what has been written: accounts from which nothing but consumption has taken."""
        now = time.monotonic_ns()
        for account_id, book in books.items():
            if not book.changed or book.holdings is not None or book.events:
                continue
            if self._shared_until.get(account_id, 0) > now:
                continue
            self._shared_until.pop(account_id, None)
            self._spenders[account_id] = book.left()
        while len(self._spenders) > self._accounts_max:
            del self._spenders[next(iter(self._spenders))]

    def mistrust(self, account_ids: Iterable[str]) -> None:
        """Remembers nothing of these accounts for a while: somebody else changes one of them as well."""
        now = time.monotonic_ns()
        if len(self._shared_until) > self._accounts_max:
            self._shared_until = {each: until for each, until in self._shared_until.items() if until > now}
        for account_id in account_ids:
            self._shared_until[account_id] = now + SHARED_NS


def _reaches(grants: Iterable[SpendableGrant], demand: int) -> bool:
    for grant in grants:
        demand -= grant.balance - grant.held
        if demand <= 0:
            return True
    return False
