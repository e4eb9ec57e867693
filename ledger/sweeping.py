"""Books what time alone has changed: expiries, and holds whose time is over. Nobody depends on it: credit past its
expiry is not spendable and a hold past its time keeps nothing, booked or not.

Every change of an account books what is due in it first (``ledger/expiry.py``). This does the same for accounts that
nobody touches, so that their rows and the journal say what every reader says already. It may be late by any time:
entries count from the instant at which it happened.
"""

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.changes import AccountChange, announce
from ledger.expiry import book, look
from ledger.rules.burn_order import is_live
from ledger.store.accounts import change_account, lock_account, parse_account_id
from ledger.store.due import due_accounts as read_due_accounts
from ledger.store.due import move_next_expiry
from ledger.store.journal import Origin, write_entries
from ledger.transaction import with_serializable_transaction, with_transaction

_REQUEST_ID = "sweep"


async def due_accounts(engine: AsyncEngine, *, limit: int) -> list[str]:
    """The ids of accounts in which something may be due, the longest due first, at most ``limit``."""
    found = await with_transaction(engine, lambda tx: read_due_accounts(tx, limit=limit), what="due accounts")
    return [str(account_id) for account_id in found]


async def book_due(engine: AsyncEngine, account_id: str) -> int:
    """Books what is due in the account by now, and answers with how many expiries and lapses that were.

    A repeat finds nothing due. Raises UnknownAccount or LedgerUnavailable.
    """
    parsed = parse_account_id(account_id)

    async def work(tx: AsyncConnection) -> tuple[int, AccountChange | None]:
        account = await lock_account(tx, parsed)
        if is_live(account.next_expiry, account.now):
            return 0, None
        found = await look(tx, account)
        if not found.events:
            # What was to happen was spent, taken back or closed before: the bound was early, and nothing changes.
            await move_next_expiry(tx, parsed, found.next_expiry)
            return 0, None
        entries = await book(tx, account, found, request_id=_REQUEST_ID)
        seq = await change_account(
            tx, account, debt=found.debt, balance=found.balance, held=found.held, next_expiry=found.next_expiry
        )
        origin = Origin(account_id=parsed, seq=seq, actor="system", request_id=_REQUEST_ID)
        await write_entries(tx, origin, entries, balance_before=account.balance - account.debt)
        return len(found.events), AccountChange(account_id=parsed, seq=seq)

    events, change = await with_serializable_transaction(engine, work, what="book due", account_id=parsed)
    if change is not None:
        await announce(engine, change)
    return events
