"""Verifies the books: adds up every balance anew from the journal, and compares it with the rows that are spent from.

It goes through the accounts in pages, in the order of their ids, each in one read-only snapshot. Money is written
with its entries in one transaction, so that each account is right or wrong by itself at any instant.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.rules.identity import Totals
from ledger.store import books, checks
from ledger.store.books import AccountBooks, EntrySum, GrantBooks
from ledger.transaction import with_snapshot
from ledger.verifying_mismatches import Mismatch
from ledger.verifying_reversals import wrong_reversals

__all__ = ["FIRST", "Mismatch", "Totals", "VerifiedPage", "verify_page"]

FIRST, _LAST = UUID(int=0), UUID(int=2**128 - 1)


@dataclass
class VerifiedPage:
    """What was verified: how many accounts and entries, their sums by currency, and what does not add up.

    ``next_after`` is the id behind which the next page begins; None after the last one.
    """

    accounts: int
    entries: int
    totals: dict[str, Totals]
    mismatches: list[Mismatch]
    next_after: UUID | None


async def verify_page(engine: AsyncEngine, *, after: UUID = FIRST, limit: int) -> VerifiedPage:
    """Verifies at most ``limit`` accounts behind the id ``after``; fewer, where they have many entries."""

    async def work(tx: AsyncConnection) -> VerifiedPage:
        accounts, more = await books.next_accounts(tx, after, limit=limit)
        last = accounts[-1].account_id if more else _LAST
        found = await _read(tx, accounts)
        found.mismatches += [
            Mismatch(account_id, "unknown-account")
            for account_id in await checks.accounts_with_entries_alone(tx, after, last)
        ]
        return VerifiedPage(
            accounts=len(accounts),
            entries=found.entries,
            totals=dict(found.totals),
            mismatches=found.mismatches,
            next_after=last if more else None,
        )

    return await with_snapshot(engine, work, what="verify")


@dataclass
class _Found:
    entries: int = 0
    totals: defaultdict[str, Totals] = field(default_factory=lambda: defaultdict(Totals))
    mismatches: list[Mismatch] = field(default_factory=list)


async def _read(tx: AsyncConnection, accounts: Sequence[AccountBooks]) -> _Found:
    found = _Found()
    if not accounts:
        return found
    ids = [account.account_id for account in accounts]
    grants = {grant.grant_id: grant for grant in await books.read_grants(tx, ids)}
    sums = await books.sum_all_entries(tx, accounts)
    parts = await checks.open_parts(tx, ids)
    found.mismatches += _wrong_grants(grants, sums)
    found.mismatches += _wrong_accounts(accounts, grants, sums)
    found.mismatches += _wrong_bounds(accounts, grants, parts)
    found.mismatches += _wrong_holds(accounts, grants, parts)
    found.mismatches += await _wrong_entries(tx, accounts)
    found.mismatches += await _of_nothing(tx, ids)
    found.mismatches += await wrong_reversals(tx, ids, sums)
    found.entries = sum(each.entries for each in sums)
    _add_up(found.totals, accounts, grants, sums)
    return found


def _wrong_grants(grants: dict[UUID, GrantBooks], sums: Sequence[EntrySum]) -> Iterator[Mismatch]:
    left, issued, given_back = Counter[UUID](), Counter[UUID](), Counter[UUID]()
    for each in sums:
        if each.grant_id is None:
            continue
        grant = grants.get(each.grant_id)
        if grant is None or grant.account_id != each.account_id:
            yield Mismatch(each.account_id, "unknown-grant", found=each.credits, grant_id=each.grant_id)
            continue
        left[each.grant_id] += each.credits
        issued[each.grant_id] += each.credits if each.kind == "granted" else 0
        # What a reversal gave back beyond its grant came in as a grant of its own, and was issued before.
        given_back[each.grant_id] += each.credits if each.kind == "reinstated" else 0
        price = grant.price
        if each.price != (price.cents, price.credits, price.currency):
            yield Mismatch(each.account_id, "price", grant_id=each.grant_id, subject=each.kind)
    for grant in grants.values():
        for check, expected, row in (
            ("grant-balance", left[grant.grant_id], grant.balance),
            ("grant-principal", issued[grant.grant_id] or given_back[grant.grant_id], grant.principal),
        ):
            if expected != row:
                yield Mismatch(grant.account_id, check, expected, row, grant.grant_id, grant.operation_id)


def _wrong_accounts(
    accounts: Sequence[AccountBooks], grants: dict[UUID, GrantBooks], sums: Sequence[EntrySum]
) -> Iterator[Mismatch]:
    balances, held, debts, usage, latest = (Counter[UUID]() for _ in range(5))
    for grant in grants.values():
        balances[grant.account_id] += grant.balance
        held[grant.account_id] += grant.held
    for each in sums:
        debts[each.account_id] -= each.credits if each.grant_id is None else 0
        usage[each.account_id] += each.spent_since
        latest[each.account_id] = max(latest[each.account_id], each.last_seq)
    for account in accounts:
        name = account.account_id
        for check, expected, row in (
            ("account-balance", balances[name], account.balance),
            ("account-held", held[name], account.held),
            ("debt", debts[name], account.debt),
            ("usage", usage[name], account.usage),
        ):
            if expected != row:
                yield Mismatch(name, check, expected, row)
        if latest[name] > account.seq:
            yield Mismatch(name, "seq", latest[name], account.seq)


def _wrong_bounds(
    accounts: Sequence[AccountBooks], grants: dict[UUID, GrantBooks], parts: Sequence[checks.OpenPart]
) -> Iterator[Mismatch]:
    """Accounts that would not look in time at what time changes."""
    now = accounts[0].now
    ends: defaultdict[UUID, list[datetime]] = defaultdict(list)
    for grant in grants.values():
        if grant.expires_at is not None and grant.balance and (grant.balance > grant.held or grant.expires_at > now):
            ends[grant.account_id].append(grant.expires_at)
    for part in parts:
        if part.held_until is not None:
            ends[part.account_id].append(part.held_until)
    for account in accounts:
        first = min(ends[account.account_id], default=None)
        if first is not None and (account.next_expiry is None or account.next_expiry > first):
            yield Mismatch(account.account_id, "next-expiry")


def _wrong_holds(
    accounts: Sequence[AccountBooks], grants: dict[UUID, GrantBooks], parts: Sequence[checks.OpenPart]
) -> Iterator[Mismatch]:
    by_grant, by_account = Counter[UUID | None](), Counter[UUID]()
    asked = {(each.account_id, each.operation_id): each.credits for each in parts}
    for each in parts:
        by_grant[each.grant_id] += each.part
    for (account_id, _), credits in asked.items():
        by_account[account_id] += credits
    for grant in grants.values():
        if by_grant[grant.grant_id] != grant.held:
            yield Mismatch(
                grant.account_id,
                "grant-held",
                by_grant[grant.grant_id],
                grant.held,
                grant.grant_id,
                grant.operation_id,
            )
    for account in accounts:
        if by_account[account.account_id] != account.held:
            yield Mismatch(account.account_id, "open-holds", by_account[account.account_id], account.held)


async def _wrong_entries(tx: AsyncConnection, accounts: Sequence[AccountBooks]) -> list[Mismatch]:
    wrong: list[Mismatch] = []
    async for ids, span in books.short_spans(tx, accounts):
        for step in await checks.entries_out_of_step(tx, ids, span=span):
            name = str(step.entry_id)
            if step.balance_after != step.should_be:
                wrong.append(
                    Mismatch(step.account_id, "running-balance", step.should_be, step.balance_after, subject=name)
                )
            if step.seq < step.seq_before:
                wrong.append(Mismatch(step.account_id, "order", step.seq_before, step.seq, subject=name))
        for account_id, _, operation_id in await checks.entries_of_no_operation(tx, ids, span=span):
            wrong.append(Mismatch(account_id, "unknown-operation", subject=operation_id))
    return wrong


async def _of_nothing(tx: AsyncConnection, ids: Sequence[UUID]) -> list[Mismatch]:
    """Grants, holds and parts that name something that is not there, and holds that are not the sum of their parts."""
    wrong = [
        Mismatch(account_id, "unknown-operation", grant_id=grant_id, subject=operation_id)
        for account_id, grant_id, operation_id in await checks.grants_of_no_operation(tx, ids)
    ]
    for hold in await checks.broken_holds(tx, ids):
        name = hold.operation_id
        if hold.parts != hold.credits:
            wrong.append(Mismatch(hold.account_id, "hold-parts", hold.parts, hold.credits, subject=name))
        if not hold.claimed:
            wrong.append(Mismatch(hold.account_id, "unknown-operation", subject=name))
    wrong += [
        Mismatch(account_id, "unknown-hold", grant_id=grant_id, subject=operation_id)
        for account_id, grant_id, operation_id in await checks.parts_of_nothing(tx, ids)
    ]
    return wrong


def _add_up(
    totals: defaultdict[str, Totals],
    accounts: Sequence[AccountBooks],
    grants: dict[UUID, GrantBooks],
    sums: Sequence[EntrySum],
) -> None:
    """Sums by currency: a grant's is that of its price, a debt's that of its account."""
    currency_of = {account.account_id: account.currency for account in accounts}
    now = accounts[0].now
    for each in sums:
        if each.grant_id is None:
            totals[currency_of[each.account_id]].debts[each.kind] += each.credits
        else:
            currency = each.price[2] if each.price is not None else currency_of[each.account_id]
            totals[currency].grants[each.kind] += each.credits
    for grant in grants.values():
        total = totals[grant.price.currency]
        total.live += grant.balance
        total.held += grant.held
        if grant.expires_at is not None and grant.expires_at <= now:
            total.due += grant.balance - grant.held
    for account in accounts:
        totals[account.currency].debt += account.debt
