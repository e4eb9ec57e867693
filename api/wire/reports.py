"""Reports on all accounts on the wire: the verification of the books, and deferred revenue."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from api.csv_answers import Cell
from api.wire.base import Answer
from ledger.deferring import CostBasis, Deferred
from ledger.verifying import Mismatch, Totals, VerifiedPage

MISMATCHES_SHOWN = 200


class TotalsAnswer(Answer):
    """Sums of one currency, in credits: ``issued`` = ``spent`` + ``expired`` + ``revoked`` + ``reversed`` + ``live`` -
    ``debt``.

    ``spent`` is what was consumed from grants or incurred as debt, ``reversed`` what went back with its payment, less
    what was given back. Of ``live``, holds keep ``held``, and ``due`` has
    expired and is not booked. ``grantsByKind`` and ``debtByKind`` are signed sums of the journal's entries; the first
    sum to ``live``, the second to ``-debt``.
    """

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
    grants_by_kind: dict[str, int]
    debt_by_kind: dict[str, int]
    adds_up: bool

    @classmethod
    def of(cls, currency: str, totals: Totals) -> "TotalsAnswer":
        """The sums on the wire."""
        return cls(
            currency=currency,
            issued=totals.issued,
            spent=totals.spent,
            expired=totals.expired,
            revoked=totals.revoked,
            reversed=totals.reversed,
            live=totals.live,
            held=totals.held,
            due=totals.due,
            debt=totals.debt,
            debt_paid=totals.debt_paid,
            grants_by_kind=dict(totals.grants),
            debt_by_kind=dict(totals.debts),
            adds_up=totals.adds_up,
        )


class MismatchAnswer(Answer):
    """Something that does not add up. ``check`` names it; ``expected`` is what the journal says or what follows from
    the rest, ``found`` what the row says. ``subject`` is an operation, an entry, a hold or a kind."""

    account_id: str
    check: str
    expected: int | None
    found: int | None
    grant_id: str | None
    subject: str | None

    @classmethod
    def of(cls, mismatch: Mismatch) -> "MismatchAnswer":
        """The mismatch on the wire."""
        return cls(
            account_id=str(mismatch.account_id),
            check=mismatch.check,
            expected=mismatch.expected,
            found=mismatch.found,
            grant_id=None if mismatch.grant_id is None else str(mismatch.grant_id),
            subject=mismatch.subject,
        )


class VerificationAnswer(Answer):
    """The books of some accounts, verified; ``nextCursor`` asks for the next ones and is null after the last.

    ``addsUp``: nothing on this page is wrong. ``mismatches`` are at most 200; ``mismatchesLeftOut`` counts the rest.
    """

    accounts: int
    entries: int
    adds_up: bool
    totals: list[TotalsAnswer]
    mismatches: list[MismatchAnswer]
    mismatches_left_out: int
    next_cursor: str | None

    @classmethod
    def of(cls, page: VerifiedPage, *, next_cursor: str | None) -> "VerificationAnswer":
        """The page on the wire."""
        totals = [TotalsAnswer.of(currency, page.totals[currency]) for currency in sorted(page.totals)]
        return cls(
            accounts=page.accounts,
            entries=page.entries,
            adds_up=not page.mismatches and all(each.adds_up for each in totals),
            totals=totals,
            mismatches=[MismatchAnswer.of(each) for each in page.mismatches[:MISMATCHES_SHOWN]],
            mismatches_left_out=max(0, len(page.mismatches) - MISMATCHES_SHOWN),
            next_cursor=next_cursor,
        )


class DeferredLine(Answer):
    """Grants of one currency and type, made in one month at one price: how many have something left, how many credits,
    and what these cost in minor units, rounded up for each grant."""

    currency: str
    type: str
    month: str
    price_cents: int
    price_credits: int
    grants: int
    credits: int
    cents: int


class DeferredRevenueAnswer(Answer):
    """A part of the report as of ``at``, for some accounts. The same line may come again on the next page: add up."""

    at: datetime
    data: list[DeferredLine]
    next_cursor: str | None


DEFERRED_HEADER = ("currency", "type", "month", "priceCents", "priceCredits", "grants", "credits", "cents")


def deferred_lines(report: Iterable[tuple[CostBasis, Deferred]]) -> list[DeferredLine]:
    """The lines on the wire, in their order."""
    return [
        DeferredLine(
            currency=basis.currency,
            type=basis.type,
            month=basis.month,
            price_cents=basis.price_cents,
            price_credits=basis.price_credits,
            grants=deferred.grants,
            credits=deferred.credits,
            cents=deferred.cents,
        )
        for basis, deferred in sorted(report, key=lambda line: line[0])
    ]


def deferred_row(line: DeferredLine) -> tuple[Cell, ...]:
    """The line in the order of DEFERRED_HEADER."""
    return (
        *(line.currency, line.type, line.month, line.price_cents, line.price_credits),
        *(line.grants, line.credits, line.cents),
    )


def account_key(account_id: str) -> UUID:
    """The account in a cursor; raises ValueError or AttributeError for what is none."""
    return UUID(account_id)


def deferred_key(at: str, account_id: str) -> tuple[datetime, UUID]:
    """The instant and the account in a cursor; raises ValueError, TypeError or AttributeError for what is none."""
    instant = datetime.fromisoformat(at)
    if instant.tzinfo is None:
        raise ValueError("an instant without its offset")
    return instant, UUID(account_id)
