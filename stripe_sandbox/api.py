"""Stripe's side of one HTTP request: everything around the endpoint.

In this order, as far as Stripe tells: the key, the rate limit, the address, the idempotency layer, the parameters, the
work. The work, its events, and the answer under the idempotency key are one transaction.
"""

import asyncio
import base64
import binascii
import hmac
import logging
from dataclasses import dataclass, field

from starlette.datastructures import Headers

from stripe_sandbox.behaviour import Fault
from stripe_sandbox.clock import rfc3339
from stripe_sandbox.database import encode
from stripe_sandbox.endpoint import Answer, Call, Endpoint, Endpoints
from stripe_sandbox.errors import ApiError, Json, error_fields, not_authenticated, server_error, wrong_parameter
from stripe_sandbox.expansion import expand
from stripe_sandbox.faults import ConnectionCut, fault_error
from stripe_sandbox.forms import Flat, flat_object, nest, read_form
from stripe_sandbox.ids import new_id
from stripe_sandbox.outbox import Cause
from stripe_sandbox.records import KeptAnswer
from stripe_sandbox.resources import ENDPOINTS
from stripe_sandbox.sandbox import Sandbox

KEY_LONGEST = 255

log = logging.getLogger("stripe_sandbox.api")


@dataclass(frozen=True)
class Incoming:
    """One request as it arrived; `base_url` is where a browser finds the stand-in."""

    method: str
    path: str
    query: bytes
    headers: Headers
    body: bytes
    base_url: str
    request_id: str = field(default_factory=lambda: new_id("req_"))

    @property
    def idempotency_key(self) -> str | None:
        """The key, which only a POST has: other methods are idempotent by themselves."""
        return self.headers.get("idempotency-key") if self.method == "POST" else None


@dataclass(frozen=True)
class Outgoing:
    """What is answered; `replay_of` names the request whose answer it was first."""

    status: int
    body: Json
    replay_of: str | None = None


class Api:
    """Answers API requests one at a time but for their waiting."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._endpoints = Endpoints(ENDPOINTS)
        self._keys_in_use: set[str] = set()

    async def answer(self, incoming: Incoming) -> Outgoing:
        """Answer a request and log it.

        Raises:
            ConnectionCut: there is to be no answer.
        """
        sandbox = self._sandbox
        fields, broken = _fields(incoming)
        sandbox.requests.arrived(
            incoming.request_id,
            incoming.method,
            incoming.path,
            incoming.idempotency_key,
            flat_object(fields),
            rfc3339(sandbox.clock.instant()),
        )
        try:
            self._check_outage()
            if broken is not None:
                raise broken
            outgoing = await self._answer(incoming, fields)
        except ApiError as error:
            outgoing = Outgoing(error.status, error.body)
        sandbox.requests.answered(incoming.request_id, outgoing.status, replayed=outgoing.replay_of is not None)
        return outgoing

    async def _answer(self, incoming: Incoming, fields: Flat) -> Outgoing:
        self._authenticate(incoming)
        limited = self._sandbox.behaviour.take_fault(incoming.method, incoming.path, rate_limits=True)
        if limited is not None:
            raise fault_error(limited)
        endpoint, named = self._endpoints.find(incoming.method, incoming.path)
        key = incoming.idempotency_key
        if key is None:
            return await self._work(incoming, fields, endpoint, named)
        kept = self._kept_answer(key, incoming, fields)
        if kept is not None:
            return kept
        self._keys_in_use.add(key)
        try:
            return await self._work(incoming, fields, endpoint, named)
        finally:
            self._keys_in_use.discard(key)

    def _kept_answer(self, key: str, incoming: Incoming, fields: Flat) -> Outgoing | None:
        """Return the answer that the key already has, or refuse its use."""
        if not key or len(key) > KEY_LONGEST:
            message = f"Idempotency keys must have from 1 to {KEY_LONGEST} characters; this one has {len(key)}."
            raise ApiError(400, error_fields("idempotency_error", message), stored=False)
        if key in self._keys_in_use:
            message = (
                f"There is currently another in-progress request using this idempotency key: '{key}'. "
                "Try again later, with the same key."
            )
            error = error_fields("invalid_request_error", message, code="idempotency_key_in_use")
            raise ApiError(409, error, stored=False)
        kept = self._sandbox.answers.find(key)
        if kept is None:
            return None
        if (kept.endpoint, kept.form) != _fingerprint(incoming, fields):
            raise _other_request(key, kept, incoming)
        return Outgoing(kept.status, kept.body, replay_of=kept.request_id)

    async def _work(self, incoming: Incoming, fields: Flat, endpoint: Endpoint, named: dict[str, str]) -> Outgoing:
        """Do the work, unless a fault comes between, and keep the answer under the idempotency key."""
        await asyncio.sleep(self._sandbox.behaviour.current.latency_ms / 1000)
        self._check_outage()
        fault = self._sandbox.behaviour.take_fault(incoming.method, incoming.path, rate_limits=False)
        if fault is not None and not fault.after_work:
            return self._kept(incoming, fields, fault_error(fault))
        try:
            with self._sandbox.database.transaction():
                outgoing = self._run(incoming, fields, endpoint, named, fault)
        except ApiError as error:
            return self._kept(incoming, fields, error)
        except Exception:
            log.exception("%s %s failed", incoming.method, incoming.path)
            return self._kept(incoming, fields, server_error())
        if fault is not None and fault.cut:
            raise ConnectionCut
        return outgoing

    def _run(
        self, incoming: Incoming, fields: Flat, endpoint: Endpoint, named: dict[str, str], fault: Fault | None
    ) -> Outgoing:
        params = endpoint.params.read(nest(fields), "")
        cause = Cause(incoming.request_id, incoming.idempotency_key)
        answer = endpoint.handler(Call(self._sandbox, params, named, cause, incoming.base_url))
        if answer.status < 400:
            answer = Answer(expand(answer.body, params.get("expand", []), self._sandbox.objects), answer.status)
        outgoing = Outgoing(answer.status, answer.body)
        if fault is not None and not fault.cut:
            error = fault_error(fault)
            outgoing = Outgoing(error.status, error.body)
            if not error.stored:
                return outgoing
        self._keep(incoming, fields, outgoing)
        return outgoing

    def _kept(self, incoming: Incoming, fields: Flat, error: ApiError) -> Outgoing:
        outgoing = Outgoing(error.status, error.body)
        if error.stored:
            self._keep(incoming, fields, outgoing)
        return outgoing

    def _keep(self, incoming: Incoming, fields: Flat, outgoing: Outgoing) -> None:
        if incoming.idempotency_key is not None:
            endpoint, form = _fingerprint(incoming, fields)
            kept = KeptAnswer(endpoint, form, incoming.request_id, outgoing.status, outgoing.body)
            self._sandbox.answers.keep(incoming.idempotency_key, kept)

    def _check_outage(self) -> None:
        if self._sandbox.behaviour.current.outage:
            raise ConnectionCut

    def _authenticate(self, incoming: Incoming) -> None:
        given = _api_key(incoming.headers.get("authorization", ""))
        wanted = self._sandbox.config.api_key
        if not given:
            raise not_authenticated("You did not provide an API key: use HTTP Basic (the user name) or Bearer.")
        known = given.startswith("sk_") if wanted is None else hmac.compare_digest(given.encode(), wanted.encode())
        if not known:
            raise not_authenticated(f"Invalid API Key provided: {given[:8]}{'*' * 12}")


def _api_key(authorization: str) -> str:
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _fields(incoming: Incoming) -> tuple[Flat, ApiError | None]:
    """Return the parameters of query string and body, and the refusal if they cannot be read."""
    is_form = "application/x-www-form-urlencoded" in incoming.headers.get("content-type", "")
    if incoming.body and not is_form:
        message = "Invalid request: check that your POST content type is application/x-www-form-urlencoded."
        return [], wrong_parameter(message, param=None)
    try:
        return read_form(incoming.query) + read_form(incoming.body), None
    except ApiError as error:
        return [], error


def _fingerprint(incoming: Incoming, fields: Flat) -> tuple[str, str]:
    return f"{incoming.method} {incoming.path}", encode(sorted(fields))


def _other_request(key: str, kept: KeptAnswer, incoming: Incoming) -> ApiError:
    theirs = f"{incoming.method} {incoming.path}"
    if kept.endpoint != theirs:
        used = f"for the same endpoint they were first used for ('{theirs}' vs '{kept.endpoint}')"
    else:
        used = "with the same parameters they were first used with"
    message = (
        f"Keys for idempotent requests can only be used {used}. "
        f"Try using a key other than '{key}' if you meant to execute a different request."
    )
    return ApiError(400, error_fields("idempotency_error", message), stored=False)
