"""Stripe's refusals: an HTTP status and a body `{"error": {type, code, message, param, …}}`.

The shapes follow https://docs.stripe.com/api/errors, the codes https://docs.stripe.com/error-codes.
"""

from typing import Any

Json = dict[str, Any]


class ApiError(Exception):
    """A request that is refused: whatever it had begun is rolled back.

    Attributes:
        status: the HTTP status.
        body: the whole answer.
        stored: whether the answer is kept under the request's idempotency key. Stripe keeps only what was answered
            once the endpoint had begun its work, so a request whose parameters were wrong may be sent again.
    """

    def __init__(self, status: int, error: Json, *, stored: bool = True) -> None:
        super().__init__(error["message"])
        self.status = status
        self.body = {"error": error}
        self.stored = stored


def error_fields(kind: str, message: str, *, code: str | None = None, param: str | None = None) -> Json:
    """Return the inside of an error body; what is None is left out, as Stripe does."""
    fields: Json = {"type": kind, "message": message}
    if code is not None:
        fields["code"] = code
        fields["doc_url"] = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
    if param is not None:
        fields["param"] = param
    return fields


def wrong_parameter(message: str, *, param: str | None, code: str | None = None) -> ApiError:
    """A request whose parameters are wrong, found before any work: 400, and not kept under its idempotency key."""
    return ApiError(400, error_fields("invalid_request_error", message, code=code, param=param), stored=False)


def refused(message: str, *, code: str | None = None, param: str | None = None, status: int = 400) -> ApiError:
    """A well-formed request that the present state forbids."""
    return ApiError(status, error_fields("invalid_request_error", message, code=code, param=param))


def no_such(noun: str, wanted: str, *, param: str, in_path: bool) -> ApiError:
    """An id that nobody has: 404 when the address names it, 400 when a parameter does."""
    return refused(f"No such {noun}: '{wanted}'", code="resource_missing", param=param, status=404 if in_path else 400)


def unknown_address(method: str, path: str) -> ApiError:
    """An address that is no part of the API."""
    message = f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs."
    return ApiError(404, error_fields("invalid_request_error", message), stored=False)


def not_authenticated(message: str) -> ApiError:
    """A missing or wrong API key."""
    return ApiError(401, error_fields("invalid_request_error", message), stored=False)


def server_error(status: int = 500) -> ApiError:
    """A failure of Stripe's own. Only a 500 is kept under the idempotency key: the others come from its front."""
    message = "An unknown error occurred. (This is the stand-in speaking.)"
    return ApiError(status, error_fields("api_error", message), stored=status == 500)
