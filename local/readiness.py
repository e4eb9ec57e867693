"""How it is seen from outside that a part can be used."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx

from local.children import Child
from local.ports import accepts_connections

_ANSWER_TIMEOUT_SECONDS = 5.0

IsReady = Callable[[Child], Awaitable[bool]]


def answers(url: str) -> IsReady:
    """Ready is: a GET of this URL is answered with 200."""

    async def ask(_: Child) -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=_ANSWER_TIMEOUT_SECONDS) as client:
                return (await client.get(url)).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    return ask


def has_printed(line: str) -> IsReady:
    """Ready is: the child has written this line, by itself or at the end of a longer one."""

    async def look(child: Child) -> bool:
        return any(printed.endswith(line) for printed in child.output.splitlines())

    return look


def listens(host: str, port: int) -> IsReady:
    """Ready is: connections are accepted there."""

    async def connect(_: Child) -> bool:
        return await asyncio.to_thread(accepts_connections, host, port)

    return connect
