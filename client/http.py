"""The Python client over HTTP: typed answers, and repeats where a repeat is safe.

Example::

    async with GrantflowClient("http://127.0.0.1:8080", token) as grantflow:
        account = await grantflow.create_account("user", "Ada", external_id="ada")
        await grantflow.grant(account.account_id, operation_id="welcome-ada", type="admin", credits=100)
"""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any

import httpx

from client.answers import (
    Account,
    Balance,
    Consumption,
    Grant,
    Granted,
    Hold,
    MovedClock,
    OrderTaken,
    Page,
    PaymentMethod,
    Release,
    Revocation,
    Settlement,
)
from client.history import HistoryCalls
from client.payments import PaymentCalls
from client.reports import ReportCalls
from client.sending import in_path


class GrantflowClient(HistoryCalls, PaymentCalls, ReportCalls):
    """One service, one token. Methods raise Refused, with the service's words, or Unreachable."""

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
        return await self._get(Account, f"/v1/accounts/{in_path(account_id)}")

    async def create_token(self, account_id: str) -> str:
        """A new token of the account, told this once."""
        sent = await self._send("POST", f"/v1/accounts/{in_path(account_id)}/tokens", repeatable=False)
        return str(sent.json()["token"])

    async def create_ticket(self) -> str:
        """A ticket that opens one WebSocket, for the account whose token this client has."""
        sent = await self._send("POST", "/v1/tickets", repeatable=True)
        return str(sent.json()["ticket"])

    async def set_payment_method(self, account_id: str, payment_method_id: str) -> PaymentMethod:
        """Attaches the payment method at Stripe and makes it the default."""
        path = f"/v1/accounts/{in_path(account_id)}/payment-method"
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
        sent = await self._send("POST", f"/v1/accounts/{in_path(account_id)}/grants", body, repeatable=True)
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
        sent = await self._send("POST", f"/v1/accounts/{in_path(account_id)}/consumptions", body, repeatable=True)
        return Consumption.model_validate(sent.json())

    async def hold(self, account_id: str, *, operation_id: str, credits: int, ttl_seconds: int) -> Hold:
        """Sets credits aside for so many seconds. ``operation_id`` makes it safe to repeat, and names the hold."""
        body = {"operationId": operation_id, "credits": credits, "ttlSeconds": ttl_seconds}
        sent = await self._send("POST", f"/v1/accounts/{in_path(account_id)}/holds", body, repeatable=True)
        return Hold.model_validate(sent.json())

    async def extend_hold(self, operation_id: str, *, ttl_seconds: int, account_id: str | None = None) -> Hold:
        """Lets the hold live so many seconds from now, never shorter. ``account_id`` is for the admin, here and below,
        where several accounts have a hold of this id."""
        return Hold.model_validate(await self._on_hold(operation_id, "extend", account_id, ttlSeconds=ttl_seconds))

    async def settle_hold(self, operation_id: str, *, credits: int, account_id: str | None = None) -> Settlement:
        """Ends the hold and books what the work has really cost, also after its time. Refused has the code
        ``hold-closed`` after a release."""
        return Settlement.model_validate(await self._on_hold(operation_id, "settle", account_id, credits=credits))

    async def release_hold(self, operation_id: str, *, account_id: str | None = None) -> Release:
        """Ends the hold with nothing spent."""
        return Release.model_validate(await self._on_hold(operation_id, "release", account_id))

    async def _on_hold(self, operation_id: str, verb: str, account_id: str | None, **body: int) -> dict[str, Any]:
        named = {} if account_id is None else {"accountId": account_id}
        path = f"/v1/holds/{in_path(operation_id)}/{verb}"
        sent: dict[str, Any] = (await self._send("POST", path, body | named, repeatable=True)).json()
        return sent

    async def find_grant(self, operation_id: str) -> Grant:
        """The grant that was made under this operation id."""
        return await self._get(Grant, f"/v1/grants/{in_path(operation_id)}")

    async def grants(self, account_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Grant]:
        """A page of the account's grants, oldest first."""
        return await self._get(Page[Grant], f"/v1/accounts/{in_path(account_id)}/grants", limit=limit, cursor=cursor)

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
        sent = await self._send("POST", f"/v1/grants/{in_path(operation_id)}/retry", body, repeatable=True)
        return OrderTaken.model_validate(sent.json())

    async def abandon_grant(self, operation_id: str, *, reason: str) -> OrderTaken:
        """Tells the grant's workflow to stop the mirroring. The credits stay."""
        path = f"/v1/grants/{in_path(operation_id)}/abandon"
        sent = await self._send("POST", path, {"reason": reason}, repeatable=True)
        return OrderTaken.model_validate(sent.json())

    async def revoke_grant(self, operation_id: str, *, reason: str) -> Revocation:
        """Takes back what is unspent of the grant; a repeat changes nothing."""
        path = f"/v1/grants/{in_path(operation_id)}/revoke"
        sent = await self._send("POST", path, {"reason": reason}, repeatable=True)
        return Revocation.model_validate(sent.json())

    async def balance(self, account_id: str) -> Balance:
        """The account's balance."""
        return await self._get(Balance, f"/v1/accounts/{in_path(account_id)}/balance")

    async def advance_clock(self, seconds: int) -> MovedClock:
        """Moves the product's clock forward; on the embedded stack alone."""
        sent = await self._send("POST", "/v1/test-clock", {"advanceSeconds": seconds}, repeatable=False)
        return MovedClock.model_validate(sent.json())
