"""The Python client over HTTP: typed answers, and repeats where a repeat is safe.

Example::

    async with GrantflowClient("http://127.0.0.1:8080", token) as grantflow:
        account = await grantflow.create_account("user", "Ada", external_id="ada")
        await grantflow.grant(account.account_id, operation_id="welcome-ada", type="admin", credits=100)
"""

import asyncio
import random
from collections.abc import AsyncGenerator
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx

from client.answers import (
    Account,
    Answer,
    Balance,
    Consumption,
    Grant,
    Granted,
    MovedClock,
    OrderTaken,
    Page,
    PaymentMethod,
    Revocation,
)
from client.errors import Refused, Unreachable

ATTEMPTS = 6
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 3.0
# A payment method takes the service up to 15 s, and a database that restarts up to 20.
TIMEOUT_SECONDS = 30.0

A = TypeVar("A", bound=Answer)


class GrantflowClient:
    """One service, one token. Methods raise Refused, with the service's words, or Unreachable."""

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

    async def create_account(
        self,
        kind: str,
        name: str,
        *,
        email: str | None = None,
        external_id: str | None = None,
        free_credits: int | None = None,
    ) -> Account:
        """Opens an account. With an ``external_id`` a repeat answers with the same account; without, none is made."""
        body = {
            "kind": kind,
            "name": name,
            "email": email,
            "externalId": external_id,
            "freeCredits": free_credits,
        }
        sent = await self._send("POST", "/v1/accounts", body, repeatable=external_id is not None)
        return Account.model_validate(sent.json())

    async def account(self, account_id: str) -> Account:
        """The account."""
        return await self._get(Account, f"/v1/accounts/{_in_path(account_id)}")

    async def create_token(self, account_id: str) -> str:
        """A new token of the account, told this once."""
        sent = await self._send("POST", f"/v1/accounts/{_in_path(account_id)}/tokens", repeatable=False)
        return str(sent.json()["token"])

    async def create_ticket(self) -> str:
        """A ticket that opens one WebSocket, for the account whose token this client has."""
        sent = await self._send("POST", "/v1/tickets", repeatable=True)
        return str(sent.json()["ticket"])

    async def set_payment_method(self, account_id: str, payment_method_id: str) -> PaymentMethod:
        """Attaches the payment method at Stripe and makes it the default."""
        path = f"/v1/accounts/{_in_path(account_id)}/payment-method"
        sent = await self._send("PUT", path, {"paymentMethodId": payment_method_id}, repeatable=True)
        return PaymentMethod.model_validate(sent.json())

    async def grant(
        self,
        account_id: str,
        *,
        operation_id: str,
        type: str,  # noqa: A002 - the wire's word
        credits: int,
        description: str | None = None,
        expires_at: datetime | None = None,
    ) -> Granted:
        """Grants credits; usable as soon as this answers. ``operation_id`` makes it safe to repeat: keep it."""
        body = {
            "operationId": operation_id,
            "type": type,
            "credits": credits,
            "description": description,
            "expiresAt": None if expires_at is None else expires_at.isoformat(),
        }
        sent = await self._send("POST", f"/v1/accounts/{_in_path(account_id)}/grants", body, repeatable=True)
        return Granted.model_validate({"grant": sent.json(), "created": sent.status_code == httpx.codes.CREATED})

    async def consume(
        self,
        account_id: str,
        *,
        operation_id: str,
        credits: int,
        on_insufficient: str | None = None,
        description: str | None = None,
    ) -> Consumption:
        """Spends credits. ``operation_id`` makes it safe to repeat: keep it. ``on_insufficient`` is ``refuse`` unless
        the admin's token says ``debt``; Refused has the code ``insufficient-credits`` where the account can't pay."""
        body = {"operationId": operation_id, "credits": credits, "description": description}
        if on_insufficient is not None:
            body["onInsufficient"] = on_insufficient
        sent = await self._send("POST", f"/v1/accounts/{_in_path(account_id)}/consumptions", body, repeatable=True)
        return Consumption.model_validate(sent.json())

    async def find_grant(self, operation_id: str) -> Grant:
        """The grant that was made under this operation id."""
        return await self._get(Grant, f"/v1/grants/{_in_path(operation_id)}")

    async def grants(self, account_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Grant]:
        """A page of the account's grants, oldest first."""
        return await self._get(Page[Grant], f"/v1/accounts/{_in_path(account_id)}/grants", limit=limit, cursor=cursor)

    async def grants_at(self, stage: str, *, limit: int = 50, cursor: str | None = None) -> Page[Grant]:
        """A page of the grants at an open stage, such as ``stuck``; those that wait the longest first."""
        return await self._get(Page[Grant], "/v1/grants", stage=stage, limit=limit, cursor=cursor)

    async def all_grants(self, account_id: str) -> AsyncGenerator[Grant, None]:
        """All of the account's grants, oldest first, page by page."""
        cursor = None
        while True:
            page = await self.grants(account_id, limit=200, cursor=cursor)
            for grant in page.data:
                yield grant
            cursor = page.next_cursor
            if cursor is None:
                return

    async def retry_grant(self, operation_id: str, *, reason: str | None = None) -> OrderTaken:
        """Tells the grant's workflow to try Stripe again."""
        body = {} if reason is None else {"reason": reason}
        sent = await self._send("POST", f"/v1/grants/{_in_path(operation_id)}/retry", body, repeatable=True)
        return OrderTaken.model_validate(sent.json())

    async def abandon_grant(self, operation_id: str, *, reason: str) -> OrderTaken:
        """Tells the grant's workflow to stop the mirroring. The credits stay."""
        path = f"/v1/grants/{_in_path(operation_id)}/abandon"
        sent = await self._send("POST", path, {"reason": reason}, repeatable=True)
        return OrderTaken.model_validate(sent.json())

    async def revoke_grant(self, operation_id: str, *, reason: str) -> Revocation:
        """Takes back what is unspent of the grant; a repeat changes nothing."""
        path = f"/v1/grants/{_in_path(operation_id)}/revoke"
        sent = await self._send("POST", path, {"reason": reason}, repeatable=True)
        return Revocation.model_validate(sent.json())

    async def balance(self, account_id: str) -> Balance:
        """The account's balance."""
        return await self._get(Balance, f"/v1/accounts/{_in_path(account_id)}/balance")

    async def advance_clock(self, seconds: int) -> MovedClock:
        """Moves the product's clock forward; on the embedded stack alone."""
        sent = await self._send("POST", "/v1/test-clock", {"advanceSeconds": seconds}, repeatable=False)
        return MovedClock.model_validate(sent.json())

    async def _get(self, kind: type[A], path: str, **query: Any) -> A:
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


def _in_path(text: str) -> str:
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
