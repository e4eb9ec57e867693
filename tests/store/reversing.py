"""What the tests of reversals say often."""

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.granting import process_and_grant_credit
from ledger.reversing import reverse_payment
from messages.grants import GrantOrder, GrantType
from messages.reversals import Reversal, ReversalTarget
from tests.conftest import Database
from tests.store.support import session

PAYMENT = "pi_1"


async def buy(
    engine: AsyncEngine, account_id: str, credits: int = 100, *, name: str = "bought", payment_id: str = PAYMENT
) -> str:
    """A purchase grant; gives its grant id."""
    order = GrantOrder(name, account_id, GrantType.PURCHASE, credits, payment_id=payment_id)
    return (await process_and_grant_credit(engine, order)).grant.grant_id


async def reverse(
    engine: AsyncEngine, reversed_cents: int, frozen_cents: int = 0, *, paid: int = 1000, payment_id: str = PAYMENT
) -> Reversal:
    """Tells what Stripe says of a payment of 1,000 cents, unless told."""
    target = ReversalTarget(payment_id, paid, reversed_cents, frozen_cents, "refund")
    return await reverse_payment(engine, target, request_id="r1")


async def roll_over(database: Database, source: str, rollover: str) -> None:
    """Records that the one grant came of the other (operation ids), as the reset will."""
    async with session(database.owner_url) as owner:
        await owner.execute(
            "INSERT INTO rollover_sources SELECT new.account_id, new.grant_id, old.grant_id "
            "FROM grants new, grants old WHERE new.operation_id = $1 AND old.operation_id = $2",
            rollover,
            source,
        )


async def left(database: Database, account_id: str) -> dict[str, tuple[int, int]]:
    """Balance and held of each grant of the account that has something left."""
    async with session(database.owner_url) as owner:
        rows = await owner.fetch(
            "SELECT operation_id, balance, held FROM grants WHERE account_id = $1 AND balance > 0 ORDER BY created_at",
            account_id,
        )
    return {row["operation_id"]: (row["balance"], row["held"]) for row in rows}


async def booked(database: Database, account_id: str) -> list[tuple[str, int, str | None]]:
    """The entries that the reversals of the account's payments made: kind, credits, and the grant."""
    async with session(database.owner_url) as owner:
        rows = await owner.fetch(
            "SELECT j.kind, j.credits, g.operation_id FROM journal j LEFT JOIN grants g USING (account_id, grant_id) "
            "JOIN operations o ON o.account_id = j.account_id AND o.operation_id = j.operation_id "
            "WHERE j.account_id = $1 AND o.kind = 'reverse' ORDER BY entry_id",
            account_id,
        )
    return [tuple(row) for row in rows]
