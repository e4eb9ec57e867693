"""Verifies what is booked of reversals: against the journal, the revocations that cover some of it, and the holds."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store import reversal_checks as checks
from ledger.store.books import EntrySum
from ledger.verifying_mismatches import Mismatch


async def wrong_reversals(tx: AsyncConnection, ids: Sequence[UUID], sums: Sequence[EntrySum]) -> list[Mismatch]:
    """What is wrong in these accounts. ``sums`` are those of all their entries."""
    wrong: list[Mismatch] = []
    booked = {(row.account_id, row.payment_id): row for row in await checks.read_reversals(tx, ids)}
    in_journal = await checks.reversed_by_payment(tx, ids)
    revoked = Counter[UUID | None]()
    for each in sums:
        revoked[each.grant_id] -= each.credits if each.kind == "revoked" else 0
    for account_id, payment_id in booked.keys() | in_journal.keys():
        row = booked.get((account_id, payment_id or ""))
        expected = in_journal.get((account_id, payment_id), 0)
        found = 0 if row is None else row.reversed_credits - row.covered_credits
        if expected != found:
            wrong.append(Mismatch(account_id, "reversed", expected, found, subject=payment_id))
        if row is not None and row.covered_credits > revoked[row.grant_id]:
            wrong.append(
                Mismatch(
                    *(account_id, "reversed-and-revoked", revoked[row.grant_id], row.covered_credits),
                    *(row.grant_id, payment_id),
                )
            )
    named = {(row.account_id, row.frozen_hold) for row in booked.values() if row.frozen_hold is not None}
    freezes = await checks.open_freezes(tx, ids)
    wrong += [Mismatch(account_id, "frozen", subject=hold) for account_id, hold in named ^ freezes]
    return wrong
