"""How a command speaks to the API, and what its exit code says: 0 done, 1 refused, 2 wrong usage, 3 cannot reach."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

import typer

from client.cli.screen import complain, note
from client.errors import Refused, Unreachable
from client.http import GrantflowClient
from client.sending import TIMEOUT_SECONDS

# A person waits: the service gets a second or two to come back.
ATTEMPTS = 4

REFUSED, WRONG_USAGE, CANNOT_REACH = 1, 2, 3

T = TypeVar("T")


def choose_operation_id(given: str | None) -> str:
    """The operation id that the person gave, or a new one, which is told before the call is made: whoever is cut off
    in the middle can repeat it under the same id."""
    if given:
        return given
    made_up = f"cli-{uuid.uuid4()}"
    note(f"operation id: {made_up}")
    return made_up


def speak(
    api_url: str,
    token: str,
    work: Callable[[GrantflowClient], Awaitable[T]],
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> T:
    """Does the work with a client, or ends the command with the sentence and the exit code that say why not."""

    async def with_client() -> T:
        async with GrantflowClient(api_url, token, attempts=ATTEMPTS, timeout_seconds=timeout_seconds) as client:
            return await work(client)

    return run(with_client)


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Does the work, or ends the command as ``speak`` does."""

    async def awaited() -> T:
        return await work()

    try:
        return asyncio.run(awaited())
    except Refused as refused:
        complain(_words(refused))
        raise typer.Exit(REFUSED) from None
    except Unreachable as unreachable:
        complain(str(unreachable))
        raise typer.Exit(CANNOT_REACH) from None


def _words(refused: Refused) -> str:
    if refused.code == "internal" and refused.request_id:
        return f"{refused.detail} (request {refused.request_id})"
    where = refused.members.get("actionUrl")
    return f"{refused.detail} Mend it at {where}" if where else refused.detail
