"""The naive pattern, as a fair engineer writes it: SERIALIZABLE, read, write each, commit, and repeat on a conflict.

asyncpg, a pool of 16 sessions, prepared statements (asyncpg keeps them), no session held during a pause, and pauses
with full jitter that grow. Nothing else is tuned, and nothing is made worse than it need be.
"""

import asyncio
import random
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

POOL_SIZE = 16
FIRST_PAUSE_SECONDS = 0.002
LONGEST_PAUSE_SECONDS = 0.5

_ACCOUNT = "SELECT balance, held, next_expiry, seq, ledger_now() AS now FROM accounts WHERE account_id = $1"
_GRANTS = """
SELECT grant_id, operation_id, type, balance - held AS spendable, price_cents, price_credits, currency FROM grants
WHERE account_id = $1 AND live AND balance > held AND (expires_at IS NULL OR expires_at > $2)
ORDER BY priority, expires_at, created_at, grant_id
"""
_BURN = "UPDATE grants SET balance = balance - $2 WHERE grant_id = $1"
_CLAIM = """
INSERT INTO operations (account_id, operation_id, kind, request, answer, actor, request_id)
VALUES ($1, $2, 'consume', json_build_object('credits', $3::bigint, 'onInsufficient', 'refuse', 'description', NULL),
    json_build_object('fromPurchased', $4::bigint, 'allocations', $5::text::json, 'debtIncurred', 0, 'debt', 0,
        'remaining', $6::bigint), 'bench', $2)
"""
_ENTER = """
INSERT INTO journal (account_id, seq, kind, operation_id, grant_id, credits, balance_after, actor, request_id,
    price_cents, price_credits, currency, effective_at)
VALUES ($1, $2, 'consumed', $3, $4, $5, $6, 'bench', $3, $7, $8, $9, $10)
"""
_CHANGE = "UPDATE accounts SET balance = $2, usage = usage + $4, seq = $3 WHERE account_id = $1"


class NotForThisPattern(RuntimeError):
    """The account has too few credits, or something is due on it: the comparison leaves that out."""


@dataclass
class NaiveLedger:
    """Spends from a pool of sessions. ``retries`` counts the transactions that PostgreSQL refused."""

    pool: asyncpg.Pool
    retries: int = 0

    async def consume(self, account_id: UUID, operation_id: str, credits: int) -> None:
        """Spends the credits, and answers when that is committed.

        Raises:
            NotForThisPattern: if the account's live grants do not cover it.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                async with self.pool.acquire() as session, session.transaction(isolation="serializable"):
                    await _spend(session, account_id, operation_id, credits)
            except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
                self.retries += 1
                longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt)
                await asyncio.sleep(random.uniform(0, longest))
            else:
                return


async def _spend(session: Any, account_id: UUID, operation_id: str, credits: int) -> None:
    account = await session.fetchrow(_ACCOUNT, account_id)
    now: datetime = account["now"]
    spendable, due = account["balance"] - account["held"], account["next_expiry"]
    if spendable < credits or (due is not None and due <= now):
        raise NotForThisPattern(str(account_id))
    balance, seq, left = account["balance"] - credits, account["seq"] + 1, credits
    allocations, paid = [], 0
    for grant in await session.fetch(_GRANTS, account_id, now):
        part = min(left, grant["spendable"])
        left -= part
        await session.execute(_BURN, grant["grant_id"], part)
        await session.execute(
            _ENTER,
            *(account_id, seq, operation_id, grant["grant_id"], -part, balance + left),
            *(grant["price_cents"], grant["price_credits"], grant["currency"], now),
        )
        allocations.append(f'["{grant["grant_id"]}", "{grant["operation_id"]}", "{grant["type"]}", {part}]')
        paid += part if grant["type"] in ("rollover", "purchase") else 0
        if not left:
            break
    answer = (paid, f"[{', '.join(allocations)}]", spendable - credits)
    await session.execute(_CLAIM, account_id, operation_id, credits, *answer)
    await session.execute(_CHANGE, account_id, balance, seq, credits)


async def open_pool(app_url: str) -> asyncpg.Pool:
    """The pool of sessions, all of them open; whoever opens it closes it.

    Args:
        app_url: a ``postgresql://`` URL of the application's role.
    """
    return await asyncpg.create_pool(app_url, min_size=POOL_SIZE, max_size=POOL_SIZE)
