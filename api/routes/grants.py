"""Grants: making them, reading them, and what operators may do with them."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from api.auth import AsAdmin, AsAnyone, AsOwner, TheParts, refuse_stranger
from api.calls import ThisCall
from api.granting import grant_once
from api.parts import Parts
from api.wire.base import Page
from api.wire.grants import (
    AbandonRequest,
    GrantAnswer,
    GrantRequest,
    OpenGrantAnswer,
    OrderTakenAnswer,
    RetryRequest,
    RevocationAnswer,
    RevokeRequest,
)
from api.wire.pages import PAGE_SIZE, Cursor, Limit, page_of, read_cursor
from ledger.balances import grants_at_stage, grants_of_account
from ledger.granting import find_grant, order_of_grant
from ledger.revoking import revoke_grant
from ledger.rules.errors import StageForbids, UnknownGrant
from messages.grants import CLOSED_STAGES, Grant, GrantStage, OperatorOrder
from messages.names import grant_workflow_id

router = APIRouter(prefix="/v1", tags=["grants"])

OpenStage = Literal["local", "stripe-pending", "awaiting-webhook", "stuck"]


_REPEAT: dict[int | str, dict[str, Any]] = {200: {"model": GrantAnswer, "description": "A repeat: the same grant"}}


@router.post("/accounts/{account_id}/grants", status_code=201, responses=_REPEAT)
async def create_grant(
    account_id: str, body: GrantRequest, parts: TheParts, admin: AsAdmin, call: ThisCall, response: Response
) -> GrantAnswer:
    """Grants credits: 201 when they are usable, 200 for a repeat, 409 for an id that was used for something else."""
    granted = await grant_once(parts, body.order(account_id, actor=admin.actor, request_id=call.call_id))
    if not granted.created:
        response.status_code = 200
    return GrantAnswer.of(granted.grant)


@router.get("/accounts/{account_id}/grants")
async def list_grants(
    account_id: str, parts: TheParts, _: AsOwner, limit: Limit = PAGE_SIZE, cursor: Cursor = None
) -> Page[GrantAnswer]:
    """A page of the account's grants, oldest first."""
    after = read_cursor(cursor, of="account")
    found = await grants_of_account(parts.engine, account_id, after=after, limit=limit + 1)
    return page_of(found, limit=limit, of="account", at=lambda grant: grant.created_at, show=GrantAnswer.of)


@router.get("/grants")
async def list_open_grants(
    parts: TheParts,
    _: AsAdmin,
    stage: Annotated[OpenStage, Query(description="A stage at which the mirroring is not finished.")],
    limit: Limit = PAGE_SIZE,
    cursor: Cursor = None,
) -> Page[OpenGrantAnswer]:
    """A page of the grants at a stage, those that wait the longest first, with the reason and the workflow's page."""
    after = read_cursor(cursor, of=stage)
    found = await grants_at_stage(parts.engine, GrantStage(stage), after=after, limit=limit + 1)

    def show(grant: Grant) -> OpenGrantAnswer:
        settings = parts.settings
        return OpenGrantAnswer.seen_in(grant, ui_url=settings.temporal_ui_url, namespace=settings.temporal_namespace)

    return page_of(found, limit=limit, of=stage, at=lambda grant: grant.stage_since, show=show)


@router.get("/grants/{operation_id}")
async def show_grant(operation_id: str, parts: TheParts, principal: AsAnyone) -> GrantAnswer:
    """The grant that was made under this operation id."""
    grant = await _find(parts, operation_id)
    refuse_stranger(principal, grant)
    return GrantAnswer.of(grant)


@router.post("/grants/{operation_id}/retry", status_code=202)
async def retry_grant(
    operation_id: str, parts: TheParts, admin: AsAdmin, body: RetryRequest | None = None
) -> OrderTakenAnswer:
    """Tells the grant's workflow to try Stripe again."""
    grant = await _find_open(parts, operation_id, wanted="retry")
    by = OperatorOrder(actor=admin.actor, reason=(body or RetryRequest()).reason)
    await parts.flows.retry_grant(await order_of_grant(parts.engine, operation_id), by)
    return _taken(grant)


@router.post("/grants/{operation_id}/abandon", status_code=202)
async def abandon_grant(operation_id: str, body: AbandonRequest, parts: TheParts, admin: AsAdmin) -> OrderTakenAnswer:
    """Tells the grant's workflow to stop the mirroring. The credits stay."""
    grant = await _find_open(parts, operation_id, wanted="abandon")
    by = OperatorOrder(actor=admin.actor, reason=body.reason)
    await parts.flows.abandon_grant(await order_of_grant(parts.engine, operation_id), by)
    return _taken(grant)


@router.post("/grants/{operation_id}/revoke")
async def revoke(
    operation_id: str, body: RevokeRequest, parts: TheParts, admin: AsAdmin, call: ThisCall
) -> RevocationAnswer:
    """Takes back what is unspent of the grant; a repeat changes nothing."""
    await _find(parts, operation_id)
    revocation = await revoke_grant(
        parts.engine, operation_id, reason=body.reason, actor=admin.actor, request_id=call.call_id
    )
    return RevocationAnswer.of(revocation)


async def _find(parts: Parts, operation_id: str) -> Grant:
    # No grant has an id that the database could not even store.
    if not (operation_id.isascii() and operation_id.isprintable()):
        raise UnknownGrant(operation_id)
    return await find_grant(parts.engine, operation_id)


async def _find_open(parts: Parts, operation_id: str, *, wanted: str) -> Grant:
    grant = await _find(parts, operation_id)
    if grant.stage in CLOSED_STAGES:
        raise StageForbids(operation_id, stage=grant.stage, wanted=wanted)
    return grant


def _taken(grant: Grant) -> OrderTakenAnswer:
    return OrderTakenAnswer(
        operation_id=grant.operation_id, workflow_id=grant_workflow_id(grant.operation_id), stage=grant.stage
    )
