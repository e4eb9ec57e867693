"""The client's reports on all accounts: the books verified, and deferred revenue. They need the admin token."""

from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from client.answers import Answer
from client.sending import Sender

ACCOUNTS_AT_ONCE = 200

# A page of many accounts takes a second; one account with tens of millions of entries is a page, and takes minutes.
PATIENCE_SECONDS = 600.0


class Totals(Answer):
    """Sums of one currency, in credits: ``issued`` = ``spent`` + ``expired`` + ``revoked`` + ``reversed`` + ``live`` -
    ``debt``."""

    currency: str
    issued: int
    spent: int
    expired: int
    revoked: int
    reversed: int
    live: int
    held: int
    due: int
    debt: int
    debt_paid: int


class Mismatch(Answer):
    """Something that does not add up: ``expected`` by the journal or by the rest, ``found`` in the row."""

    account_id: str
    check: str
    expected: int | None
    found: int | None
    grant_id: str | None
    subject: str | None


class VerificationPage(Answer):
    """The books of some accounts, verified."""

    accounts: int
    entries: int
    adds_up: bool
    totals: list[Totals]
    mismatches: list[Mismatch]
    mismatches_left_out: int
    next_cursor: str | None


@dataclass
class Verification:
    """Pages added up; ``totals`` by currency, and in all under ``""``."""

    accounts: int = 0
    entries: int = 0
    adds_up: bool = True
    totals: dict[str, Counter[str]] = field(default_factory=lambda: {"": Counter()})
    mismatches: list[Mismatch] = field(default_factory=list)
    mismatches_left_out: int = 0

    def take_in(self, page: VerificationPage) -> None:
        """Adds a page."""
        self.accounts += page.accounts
        self.entries += page.entries
        self.adds_up = self.adds_up and page.adds_up
        self.mismatches += page.mismatches
        self.mismatches_left_out += page.mismatches_left_out
        for each in page.totals:
            sums = each.model_dump(by_alias=True, exclude={"currency"})
            for name in (each.currency, ""):
                self.totals.setdefault(name, Counter()).update(sums)

    def to_wire(self) -> dict[str, Any]:
        """The whole, for programs that read JSON."""
        currencies = [{"currency": name, **sums} for name, sums in sorted(self.totals.items()) if name]
        return {
            "addsUp": self.adds_up,
            "accounts": self.accounts,
            "entries": self.entries,
            "inAll": dict(self.totals[""]),
            "totals": currencies,
            "mismatches": [each.to_wire() for each in self.mismatches],
            "mismatchesLeftOut": self.mismatches_left_out,
        }


class DeferredLine(Answer):
    """Grants of one currency and type, made in one month at one price: how many have something left, how many credits,
    and what these cost in minor units."""

    currency: str
    type: str
    month: str
    price_cents: int
    price_credits: int
    grants: int
    credits: int
    cents: int


class DeferredPage(Answer):
    """A part of the report as of ``at``, for some accounts."""

    at: datetime
    data: list[DeferredLine]
    next_cursor: str | None


class ReportCalls(Sender):
    """What operators can ask of all accounts together."""

    async def verification_page(self, *, limit: int = ACCOUNTS_AT_ONCE, cursor: str | None = None) -> VerificationPage:
        """The books of a page of accounts, added up anew and compared."""
        return await self._get(VerificationPage, "/v1/verification", limit=limit, cursor=cursor)

    async def verification_pages(self, *, limit: int = ACCOUNTS_AT_ONCE) -> AsyncGenerator[VerificationPage, None]:
        """The books of all accounts, page by page; a :class:`Verification` adds them up."""
        cursor = None
        while True:
            page = await self.verification_page(limit=limit, cursor=cursor)
            yield page
            cursor = page.next_cursor
            if cursor is None:
                return

    async def deferred_revenue_page(
        self, *, at: datetime | None = None, limit: int = ACCOUNTS_AT_ONCE, cursor: str | None = None
    ) -> DeferredPage:
        """The deferred revenue of a page of accounts. A ``cursor`` keeps the instant of its first page."""
        asked = None if at is None else at.isoformat()
        return await self._get(DeferredPage, "/v1/reports/deferred-revenue", at=asked, limit=limit, cursor=cursor)

    async def deferred_revenue_pages(
        self, *, at: datetime | None = None, limit: int = ACCOUNTS_AT_ONCE
    ) -> AsyncGenerator[DeferredPage, None]:
        """The deferred revenue of all accounts, page by page, all as of one instant; :func:`add_up` adds them up."""
        page = await self.deferred_revenue_page(at=at, limit=limit)
        while True:
            yield page
            if page.next_cursor is None:
                return
            page = await self.deferred_revenue_page(limit=limit, cursor=page.next_cursor)


def add_up(lines: Iterable[DeferredLine]) -> list[DeferredLine]:
    """Lines of several pages, those of one currency, type, month and price together, in that order."""
    whole: dict[tuple[str, str, str, int, int], Counter[str]] = {}
    for line in lines:
        basis = line.currency, line.type, line.month, line.price_cents, line.price_credits
        whole.setdefault(basis, Counter()).update(grants=line.grants, credits=line.credits, cents=line.cents)
    return [
        DeferredLine(
            currency=currency,
            type=grant_type,
            month=month,
            priceCents=cents,
            priceCredits=credits,
            grants=sums["grants"],
            credits=sums["credits"],
            cents=sums["cents"],
        )
        for (currency, grant_type, month, cents, credits), sums in sorted(whole.items())
    ]
