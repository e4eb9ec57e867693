"""How the client speaks HTTP: one service, one token, and repeats where a repeat is safe."""

import asyncio
import random
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx

from client.answers import Answer
from client.errors import Refused, Unreachable

ATTEMPTS = 6
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 3.0
# A payment method takes the service up to 15 s, and a database that restarts up to 20.
TIMEOUT_SECONDS = 30.0

A = TypeVar("A", bound=Answer)


class Sender:
    """Sends requests with a token. Methods raise Refused, with the service's words, or Unreachable."""

    def __init__(
        self, api_url: str, token: str, *, attempts: int = ATTEMPTS, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        """``attempts`` bounds how often a request is sent in all; 1 never repeats."""
        self._attempts = attempts
        self._http = httpx.AsyncClient(
            base_url=api_url.rstrip("/"),
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=timeout_seconds,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def _get(self, kind: type[A], path: str, /, **query: Any) -> A:
        asked = {name: value for name, value in query.items() if value is not None}
        return kind.model_validate((await self._send("GET", path, query=asked, repeatable=True)).json())

    async def _send(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        repeatable: bool,
        query: dict[str, Any] | None = None,
    ) -> httpx.Response:
        """Sends the request until it is answered, while repeats are allowed and of use."""
        for attempt in range(1, self._attempts + 1):
            try:
                answer = await self._http.request(method, path, json=body, params=query)
            except httpx.TransportError as error:
                # Where there was no connection nothing was sent, and even the unrepeatable may be sent again.
                again = repeatable or isinstance(error, httpx.ConnectError)
                if not again or attempt == self._attempts:
                    raise Unreachable(_unreachable(self._http.base_url, error)) from error
            else:
                if answer.is_success:
                    return answer
                refused = _refused(answer)
                if not refused.retryable:
                    raise refused
                if not repeatable or attempt == self._attempts:
                    raise Unreachable(refused.detail) from refused
            await asyncio.sleep(_pause_seconds(attempt))
        raise AssertionError("attempts must be at least 1")

    async def _lines(self, path: str, query: dict[str, Any]) -> AsyncGenerator[str, None]:
        """The lines of an answer in CSV as they come, without their ends. Nothing is repeated, and an answer that ends
        too early raises Unreachable."""
        asked = {name: value for name, value in query.items() if value is not None}
        try:
            async with self._http.stream("GET", path, params=asked, headers={"Accept": "text/csv"}) as answer:
                if not answer.is_success:
                    await answer.aread()
                    raise _refused(answer)
                async for line in answer.aiter_lines():
                    yield line
        except httpx.TransportError as error:
            raise Unreachable(_unreachable(self._http.base_url, error)) from error


def in_path(text: str) -> str:
    """The text as one part of a path."""
    return quote(text, safe="")


def _pause_seconds(attempt: int) -> float:
    # Half of it is chance, so that clients that fell together do not come back together.
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** (attempt - 1))
    return longest * random.uniform(0.5, 1)  # noqa: S311 - not a secret


def _unreachable(url: httpx.URL, error: Exception) -> str:
    words = str(error) or type(error).__name__
    return f"{url} does not answer: {words}. Is it running? `grantflow status` says so for the local stack."


def _refused(answer: httpx.Response) -> Refused:
    problem = _problem_in(answer)
    if problem is None:
        # Something between us and the service answered: a proxy, or another program on that port.
        gateway = answer.status_code in (502, 503, 504)
        detail = f"The answer ({answer.status_code}) is not Grantflow's. Is the address right?"
        return Refused("internal", detail, status=answer.status_code, retryable=gateway)
    return Refused(
        str(problem["code"]),
        str(problem.get("detail", problem["code"])),
        status=answer.status_code,
        retryable=bool(problem.get("retryable", False)),
        request_id=problem.get("requestId"),
        members=problem,
    )


def _problem_in(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        problem = answer.json()
    except ValueError:
        return None
    return problem if isinstance(problem, dict) and "code" in problem else None
