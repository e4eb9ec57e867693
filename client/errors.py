"""What can go wrong for a client: the service said no, or could not be reached."""

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """The root of both."""


class Refused(ClientError):
    """The service answered with a problem.

    Attributes:
        code: for programs, such as ``idempotency-conflict``; docs/errors.md lists them.
        detail: for people, says what to do.
        status: the HTTP status; None where a WebSocket said it.
        retryable: whether the same request may succeed later.
        request_id: by which the service's log knows the request.
        members: the whole problem, with the numbers that matter.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int | None = None,
        retryable: bool = False,
        request_id: str | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status
        self.retryable = retryable
        self.request_id = request_id
        self.members = dict(members or {})


class Unreachable(ClientError):
    """The service, or a part that it needs, did not answer, as often as it was asked. What became of the request is
    unknown; its repeat with the same operation id has one effect."""
