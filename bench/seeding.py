"""Accounts, grants and history for the benchmarks, made set-wise by the owner, with books that add up.

Made by the superuser as if it replicated: references are not checked row by row. All statements on the ledger's tables
that the benchmarks need for their seeds stand here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

from bench.accounts import account_tail

# So much that no grant is ever used up: each call burns from the first grant alone, as most calls do.
CREDITS_A_GRANT = 10**12
LIVE_GRANTS = 3

# At most this many rows of history in one statement, so that progress can be shown.
_CHUNK = 250_000

# Account N, and grant K of account N: the first group of a grant's id is K.
_ACCOUNT = "('00000000-0000-7000-8000-' || n)::uuid"
_GRANT = "(lpad(k::text, 8, '0') || '-0000-7000-8000-' || n)::uuid"

# Every statement takes the numbers of the first and the last account, a grant's credits, and how many consumptions of
# the past and how many exhausted grants each account has.
_ACCOUNTS = f"""
INSERT INTO accounts (account_id, kind, balance, usage, next_expiry, debt_cap, seq, cycle_start, next_reset,
    reset_anchor_day, price_cents, price_credits, currency, free_credits, created_at)
SELECT {_ACCOUNT}, 'user', $3::bigint * 3 - $4::bigint, $4::bigint + $5::bigint, ledger_now() + interval '30 days',
    100000, 3 + $5::bigint * 2 + $4::bigint, ledger_now() - interval '1 day', ledger_now() + interval '30 days', 1,
    1, 1, 'usd', 500, ledger_now()
FROM generate_series($1::bigint, $2::bigint) AS n
"""  # noqa: S608 - our own words

# The three live grants, the first of which pays; then the exhausted ones, which are of its type and older, so that they
# would stand before it in the burn order.
_GRANTS = f"""
WITH live (k, type, priority, expires_at) AS (
    VALUES (1, 'free', 20, ledger_now() + interval '30 days'), (2, 'admin', 60, NULL), (3, 'purchase', 80, NULL)
), made AS (
    SELECT n, k, type, priority, expires_at, $3::bigint AS principal,
        $3::bigint - CASE WHEN k = 1 THEN $4::bigint ELSE 0 END AS balance, ledger_now() AS created_at,
        $3::bigint * k AS balance_after
    FROM generate_series($1::bigint, $2::bigint) AS n, live
    UNION ALL
    SELECT n, k, 'free', 20, ledger_now() + interval '30 days', 1, 0, ledger_now() - interval '1 day',
        $3::bigint * 3 + k - 3
    FROM generate_series($1::bigint, $2::bigint) AS n, generate_series(4, $5::bigint + 3) AS k
), claimed AS (
    INSERT INTO operations (account_id, operation_id, kind, request, actor, request_id)
    SELECT {_ACCOUNT}, 'grant-' || n || '-' || k, 'grant', '{{}}', 'seed', '' FROM made
), entered AS (
    INSERT INTO journal (account_id, seq, kind, operation_id, grant_id, credits, balance_after, actor, request_id,
        price_cents, price_credits, currency, effective_at)
    SELECT {_ACCOUNT}, k, 'granted', 'grant-' || n || '-' || k, {_GRANT}, principal, balance_after, 'seed', '',
        1, 1, 'usd', created_at
    FROM made ORDER BY n, k
)
INSERT INTO grants (grant_id, account_id, operation_id, type, priority, principal, balance, expires_at, price_cents,
    price_credits, currency, created_at)
SELECT {_GRANT}, {_ACCOUNT}, 'grant-' || n || '-' || k, type, priority, principal, balance, expires_at, 1, 1, 'usd',
    created_at
FROM made
"""  # noqa: S608 - our own words

# Consumptions of the past: of grant 1, or each of an exhausted grant's only credit.
_SPENT = f"""
WITH past AS (
    SELECT n, i, CASE WHEN $5::bigint > 0 THEN i + 3 ELSE 1 END AS k, $3::bigint * 3 + $5::bigint - i AS remaining
    FROM generate_series($1::bigint, $2::bigint) AS n, generate_series(1, $4::bigint + $5::bigint) AS i
), claimed AS (
    INSERT INTO operations (account_id, operation_id, kind, request, answer, actor, request_id)
    SELECT {_ACCOUNT}, 'spent-' || n || '-' || i, 'consume',
        '{{"credits": 1, "onInsufficient": "refuse", "description": null}}',
        jsonb_build_object('fromPurchased', 0, 'allocations', jsonb_build_array(jsonb_build_array({_GRANT},
            'grant-' || n || '-' || k, 'free', 1)), 'debtIncurred', 0, 'debt', 0, 'remaining', remaining),
        'seed', 'spent-' || n || '-' || i
    FROM past
)
INSERT INTO journal (account_id, seq, kind, operation_id, grant_id, credits, balance_after, actor, request_id,
    price_cents, price_credits, currency, effective_at)
SELECT {_ACCOUNT}, 3 + $5::bigint + i, 'consumed', 'spent-' || n || '-' || i, {_GRANT}, -1, remaining, 'seed',
    'spent-' || n || '-' || i, 1, 1, 'usd', ledger_now()
FROM past ORDER BY n, i
"""  # noqa: S608 - our own words


@dataclass(frozen=True)
class Seed:
    """What a database begins with: ``accounts`` accounts, each with three live grants and besides with ``exhausted``
    grants and ``spent`` consumptions of the past. One of the two only."""

    accounts: int
    exhausted: int = 0
    spent: int = 0

    def __post_init__(self) -> None:
        if self.exhausted and self.spent:
            raise ValueError("exhausted grants or a past, not both")

    @property
    def consumptions(self) -> int:
        """How many consumptions the seed records."""
        return self.accounts * (self.exhausted or self.spent)

    @property
    def journal_rows(self) -> int:
        """How many journal entries the seed makes."""
        return self.accounts * (LIVE_GRANTS + self.exhausted) + self.consumptions


async def seed(superuser_url: str, wanted: Seed, say: Callable[[str], None]) -> None:
    """Fills a migrated, empty database.

    Args:
        superuser_url: a ``postgresql://`` URL of the superuser, in that database.
        wanted: what to make.
        say: told about the progress of long seeds.
    """
    session = await asyncpg.connect(superuser_url, timeout=10)
    try:
        await session.execute("SET session_replication_role = replica; SET synchronous_commit = off")
        each = wanted.exhausted * 2 + wanted.spent + LIVE_GRANTS
        step = max(1, _CHUNK // each)
        for first in range(0, wanted.accounts, step):
            last = min(first + step, wanted.accounts) - 1
            await _seed_accounts(session, wanted, account_tail(first), account_tail(last))
            if wanted.journal_rows > _CHUNK:
                say(f"{(last + 1) * wanted.journal_rows // wanted.accounts:,} of {wanted.journal_rows:,} journal rows")
        # Neither the statistics nor the first look at every row shall fall into a measurement.
        await session.execute("VACUUM (FREEZE, ANALYZE)")
    finally:
        await session.close()


async def _seed_accounts(session: asyncpg.Connection, wanted: Seed, first: int, last: int) -> None:
    statements = (_ACCOUNTS, _GRANTS, _SPENT) if wanted.consumptions else (_ACCOUNTS, _GRANTS)
    async with session.transaction():
        for statement in statements:
            await session.execute(statement, first, last, CREDITS_A_GRANT, wanted.spent, wanted.exhausted)
