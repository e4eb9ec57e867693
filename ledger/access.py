"""Who a token belongs to. Tokens are random, shown once, and stored only as SHA-256 hashes."""

import hashlib
import secrets
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.rules.errors import UnknownAccount
from ledger.store import access as access_rows
from ledger.store.accounts import find_account, parse_account_id
from ledger.transaction import with_transaction

TOKEN_PREFIX = "gf_"  # noqa: S105 - a prefix, by which leaked tokens are found
TICKET_PREFIX = "gft_"
TICKET_LIFE = timedelta(seconds=30)


async def issue_token(engine: AsyncEngine, account_id: str) -> str:
    """A new token of the account, told once. Raises UnknownAccount."""
    parsed = parse_account_id(account_id)
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)

    async def work(tx: AsyncConnection) -> None:
        if await find_account(tx, parsed) is None:
            raise UnknownAccount(account_id)
        await access_rows.insert_token(tx, token_hash=_hash(token), account_id=parsed)

    await with_transaction(engine, work, what="issue token")
    return token


async def account_of_token(engine: AsyncEngine, token: str) -> str | None:
    """The account that the token belongs to, or None.

    The look-up is by the hash of a 256-bit secret: its timing tells nothing that could be used to guess one.
    """
    found = await with_transaction(engine, lambda tx: access_rows.find_token(tx, _hash(token)), what="find token")
    return None if found is None else str(found)


async def issue_ticket(engine: AsyncEngine, account_id: str) -> str:
    """A ticket that opens one WebSocket within half a minute: browsers can't send the header that a token needs."""
    parsed = parse_account_id(account_id)
    ticket = TICKET_PREFIX + secrets.token_urlsafe(32)

    async def work(tx: AsyncConnection) -> None:
        await access_rows.insert_ticket(tx, ticket_hash=_hash(ticket), account_id=parsed, life=TICKET_LIFE)

    await with_transaction(engine, work, what="issue ticket")
    return ticket


async def use_ticket(engine: AsyncEngine, ticket: str) -> str | None:
    """Takes the ticket and answers whose it was; None for a ticket that is unknown, used or too old."""
    found = await with_transaction(engine, lambda tx: access_rows.take_ticket(tx, _hash(ticket)), what="use ticket")
    return None if found is None else str(found)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
