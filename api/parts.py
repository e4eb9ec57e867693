"""What the API is made of. ``api/__main__.py`` puts the real parts in; the tests put in what they need."""

from dataclasses import dataclass
from typing import Protocol, cast

from fastapi.requests import HTTPConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from api.background import Background
from api.live import LiveHub
from api.looking import LookDesk, LookFlows
from api.notices import NoticeDesk
from api.topping_up import TopUpDesk, TopUpFlows
from ledger.consuming import Consumption
from messages.customers import PaymentMethod, PaymentMethodOrder
from messages.grants import Grant, GrantOrder, GrantStatus, OperatorOrder
from messages.payments import Payment, PurchaseOrder


class Flows(TopUpFlows, LookFlows, Protocol):
    """What the API needs of Temporal. The methods raise FlowRefused and FlowUnavailable of ``gateways.temporal``."""

    async def grant(self, order: GrantOrder) -> Grant: ...

    async def grant_status(self, operation_id: str) -> GrantStatus | None: ...

    async def retry_grant(self, order: GrantOrder, by: OperatorOrder) -> None: ...

    async def abandon_grant(self, order: GrantOrder, by: OperatorOrder) -> None: ...

    async def attach_payment_method(self, order: PaymentMethodOrder) -> PaymentMethod: ...

    async def purchase(self, order: PurchaseOrder) -> Payment: ...

    async def authenticate_payment(self, payment: Payment) -> Payment:
        """The payment as it stands then, with the ``url`` where Stripe wants its owner, if it still does."""
        ...

    async def is_reachable(self) -> bool: ...


class EventDelivery(Protocol):
    """Delivers a stored webhook event; never raises, and leaves in the inbox what it can't deliver now."""

    async def deliver(self, event_id: str) -> None: ...


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """The values that the API needs of the environment.

    ``origins`` may open a WebSocket from a browser, besides ``public_url``. ``embedded`` says that the product's
    clock can be moved; ``stripe_api_base`` is then the stand-in, whose clock moves with it.
    """

    admin_token: str
    webhook_secret: str
    public_url: str = ""
    origins: frozenset[str] = frozenset()
    temporal_ui_url: str = ""
    temporal_namespace: str = "default"
    embedded: bool = False
    stripe_api_base: str | None = None


@dataclass(frozen=True, kw_only=True)
class Parts:
    """All that the API works with. ``background`` does what is left to do after an answer was given."""

    engine: AsyncEngine
    flows: Flows
    delivery: EventDelivery
    consumption: Consumption
    live: LiveHub
    background: Background
    notices: NoticeDesk
    top_ups: TopUpDesk
    looks: LookDesk
    settings: ApiSettings


def parts_of(connection: HTTPConnection) -> Parts:
    """The parts of the application that a request or a socket has come to."""
    return cast(Parts, connection.app.state.parts)
