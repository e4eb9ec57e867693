"""Who is asking, and who may do what (contract, "HTTP").

The admin token may do everything over HTTP. An account's token may read and act for its own account; asked about
another account it hears 403 before anybody looks whether that account exists. A grant of another account is as
unknown to it as one that does not exist (404).
"""

import hmac
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Path
from fastapi.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from api.parts import Parts, parts_of
from api.problems import Problem
from ledger.access import account_of_token
from ledger.rules.errors import UnknownGrant
from messages.grants import Grant

GUARDED_PREFIX = "/v1/"


@dataclass(frozen=True)
class Admin:
    """The holder of the admin token."""

    actor: str = "admin"
    # The kind of token: a hold obeys only the kind that made it.
    kind: str = "admin"


@dataclass(frozen=True)
class Holder:
    """The holder of an account's token."""

    account_id: str
    kind: str = "account"

    @property
    def actor(self) -> str:
        """The holder's name in the journal."""
        return f"account:{self.account_id}"


Principal = Admin | Holder


async def identify(parts: Parts, authorization: str | None) -> Principal | None:
    """Who sends this Authorization header; None for nobody that we know. Raises LedgerUnavailable."""
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        return None
    if hmac.compare_digest(token.encode(), parts.settings.admin_token.encode()):
        return Admin()
    account_id = await account_of_token(parts.engine, token)
    return None if account_id is None else Holder(account_id)


class Guard:
    """Lets nobody unknown pass under /v1, before a byte of the body is read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(GUARDED_PREFIX):
            connection = HTTPConnection(scope)
            principal = await identify(parts_of(connection), connection.headers.get("authorization"))
            if principal is None:
                raise Problem("unauthenticated", "The request needs Authorization: Bearer with a token that we know.")
            scope["state"]["principal"] = principal
        await self.app(scope, receive, send)


def principal_of(connection: HTTPConnection) -> Principal:
    """Who the guard let pass."""
    return cast(Principal, connection.scope["state"]["principal"])


def admin_only(connection: HTTPConnection) -> Admin:
    """The admin; raises Problem for everybody else."""
    principal = principal_of(connection)
    if not isinstance(principal, Admin):
        raise Problem("forbidden", "Only the admin token may do this.")
    return principal


def holder_only(connection: HTTPConnection) -> Holder:
    """The holder of an account's token; raises Problem for the admin, who has no account."""
    principal = principal_of(connection)
    if not isinstance(principal, Holder):
        raise Problem("forbidden", "This is for an account's own token; the admin token belongs to no account.")
    return principal


def owner_of(account_id: Annotated[str, Path()], connection: HTTPConnection) -> Principal:
    """Who may act for the account in the path: its own token, or the admin."""
    principal = principal_of(connection)
    if isinstance(principal, Holder) and principal.account_id != account_id:
        raise Problem("forbidden", "This token belongs to another account.")
    return principal


def refuse_stranger(principal: Principal, grant: Grant) -> None:
    """Raises UnknownGrant when the grant is another account's: its existence is none of the asker's business."""
    if isinstance(principal, Holder) and principal.account_id != grant.account_id:
        raise UnknownGrant(grant.operation_id)


AsAdmin = Annotated[Admin, Depends(admin_only)]
AsHolder = Annotated[Holder, Depends(holder_only)]
AsOwner = Annotated[Principal, Depends(owner_of)]
AsAnyone = Annotated[Principal, Depends(principal_of)]
TheParts = Annotated[Parts, Depends(parts_of)]
