"""Grants on the wire."""

from datetime import datetime
from typing import Annotated
from urllib.parse import quote

from pydantic import Field

from api.wire.base import Answer, Credits, Instant, Line, Request
from ledger.revoking import Revocation
from ledger.rules.limits import MAX_DESCRIPTION_LENGTH
from messages.grants import Grant, GrantOrder, GrantStage, GrantType
from messages.names import grant_workflow_id


class GrantRequest(Request):
    """A request for a grant. ``expiresAt`` is for free and referral grants; without it they end at the next reset."""

    operation_id: str
    type: GrantType
    credits: Credits
    description: Annotated[str, Field(max_length=MAX_DESCRIPTION_LENGTH)] | None = None
    expires_at: Instant | None = None

    def order(self, account_id: str, *, actor: str, request_id: str) -> GrantOrder:
        """The request as the grant flow takes it."""
        return GrantOrder(
            operation_id=self.operation_id,
            account_id=account_id,
            type=self.type,
            credits=self.credits,
            description=self.description,
            expires_at=self.expires_at,
            actor=actor,
            request_id=request_id,
        )


class GrantAnswer(Answer):
    """A grant. ``balance`` is what is left of ``principal``; ``stage`` is how far its mirror at Stripe has come."""

    grant_id: str
    operation_id: str
    account_id: str
    type: GrantType
    priority: int
    principal: int
    balance: int
    description: str | None
    expires_at: datetime | None
    created_at: datetime
    stage: GrantStage
    stage_since: datetime
    stripe_grant_id: str | None
    reason: str | None
    workflow_id: str

    @classmethod
    def of(cls, grant: Grant) -> "GrantAnswer":
        """The grant on the wire."""
        return cls(**_fields(grant))


class OpenGrantAnswer(GrantAnswer):
    """A grant whose mirror is not finished, as operators see it: with the page of its workflow, if there is a UI."""

    temporal_ui_url: str | None

    @classmethod
    def seen_in(cls, grant: Grant, *, ui_url: str, namespace: str) -> "OpenGrantAnswer":
        """The grant on the wire, with the link into Temporal's UI at ``ui_url`` (empty: none)."""
        workflow_id = quote(grant_workflow_id(grant.operation_id), safe="")
        link = f"{ui_url.rstrip('/')}/namespaces/{quote(namespace, safe='')}/workflows/{workflow_id}"
        return cls(**_fields(grant), temporal_ui_url=link if ui_url else None)


class RetryRequest(Request):
    """Why Stripe is to be asked again."""

    reason: Line = "asked to try again"


class AbandonRequest(Request):
    """Why the mirroring ends here. The credits stay."""

    reason: Line


class RevokeRequest(Request):
    """Why what is unspent is taken back."""

    reason: Line


class OrderTakenAnswer(Answer):
    """An operator's order was given to the grant's workflow; ``stage`` is where the grant stood then."""

    operation_id: str
    workflow_id: str
    stage: GrantStage


class RevocationAnswer(Answer):
    """What a revocation took back, in credits; a repeat changes nothing and says what the first one did."""

    operation_id: str
    grant_id: str
    revoked: int
    reason: str
    replayed: bool

    @classmethod
    def of(cls, revocation: Revocation) -> "RevocationAnswer":
        """The revocation on the wire."""
        return cls(
            operation_id=revocation.operation_id,
            grant_id=revocation.grant_id,
            revoked=revocation.revoked,
            reason=revocation.reason,
            replayed=revocation.replayed,
        )


def _fields(grant: Grant) -> dict[str, object]:
    shown = {name: value for name, value in vars(grant).items() if name != "created_by_request"}
    return {**shown, "workflow_id": grant_workflow_id(grant.operation_id)}
