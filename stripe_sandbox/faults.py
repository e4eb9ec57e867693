"""What a request that meets a fault is told."""

from stripe_sandbox.behaviour import Fault
from stripe_sandbox.errors import ApiError, error_fields, server_error
from stripe_sandbox.resources.declines import decline_called

DEFAULT_CODES = {404: "resource_missing", 409: "idempotency_key_in_use", 429: "rate_limit"}


class ConnectionCut(Exception):
    """Instead of an answer, the connection is to be cut."""


def fault_error(fault: Fault) -> ApiError:
    """Return the error that the fault answers with.

    A 402 is a card's refusal and kept under the idempotency key, like a 500. Other refusals are as if the parameters
    had been wrong, and the other server errors come from Stripe's front: neither is kept.

    Raises:
        ConnectionCut: the fault is no answer.
    """
    if fault.cut:
        raise ConnectionCut
    if fault.status == 402:
        return ApiError(402, decline_called(fault.code).error())
    if fault.status >= 500:
        return server_error(fault.status)
    message = "The stand-in was told to refuse this request."
    code = fault.code or DEFAULT_CODES.get(fault.status)
    return ApiError(fault.status, error_fields("invalid_request_error", message, code=code), stored=False)
