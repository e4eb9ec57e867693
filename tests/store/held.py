"""A hold as its rows say it, for tests that need one to be there and nothing of how it is made."""

from datetime import UTC, datetime

from tests.conftest import Database
from tests.store.support import session


async def place_hold(
    database: Database, account_id: str, operation_id: str, grant: str, credits: int, hours: float
) -> datetime:
    """A hold on one grant, as the rows of it say; answers with when it lapses."""
    async with session(database.owner_url) as owner, owner.transaction():
        until: datetime = await owner.fetchval("SELECT ledger_now() + make_interval(secs => $1)", hours * 3600)
        await owner.execute(
            "INSERT INTO operations (account_id, operation_id, kind, request, actor, request_id) "
            "VALUES ($1, $2, 'hold', '{}', 'admin', '')",
            account_id,
            operation_id,
        )
        await owner.execute(
            "INSERT INTO holds (account_id, operation_id, credits, state, made_by, held_until, created_at) "
            "VALUES ($1, $2, $3, 'open', 'admin', $4, ledger_now())",
            account_id,
            operation_id,
            credits,
            until,
        )
        await owner.execute(
            "INSERT INTO hold_parts SELECT account_id, $1, grant_id, $3 FROM grants WHERE operation_id = $2",
            operation_id,
            grant,
            credits,
        )
        await owner.execute("UPDATE grants SET held = held + $2 WHERE operation_id = $1", grant, credits)
        await owner.execute(
            "UPDATE accounts SET held = held + $2, next_expiry = least(next_expiry, $3) WHERE account_id = $1",
            account_id,
            credits,
            until,
        )
    return until.astimezone(UTC)
