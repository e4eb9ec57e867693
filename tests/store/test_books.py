"""The check of the books sees each thing that can be wrong with them. Whoever plants it turns the references off."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.consuming import ConsumeOrder
from ledger.revoking import revoke_grant
from messages.grants import GrantType
from tests.conftest import Database
from tests.store.books import wrong_books
from tests.store.reversing import buy, reverse
from tests.store.support import grant, open_user, owe, session
from tests.store.test_consuming import consume

_ENTRY = """
INSERT INTO journal (account_id, seq, kind, operation_id, grant_id, credits, balance_after, actor, request_id,
    price_cents, price_credits, currency, effective_at)
SELECT {account}, seq, 'consumed', {operation}, {grant}, -1, balance_after - 1, '', '', 1, 1, 'usd', now()
FROM journal WHERE kind = 'revoked'
"""


def _entry(*, account: str = "account_id", operation: str = "operation_id", grant: str = "grant_id") -> str:
    return _ENTRY.format(account=account, operation=operation, grant=grant)


_HOLD = """
INSERT INTO holds (account_id, operation_id, credits, state, made_by, held_until, created_at)
SELECT account_id, 'h', 1, 'open', 'admin', now(), now() FROM grants WHERE operation_id = 'g'
"""

PLANTED = {
    "the entries of grant": "UPDATE grants SET balance = balance - 1 WHERE live AND type = 'purchase'",
    "the account says": "UPDATE accounts SET balance = balance + 1 WHERE debt = 0",
    "the journal sums to": "UPDATE accounts SET debt = debt - 1 WHERE debt > 0",
    "the debt entries sum to": "UPDATE accounts SET debt = debt + 1 WHERE debt > 0",
    "leaves": "INSERT INTO journal (account_id, seq, kind, operation_id, grant_id, credits, balance_after, actor, "
    "request_id, price_cents, price_credits, currency, effective_at) SELECT account_id, seq, kind, operation_id, "
    "grant_id, credits, balance_after, actor, request_id, price_cents, price_credits, currency, effective_at "
    "FROM journal LIMIT 1",
    "a grant expires at": "UPDATE accounts SET next_expiry = now() + interval '1 year'",
    "a hold lapses at": _HOLD,
    "the account says that": "UPDATE accounts SET held = 1 WHERE balance > 0",
    "is held, by its open holds": "UPDATE grants SET held = 1 WHERE live",
    "the parts of hold h sum to 0": _HOLD,
    "hold h is of no operation": _HOLD,
    "a part of hold h is of no grant": "INSERT INTO hold_parts SELECT account_id, 'h', grant_id, 1 FROM grants LIMIT 1",
    "its latest entries are of change": "UPDATE accounts SET seq = 1",
    "the one before it of": _entry().replace("seq, 'consumed'", "seq - 1, 'consumed'"),
    "is of no account": _entry(account="gen_random_uuid()"),
    "is of no operation": _entry(operation="'unclaimed'"),
    "is of no grant of the account": _entry(grant="gen_random_uuid()"),
    "is of no operation, or of no account": "UPDATE operations SET kind = 'consume' WHERE kind = 'grant'",
    "has reversed": "UPDATE payment_reversals SET reversed_credits = reversed_credits + 1",
    "is covered by a revocation": "UPDATE payment_reversals SET covered_credits = covered_credits + 1, "
    "reversed_credits = reversed_credits + 1",
    "of a payment that was never reversed": "DELETE FROM payment_reversals",
    "is open and no payment names it": "UPDATE payment_reversals SET frozen_hold = NULL",
    "freeze h is open and no payment": "UPDATE payment_reversals SET frozen_hold = 'h'",
    "operation g is of no account": "UPDATE operations SET account_id = gen_random_uuid() WHERE operation_id = 'g'",
}


async def fill_books(database: Database, engine: AsyncEngine) -> None:
    """Two accounts with entries of most kinds."""
    account_id, owing = await open_user(engine, free_credits=30), await open_user(engine)
    await grant(engine, account_id, "g", 100, GrantType.PURCHASE)
    await grant(engine, account_id, "taken-back", 10)
    await consume(engine, ConsumeOrder(account_id, "op", 35))
    await grant(engine, account_id, "expiring", 5, GrantType.REFERRAL)
    await revoke_grant(engine, "taken-back", reason="", actor="", request_id="")
    await owe(database, owing, 5)
    await buy(engine, account_id, 50, name="disputed")
    await reverse(engine, 200, 200)


@pytest.mark.parametrize("words", PLANTED)
async def test_a_wrong_book_is_seen(database: Database, engine: AsyncEngine, words: str) -> None:
    await fill_books(database, engine)
    async with session(database.superuser_url) as superuser:
        assert await wrong_books(superuser) == []
        await superuser.execute("SET session_replication_role = replica")
        await superuser.execute(PLANTED[words])
        wrong = await wrong_books(superuser)
        assert any(words in each for _, each in wrong), wrong
        others = await open_user(engine)
        assert await wrong_books(superuser, [others]) == []
        told = {account for account, _ in wrong}
        assert sorted(await wrong_books(superuser, sorted(told))) == sorted(wrong)
