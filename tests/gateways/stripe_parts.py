"""Our gateway to Stripe before the stand-in, as the tests of gateways and of activities use them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateways.stripe.gateway import StripeGateway
from messages.checkouts import CheckoutRequest
from messages.customers import CustomerRequest, PaymentMethodCall
from messages.grants import GrantType, MirrorRequest
from messages.payments import ChargeRequest, PaymentKind
from stripe_sandbox.app import create_app
from stripe_sandbox.config import SandboxConfig
from tests.sandbox.endpoint import SECRET
from tests.sandbox.serving import free_port, served
from tests.sandbox.standin import API_KEY, RecordingClient, StandIn

METERED_PRICE = "price_credits_only"


@dataclass(frozen=True)
class StripeParts:
    """The gateway, the stand-in behind it, and the headers of the requests between them."""

    gateway: StripeGateway
    stand_in: StandIn
    headers: list[Headers]

    async def posts(self) -> list[tuple[str, str | None]]:
        """The POSTs that the stand-in has seen: path and idempotency key."""
        requests = await self.stand_in.look("requests")
        return [(each["path"], each["idempotencyKey"]) for each in requests if each["method"] == "POST"]

    async def grants(self) -> list[dict[str, Any]]:
        """The credit grants at Stripe."""
        return await self.stand_in.look("objects/credit_grants")

    async def customer(self) -> str:
        """A new customer's id."""
        return (await self.gateway.create_customer(new_customer())).stripe_customer_id

    async def method(self, customer: str, sample: str = "pm_card_visa") -> str:
        """The id of a new payment method of the customer's, made of one of Stripe's samples."""
        call = PaymentMethodCall(customer, sample, f"attach-{uuid4()}")
        return (await self.gateway.attach_payment_method(call)).payment_method_id

    async def trigger(self, event: str, wanted: str, **options: Any) -> dict[str, Any]:
        """Lets happen at Stripe what only Stripe can start; the object as it is then."""
        answer = await self.stand_in.control("trigger", {"event": event, "object": wanted, **options})
        made: dict[str, Any] = answer["object"]
        return made


@asynccontextmanager
async def stripe_parts(
    data_dir: Path, http: httpx.AsyncClient, transport: RecordingClient
) -> AsyncIterator[StripeParts]:
    """An empty stand-in, whose webhooks nobody hears, and a gateway to it."""
    nowhere = f"http://127.0.0.1:{free_port()}/webhooks/stripe"
    config = SandboxConfig(data_dir=data_dir, webhook_url=nowhere, webhook_secret=SECRET)
    headers: list[Headers] = []
    async with served(_noting(create_app(config), headers)) as url, gateway_to(url) as gateway:
        stand_in = StandIn(url, http, transport)
        await stand_in.behave(dropWebhooks=True)
        yield StripeParts(gateway, stand_in, headers)


@asynccontextmanager
async def gateway_to(url: str, *, key: str = API_KEY) -> AsyncIterator[StripeGateway]:
    """Our gateway to whatever answers there."""
    gateway = StripeGateway(key, api_base=url, metered_price=METERED_PRICE)
    try:
        yield gateway
    finally:
        await gateway.close()


def _noting(app: ASGIApp, headers: list[Headers]) -> ASGIApp:
    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            headers.append(Headers(scope=scope))
        await app(scope, receive, send)

    return noted


def new_customer(**others: Any) -> CustomerRequest:
    """A request for a customer of a new account."""
    account_id = str(uuid4())
    fields: dict[str, Any] = {
        "account_id": account_id,
        "name": "Ada",
        "email": "ada@example.com",
        "kind": "user",
        "stripe_customer_id": None,
        "idempotency_key": f"customer-{account_id}-1",
    }
    return CustomerRequest(**{**fields, **others})


def new_mirror(customer: str | None, operation_id: str = "op-1", **others: Any) -> MirrorRequest:
    """A request for the mirror of a purchase of 1,000 credits for 10 dollars."""
    fields: dict[str, Any] = {
        "operation_id": operation_id,
        "account_id": "01970000-0000-7000-8000-000000000001",
        "stripe_customer_id": customer,
        "type": GrantType.PURCHASE,
        "credits": 1000,
        "amount_cents": 1000,
        "currency": "usd",
        "expires_at": None,
        "idempotency_key": f"grant-{operation_id}-1",
        "key_stored_at": datetime.now(UTC),
    }
    return MirrorRequest(**{**fields, **others})


def new_charge(customer: str, method: str, operation_id: str = "op-1", **others: Any) -> ChargeRequest:
    """A request for an auto top-up of 1,000 credits for 10 dollars, with nobody there."""
    fields: dict[str, Any] = {
        "operation_id": operation_id,
        "account_id": "01970000-0000-7000-8000-000000000001",
        "kind": PaymentKind.AUTO_TOPUP,
        "credits": 1000,
        "amount_cents": 1000,
        "currency": "usd",
        "stripe_customer_id": customer,
        "payment_method_id": method,
        "idempotency_key": f"payment-{operation_id}-1",
        "off_session": True,
    }
    return ChargeRequest(**{**fields, **others})


def new_checkout(customer: str, operation_id: str = "op-1", **others: Any) -> CheckoutRequest:
    """A request for a page on which 1,000 credits are bought for 10 dollars."""
    fields: dict[str, Any] = {
        "operation_id": operation_id,
        "account_id": "01970000-0000-7000-8000-000000000001",
        "credits": 1000,
        "amount_cents": 1000,
        "currency": "usd",
        "stripe_customer_id": customer,
        "idempotency_key": f"checkout-{operation_id}-1",
        "success_url": "https://example.com/paid",
        "cancel_url": "https://example.com/not-paid",
    }
    return CheckoutRequest(**{**fields, **others})
