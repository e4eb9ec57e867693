"""What an endpoint of the API is: an address, its parameters, and a function of one call."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from stripe_sandbox.errors import Json, unknown_address
from stripe_sandbox.outbox import Cause
from stripe_sandbox.params import Group
from stripe_sandbox.sandbox import Sandbox


@dataclass(frozen=True)
class Answer:
    """What an endpoint says. One with an error status keeps the work that was done, unlike a raised `ApiError`."""

    body: Json
    status: int = 200


@dataclass(frozen=True)
class Call:
    """One piece of work for an endpoint, inside a transaction.

    Attributes:
        sandbox: the state it works on.
        params: the parameters, read and checked.
        path: the parts of the address that the endpoint names.
        cause: what its events come of.
        base_url: where a browser finds the stand-in, for the pages that answers name.
    """

    sandbox: Sandbox
    params: dict[str, Any] = field(default_factory=dict)
    path: dict[str, str] = field(default_factory=dict)
    cause: Cause = field(default_factory=Cause)
    base_url: str = ""

    @property
    def now(self) -> int:
        """The present, in Unix seconds of the stand-in's clock."""
        return self.sandbox.clock.now()

    def page_url(self, kind: str, wanted: str) -> str:
        """Return the address of one of the stand-in's pages: which, and of which object."""
        return f"{self.base_url}/_sandbox/{kind}/{wanted}"

    def happened(self, kind: str, subject: Json, *, before: Json | None = None) -> str:
        """Record an event of this call and return its id."""
        return self.sandbox.outbox.record(kind, subject, self.cause, before=before)


Handler = Callable[[Call], Answer]


@dataclass(frozen=True)
class Endpoint:
    """One method and address, as `POST /v1/customers/{customer}`."""

    method: str
    address: str
    params: Group
    handler: Handler

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """Return the named parts of the path, or None for another endpoint's."""
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.address)
        found = re.fullmatch(pattern, path) if method == self.method else None
        return None if found is None else found.groupdict()


class Endpoints:
    """All endpoints; the first that matches is taken."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._endpoints = list(endpoints)

    def find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
        """Return the endpoint and the named parts of the path.

        Raises:
            ApiError: 404, as Stripe says it.
        """
        for endpoint in self._endpoints:
            named = endpoint.match(method, path)
            if named is not None:
                return endpoint, named
        raise unknown_address(method, path)
