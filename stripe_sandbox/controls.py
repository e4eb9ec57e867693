"""The test controls under `/_sandbox`: JSON, answered also during an outage, and no part of Stripe's API."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Self, TypeVar

from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from stripe_sandbox.behaviour import Behaviour, ControlModel
from stripe_sandbox.clock import rfc3339
from stripe_sandbox.endpoint import Call
from stripe_sandbox.errors import ApiError, Json
from stripe_sandbox.objects import KINDS
from stripe_sandbox.resources.checkout_flow import expire_due
from stripe_sandbox.sandbox import Sandbox
from stripe_sandbox.transport import BodyTooLarge, read_body
from stripe_sandbox.triggers import UnknownTrigger, pull

BODY_MAX_BYTES = 64 * 1024
ADVANCE_SECONDS_MAX = 100 * 366 * 24 * 60 * 60


class ClockOrder(ControlModel):
    """Move the clock: to an instant, or forward by seconds."""

    now: AwareDatetime | None = None
    advance_seconds: int | None = Field(default=None, ge=0, le=ADVANCE_SECONDS_MAX)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.now is None) is (self.advance_seconds is None):
            raise ValueError("give either now or advanceSeconds")
        return self


def _id_of(named: Any) -> Any:
    return named.get("id") if isinstance(named, dict) else named


class TriggerOrder(ControlModel):
    """Start something: what, on which object (its id, or the object as it was answered), and the trigger's options."""

    model_config = ConfigDict(extra="allow")

    event: str
    object: Annotated[str, BeforeValidator(_id_of)]


class WrongOrder(Exception):
    """A control's request that cannot be followed; the text says why."""


Order = TypeVar("Order", bound=ControlModel)


class Controls:
    """The handlers of the test controls."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[Route]:
        """Return the routes of all test controls."""
        return [
            Route("/_sandbox/health", _answered(self._health)),
            Route("/_sandbox/behaviour", _answered(self._show_behaviour), methods=["GET"]),
            Route("/_sandbox/behaviour", _answered(self._set_behaviour), methods=["POST"]),
            Route("/_sandbox/requests", _answered(self._show_requests), methods=["GET"]),
            Route("/_sandbox/requests", _answered(self._clear_requests), methods=["DELETE"]),
            Route("/_sandbox/objects/{kind}", _answered(self._show_objects)),
            Route("/_sandbox/trigger", _answered(self._trigger), methods=["POST"]),
            Route("/_sandbox/clock", _answered(self._show_clock), methods=["GET"]),
            Route("/_sandbox/clock", _answered(self._move_clock), methods=["POST"]),
            Route("/_sandbox/{rest:path}", _answered(self._unknown), methods=["GET", "POST", "PUT", "DELETE"]),
        ]

    async def _unknown(self, request: Request) -> Json:
        raise WrongOrder(f"there is no test control {request.method} {request.url.path}")

    async def _health(self, _: Request) -> Json:
        behaviour = self._sandbox.behaviour.current
        return {
            "status": "ok",
            "outage": behaviour.outage,
            "pendingWebhooks": self._sandbox.outbox.pending_count(),
            "webhookUrl": self._sandbox.config.webhook_url,
        }

    async def _show_behaviour(self, _: Request) -> Json:
        return self._sandbox.behaviour.current.model_dump(by_alias=True)

    async def _set_behaviour(self, request: Request) -> Json:
        self._sandbox.behaviour.set(await _order(request, Behaviour))
        self._sandbox.deliverer.wake()
        return await self._show_behaviour(request)

    async def _show_requests(self, _: Request) -> Json:
        return {"data": self._sandbox.requests.all()}

    async def _clear_requests(self, _: Request) -> Json:
        self._sandbox.requests.clear()
        return {"data": []}

    async def _show_objects(self, request: Request) -> Json:
        wanted = request.path_params["kind"]
        for kind in KINDS:
            if kind.name == wanted:
                found = self._sandbox.objects.all(kind)
                return {"data": [{**stored.body, "_sandbox": stored.hidden} for stored in found]}
        others: dict[str, Callable[[], list[Json]]] = {
            "events": self._sandbox.outbox.all_events,
            "deliveries": self._sandbox.outbox.all_deliveries,
            "idempotency_keys": self._sandbox.answers.all,
        }
        if wanted not in others:
            names = sorted([kind.name for kind in KINDS] + list(others))
            raise WrongOrder(f"unknown kind {wanted!r}; there are: {', '.join(names)}")
        return {"data": others[wanted]()}

    async def _trigger(self, request: Request) -> Json:
        order = await _order(request, TriggerOrder)
        base_url = self._sandbox.config.base_url(request.url.scheme, request.headers.get("host"))
        return {"object": pull(self._sandbox, order.event, order.object, order.model_extra or {}, base_url)}

    async def _show_clock(self, _: Request) -> Json:
        clock = self._sandbox.clock
        return {"now": rfc3339(clock.instant()), "offsetMs": clock.offset_ms}

    async def _move_clock(self, request: Request) -> Json:
        order = await _order(request, ClockOrder)
        if order.advance_seconds is not None:
            self._sandbox.clock.advance(order.advance_seconds)
        if isinstance(order.now, datetime):
            self._sandbox.clock.set(order.now)
        with self._sandbox.database.transaction():
            expire_due(Call(self._sandbox))
        self._sandbox.deliverer.wake()
        return await self._show_clock(request)


async def _order(request: Request, model: type[Order]) -> Order:
    try:
        return model.model_validate_json(await read_body(request.receive, BODY_MAX_BYTES))
    except BodyTooLarge as too_large:
        raise WrongOrder(f"the body has more than {BODY_MAX_BYTES} bytes") from too_large
    except ValidationError as wrong:
        raise WrongOrder("; ".join(_sentence(list(error["loc"]), error["msg"]) for error in wrong.errors())) from wrong


def _sentence(location: list[int | str], message: str) -> str:
    where = ".".join(str(step) for step in location)
    return f"{where}: {message}" if where else message


def _answered(handler: Callable[[Request], Awaitable[Json]]) -> Callable[[Request], Awaitable[JSONResponse]]:
    """Turn a handler's result, or its refusal, into JSON."""

    async def answer(request: Request) -> JSONResponse:
        try:
            return JSONResponse(await handler(request))
        except ApiError as refusal:
            return JSONResponse(refusal.body, refusal.status)
        except (WrongOrder, UnknownTrigger) as wrong:
            return JSONResponse({"error": {"type": "sandbox_error", "message": str(wrong)}}, 400)

    return answer
