"""What the rows must add up to, rebuilt from the journal: I1, I2, and that nothing points into the void."""

from collections.abc import Sequence

import asyncpg

from tests.conftest import Database

# Each gives an account, and in words what is wrong with it. {mine} bounds it to the accounts that are asked for.
_CHECKS = (
    """
    SELECT g.account_id, 'the entries of grant ' || grant_id || ' sum to ' || coalesce(sum(j.credits), 0)
        || ', it has ' || g.balance
    FROM grants g LEFT JOIN journal j USING (account_id, grant_id) WHERE {mine:g}
    GROUP BY g.account_id, grant_id, g.balance HAVING coalesce(sum(j.credits), 0) <> g.balance
    """,
    """
    SELECT a.account_id, 'the account says ' || a.balance || ', its grants have ' || coalesce(sum(g.balance), 0)
    FROM accounts a LEFT JOIN grants g USING (account_id) WHERE {mine:a}
    GROUP BY a.account_id, a.balance HAVING coalesce(sum(g.balance), 0) <> a.balance
    """,
    """
    SELECT a.account_id, 'the journal sums to ' || coalesce(sum(j.credits), 0) || ', the net is ' || a.balance - a.debt
    FROM accounts a LEFT JOIN journal j USING (account_id) WHERE {mine:a}
    GROUP BY a.account_id, a.balance, a.debt HAVING coalesce(sum(j.credits), 0) <> a.balance - a.debt
    """,
    """
    SELECT a.account_id, 'the debt entries sum to ' || coalesce(sum(j.credits), 0) || ', the debt is ' || a.debt
    FROM accounts a LEFT JOIN journal j ON j.account_id = a.account_id AND j.grant_id IS NULL WHERE {mine:a}
    GROUP BY a.account_id, a.debt HAVING coalesce(sum(j.credits), 0) <> -a.debt
    """,
    """
    SELECT account_id, 'entry ' || entry_id || ' leaves ' || balance_after || ', not ' || running
    FROM (
        SELECT account_id, entry_id, balance_after,
            sum(credits) OVER (PARTITION BY account_id ORDER BY entry_id) AS running
        FROM journal j WHERE {mine:j}
    ) AS in_order WHERE balance_after <> running
    """,
    """
    SELECT a.account_id, 'a grant expires at ' || min(g.expires_at) || ', before '
        || coalesce(a.next_expiry::text, 'never')
    FROM accounts a JOIN grants g USING (account_id)
    WHERE g.live AND g.expires_at IS NOT NULL AND (g.balance > g.held OR g.expires_at > ledger_now()) AND {mine:a}
    GROUP BY a.account_id, a.next_expiry HAVING a.next_expiry IS NULL OR min(g.expires_at) < a.next_expiry
    """,
    """
    SELECT a.account_id, 'a hold lapses at ' || min(h.held_until) || ', before '
        || coalesce(a.next_expiry::text, 'never')
    FROM accounts a JOIN holds h USING (account_id)
    WHERE h.state = 'open' AND h.held_until IS NOT NULL AND {mine:a}
    GROUP BY a.account_id, a.next_expiry HAVING a.next_expiry IS NULL OR min(h.held_until) < a.next_expiry
    """,
    """
    SELECT a.account_id, 'the account says that ' || a.held || ' is held, its open holds '
        || coalesce(sum(h.credits), 0)
    FROM accounts a LEFT JOIN holds h ON h.account_id = a.account_id AND h.state = 'open' WHERE {mine:a}
    GROUP BY a.account_id, a.held HAVING coalesce(sum(h.credits), 0) <> a.held
    """,
    """
    SELECT g.account_id, 'of grant ' || grant_id || ' ' || g.held || ' is held, by its open holds '
        || coalesce(sum(kept.credits), 0)
    FROM grants g LEFT JOIN (
        SELECT account_id, grant_id, p.credits FROM hold_parts p JOIN holds h USING (account_id, operation_id)
        WHERE h.state = 'open'
    ) AS kept USING (account_id, grant_id) WHERE {mine:g}
    GROUP BY g.account_id, grant_id, g.held HAVING coalesce(sum(kept.credits), 0) <> g.held
    """,
    """
    SELECT h.account_id, 'the parts of hold ' || operation_id || ' sum to ' || coalesce(sum(p.credits), 0)
    FROM holds h LEFT JOIN hold_parts p USING (account_id, operation_id) WHERE {mine:h}
    GROUP BY h.account_id, operation_id, h.credits HAVING coalesce(sum(p.credits), 0) <> h.credits
    """,
    """
    SELECT p.account_id, 'a part of hold ' || p.operation_id || ' is of no grant or no hold of the account'
    FROM hold_parts p LEFT JOIN grants g ON g.account_id = p.account_id AND g.grant_id = p.grant_id
        LEFT JOIN holds h ON h.account_id = p.account_id AND h.operation_id = p.operation_id
    WHERE (g.grant_id IS NULL OR h.credits IS NULL) AND {mine:p}
    """,
    """
    SELECT h.account_id, 'hold ' || h.operation_id || ' is of no operation'
    FROM holds h LEFT JOIN operations o USING (account_id, operation_id)
    WHERE o.kind IS DISTINCT FROM 'hold' AND {mine:h}
    """,
    """
    SELECT a.account_id, 'its latest entries are of change ' || max(j.seq) || ', it is at ' || a.seq
    FROM accounts a JOIN journal j USING (account_id) WHERE {mine:a}
    GROUP BY a.account_id, a.seq HAVING max(j.seq) > a.seq
    """,
    """
    SELECT account_id, 'entry ' || entry_id || ' is of change ' || seq || ', the one before it of ' || before
    FROM (
        SELECT account_id, entry_id, seq, lag(seq) OVER (PARTITION BY account_id ORDER BY entry_id) AS before
        FROM journal j WHERE {mine:j}
    ) AS in_order WHERE seq < before
    """,
    """
    SELECT j.account_id, 'entry ' || j.entry_id || ' is of no account'
    FROM journal j LEFT JOIN accounts a USING (account_id) WHERE a.account_id IS NULL AND {mine:j}
    """,
    """
    SELECT j.account_id, 'entry ' || j.entry_id || ' is of no operation'
    FROM journal j LEFT JOIN operations o USING (account_id, operation_id) WHERE o.account_id IS NULL AND {mine:j}
    """,
    """
    SELECT j.account_id, 'entry ' || j.entry_id || ' is of no grant of the account'
    FROM journal j LEFT JOIN grants g USING (account_id, grant_id)
    WHERE j.grant_id IS NOT NULL AND g.grant_id IS NULL AND {mine:j}
    """,
    """
    SELECT g.account_id, 'grant ' || g.grant_id || ' is of no operation, or of no account'
    FROM grants g LEFT JOIN operations o USING (account_id, operation_id) LEFT JOIN accounts a USING (account_id)
    WHERE (o.kind IS DISTINCT FROM 'grant' OR a.account_id IS NULL) AND {mine:g}
    """,
    """
    SELECT r.account_id, 'payment ' || r.payment_id || ' has reversed ' || r.reversed_credits - r.covered_credits
        || ', its entries sum to ' || coalesce(sum(j.credits), 0)
    FROM payment_reversals r LEFT JOIN journal j ON j.account_id = r.account_id AND j.payment_id = r.payment_id
        AND j.kind IN ('reversed', 'reinstated') WHERE {mine:r}
    GROUP BY r.payment_id HAVING coalesce(sum(j.credits), 0) <> r.covered_credits - r.reversed_credits
    """,
    """
    SELECT r.account_id, 'of payment ' || r.payment_id || ' ' || r.covered_credits
        || ' is covered by a revocation that took ' || -coalesce(sum(j.credits), 0)
    FROM payment_reversals r LEFT JOIN journal j ON j.account_id = r.account_id AND j.grant_id = r.grant_id
        AND j.kind = 'revoked' WHERE {mine:r}
    GROUP BY r.payment_id HAVING -coalesce(sum(j.credits), 0) < r.covered_credits
    """,
    """
    SELECT j.account_id, 'entry ' || j.entry_id || ' is of a payment that was never reversed'
    FROM journal j LEFT JOIN payment_reversals r USING (account_id, payment_id)
    WHERE j.kind IN ('reversed', 'reinstated') AND r.payment_id IS NULL AND {mine:j}
    """,
    """
    SELECT account_id, 'freeze ' || name || ' is open and no payment names it, or the other way round'
    FROM (
        SELECT coalesce(r.account_id, h.account_id) AS account_id, coalesce(r.frozen_hold, h.operation_id) AS name,
            r.frozen_hold IS NOT NULL AND h.operation_id IS NOT NULL AS matched
        FROM payment_reversals r FULL JOIN (
            SELECT account_id, operation_id FROM holds WHERE state = 'open' AND made_by = 'system'
        ) AS h ON h.account_id = r.account_id AND h.operation_id = r.frozen_hold
    ) AS f WHERE name IS NOT NULL AND NOT matched AND {mine:f}
    """,
    """
    SELECT o.account_id, 'operation ' || o.operation_id || ' is of no account'
    FROM operations o LEFT JOIN accounts a USING (account_id) WHERE a.account_id IS NULL AND {mine:o}
    """,
)


class _Mine:
    """In ``{mine:j}``: the rows of the table ``j`` that belong to the accounts that are asked for."""

    def __format__(self, table: str) -> str:
        return f"($1::uuid[] IS NULL OR {table}.account_id = ANY ($1))"


_BOOKS = " UNION ALL ".join(check.format(mine=_Mine()) for check in _CHECKS)


async def wrong_books(reader: asyncpg.Connection, accounts: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """What does not add up: account and words. In the accounts with these ids, or in the whole database."""
    return [(str(row[0]), str(row[1])) for row in await reader.fetch(_BOOKS, accounts)]


async def assert_books_balance(database: Database) -> None:
    """Everything adds up, for every grant and every account of the database."""
    owner = await asyncpg.connect(database.owner_url)
    try:
        assert await wrong_books(owner) == []
    finally:
        await owner.close(timeout=5)
