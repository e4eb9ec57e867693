"""A running stand-in as tests use it: through the `stripe` library, and through its test controls."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import stripe
from stripe.params.billing import CreditGrantCreateParams

API_KEY = "sk_test_ofTheTests"


@dataclass(frozen=True)
class Exchange:
    """One request of the `stripe` library and its answer."""

    method: str
    path: str
    status: int
    headers: dict[str, str]
    body: dict[str, Any]


class RecordingClient(stripe.HTTPXClient):
    """Stripe's own HTTP client, which also remembers what it was answered."""

    def __init__(self) -> None:
        super().__init__(timeout=10)
        self.exchanges: list[Exchange] = []

    async def request_async(self, method: str, url: str, headers: Any, post_data: Any = None) -> tuple[bytes, int, Any]:
        """Do one request and remember it."""
        content, status, answered = await super().request_async(method, url, headers, post_data)
        path = httpx.URL(url).path
        self.exchanges.append(Exchange(method.upper(), path, status, dict(answered), json.loads(content)))
        return content, status, answered

    async def end(self) -> None:
        """Close the connections."""
        await self.close_async()  # type: ignore[no-untyped-call]

    @property
    def last(self) -> Exchange:
        """The latest answer."""
        return self.exchanges[-1]


@dataclass(frozen=True)
class StandIn:
    """The stand-in at `url`; `client` is Stripe's, `http` any other."""

    url: str
    http: httpx.AsyncClient
    transport: RecordingClient

    @property
    def client(self) -> stripe.StripeClient:
        """Stripe's client, pointed at the stand-in; it never retries by itself."""
        return stripe.StripeClient(
            API_KEY, base_addresses={"api": self.url}, max_network_retries=0, http_client=self.transport
        )

    async def behave(self, **behaviour: Any) -> None:
        """Set the behaviour; nothing at all restores the default."""
        await self.control("behaviour", behaviour)

    async def control(self, name: str, order: dict[str, Any]) -> dict[str, Any]:
        """Post to a test control that must accept it."""
        answer = await self.http.post(f"{self.url}/_sandbox/{name}", json=order)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def look(self, name: str) -> list[dict[str, Any]]:
        """Return the list that a test control shows."""
        answer = await self.http.get(f"{self.url}/_sandbox/{name}")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    async def until(self, settled: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Return the planned deliveries of webhooks once each of them is as described."""
        for _ in range(500):
            deliveries = await self.look("objects/deliveries")
            if all(map(settled, deliveries)):
                return deliveries
            await asyncio.sleep(0.01)
        raise AssertionError("the deliveries never became so")

    async def until_all_is_delivered(self) -> None:
        """Wait until no delivery is pending any more."""
        await self.until(lambda delivery: delivery["state"] != "pending")

    async def customer(self) -> stripe.Customer:
        """Make a customer."""
        return await self.client.v1.customers.create_async({"name": "Ada"})

    async def grant(self, customer: str, key: str | None = None, **others: Any) -> stripe.billing.CreditGrant:
        """Grant a customer 5 dollars of credit."""
        options: stripe.RequestOptions = {} if key is None else {"idempotency_key": key}
        return await self.client.v1.billing.credit_grants.create_async(grant_params(customer, **others), options)


def error_of(refused: pytest.ExceptionInfo[stripe.StripeError]) -> dict[str, Any]:
    """Return the inside of a refusal's body."""
    body: Any = refused.value.json_body
    found: dict[str, Any] = body["error"]
    return found


def grant_params(customer: str, **others: Any) -> CreditGrantCreateParams:
    """Return the parameters of a grant of 5 dollars."""
    params: CreditGrantCreateParams = {
        "customer": customer,
        "category": "paid",
        "amount": {"type": "monetary", "monetary": {"value": 500, "currency": "usd"}},
        "applicability_config": {"scope": {"price_type": "metered"}},
    }
    params.update(others)  # type: ignore[typeddict-item]
    return params


def grant_form(customer: str, **others: str) -> dict[str, str]:
    """Return the same parameters as a raw form, for requests that the library would not send."""
    return {
        "customer": customer,
        "amount[type]": "monetary",
        "amount[monetary][value]": "500",
        "amount[monetary][currency]": "usd",
        "applicability_config[scope][price_type]": "metered",
        **others,
    }
