"""Problem responses (RFC 9457): the one crossing from our errors to what a client reads."""

from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException

from api.catalogue import CATALOGUE
from api.field_errors import field_errors, one_sentence
from gateways.temporal.flows import FlowRefused, FlowUnavailable
from ledger.rules.errors import InvalidOrder, LedgerError
from messages.failures import Failure

RETRY_AFTER_SECONDS = 1

_CODES_OF_STATUS = {400: "malformed-body", 404: "not-found", 405: "method-not-allowed"}
_CODES_OF_FAILURE: dict[str, str] = {
    Failure.UNKNOWN_ACCOUNT: "unknown-account",
    Failure.UNKNOWN_GRANT: "not-found",
    Failure.UNKNOWN_PAYMENT: "not-found",
    Failure.IDEMPOTENCY_CONFLICT: "idempotency-conflict",
    Failure.INVALID_ORDER: "invalid-request",
    Failure.LIMIT_EXCEEDED: "limit-exceeded",
    Failure.STRIPE_REFUSED: "payment-method-refused",
    Failure.STRIPE_AUTHENTICATION_REQUIRED: "payment-method-refused",
    Failure.STRIPE_OUTAGE: "service-unavailable",
    Failure.STRIPE_OUTCOME_UNKNOWN: "service-unavailable",
}


# What OpenAPI says of every answer that is none of a route's own.
PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem (RFC 9457). /errors lists the codes; more members carry the numbers that matter.",
        "content": {
            "application/problem+json": {
                "schema": {
                    "type": "object",
                    "required": ["type", "title", "status", "detail", "code", "retryable", "requestId"],
                    "properties": {
                        "type": {"type": "string", "format": "uri-reference"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                        "code": {"type": "string", "enum": list(CATALOGUE)},
                        "retryable": {"type": "boolean"},
                        "requestId": {"type": "string"},
                    },
                }
            }
        },
    }
}


class BodyTooLarge(HTTPException):
    """The body has more than ``limit`` bytes. It is the framework's kind of error because it comes out of the reading
    of a body, and everything else that does so is taken for a body that can't be parsed."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"The body may have {limit} bytes.")
        self.limit = limit


class Problem(Exception):
    """An error as clients read it: ``code`` is one of the catalogue's, ``members`` are the numbers that matter."""

    def __init__(
        self, code: str, detail: str, *, retryable: bool = False, members: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.retryable = retryable
        self.members = members or {}
        self.headers: dict[str, str] = {}

    @property
    def status(self) -> int:
        """The HTTP status of the code."""
        return CATALOGUE[self.code].status

    def response(self, *, request_id: str, public_url: str) -> JSONResponse:
        """The problem as the answer to a request."""
        body: dict[str, Any] = {
            "type": f"{public_url}/errors#{self.code}",
            "title": CATALOGUE[self.code].title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "retryable": self.retryable,
            "requestId": request_id,
        }
        headers = dict(self.headers)
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.retryable:
            headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        for name, value in self.members.items():
            body.setdefault(to_camel(name), value)
        return JSONResponse(body, status_code=self.status, headers=headers, media_type="application/problem+json")


def problem_of(error: Exception) -> Problem | None:
    """The problem that an error is to a client, or None for one that nobody expected."""
    match error:
        case Problem():
            return error
        case InvalidOrder():
            return _invalid_field(str(error), field=error.field, problem=error.problem)
        case LedgerError() if error.code in CATALOGUE:
            return Problem(error.code, str(error), retryable=error.retryable, members=vars(error))
        case FlowRefused():
            return _refused(error)
        case FlowUnavailable():
            return _outcome_unknown(str(error))
        case RequestValidationError():
            return _invalid(error)
        case BodyTooLarge():
            return Problem("too-large", error.detail, members={"limit": error.limit})
        case HTTPException():
            return _of_framework(error)
        case _:
            return None


def _refused(refusal: FlowRefused) -> Problem | None:
    code = _CODES_OF_FAILURE.get(refusal.failure)
    if code is None:
        return None
    if code == "service-unavailable":
        return _outcome_unknown(f"Stripe does not answer: {refusal.message}")
    if refusal.failure == Failure.INVALID_ORDER:
        details = refusal.details
        return _invalid_field(refusal.message, field=details.get("field", ""), problem=details.get("problem", ""))
    if code == "payment-method-refused":
        return Problem(code, refusal.message, members=_words_of_stripe(refusal.details))
    return Problem(code, refusal.message, members=refusal.details)


def _words_of_stripe(details: Mapping[str, Any]) -> dict[str, Any]:
    """Stripe's own codes, under names that are not mistaken for ours."""
    named = {"stripe_code": details.get("code"), "decline_code": details.get("decline_code")}
    return {name: value for name, value in named.items() if value is not None}


def _outcome_unknown(what: str) -> Problem:
    advice = CATALOGUE["service-unavailable"].mend
    return Problem("service-unavailable", f"{what} {advice}", retryable=True)


def _invalid_field(detail: str, *, field: str, problem: str) -> Problem:
    return Problem("invalid-request", detail, members={"errors": [{"field": field, "problem": problem}]})


def _invalid(error: RequestValidationError) -> Problem:
    if any(each["type"] == "json_invalid" for each in error.errors()):
        return Problem("malformed-body", "The body is not JSON. " + CATALOGUE["malformed-body"].mend)
    errors = field_errors(error.errors())
    return Problem("invalid-request", one_sentence(errors), members={"errors": errors})


def _of_framework(error: HTTPException) -> Problem:
    code = _CODES_OF_STATUS.get(error.status_code, "internal")
    problem = Problem(code, f"{CATALOGUE[code].title}. {CATALOGUE[code].mend}")
    problem.headers = dict(error.headers or {})
    return problem
