"""Holds over HTTP: credits are set aside, and later settled or given back."""

from typing import Any

from fastapi import APIRouter, Response

from api.auth import AsAnyone, AsOwner, Holder, Principal, TheParts
from api.calls import ThisCall
from api.middleware.paid import PaidAction
from api.middleware.stack import perform
from api.parts import Parts
from api.problems import Problem
from api.wire.holds import (
    ExtendRequest,
    HoldFields,
    HoldRequest,
    OfAccount,
    ReleaseFields,
    ReleaseRequest,
    SettlementFields,
    SettleRequest,
    hold_fields,
    release_fields,
    settlement_fields,
)
from ledger.consuming import ExtendOrder, HoldOrder, ReleaseOrder, SettleOrder
from ledger.holding import account_of_hold

router = APIRouter(prefix="/v1", tags=["holds"])

_REPEAT: dict[int | str, dict[str, Any]] = {200: {"model": HoldFields, "description": "A repeat: the first answer"}}


@router.post("/accounts/{account_id}/holds", status_code=201, responses=_REPEAT)
async def place_hold(
    account_id: str, body: HoldRequest, parts: TheParts, principal: AsOwner, call: ThisCall, response: Response
) -> HoldFields:
    """Sets credits aside: 201, or 200 for a repeat; 402 with nothing written where there are too few, after a wait for
    the account's auto top-up if that is on."""
    order = HoldOrder(
        account_id=account_id,
        operation_id=body.operation_id,
        credits=body.credits,
        ttl_seconds=body.ttl_seconds,
        made_by=principal.kind,
        actor=principal.actor,
        request_id=call.call_id,
    )
    action = PaidAction(order, lambda: parts.consumption.hold(order))
    held = await perform(parts, action)
    if held.replayed:
        response.status_code = 200
    return HoldFields.model_validate(hold_fields(held))


@router.post("/holds/{operation_id}/extend")
async def extend_hold(
    operation_id: str, body: ExtendRequest, parts: TheParts, principal: AsAnyone, call: ThisCall
) -> HoldFields:
    """Lets the hold live so many seconds from now, never shorter, and a day in all at most."""
    held = await parts.consumption.extend(
        ExtendOrder(
            account_id=await _account_of(parts, principal, operation_id, body),
            operation_id=operation_id,
            ttl_seconds=body.ttl_seconds,
            made_by=principal.kind,
            actor=principal.actor,
            request_id=call.call_id,
        )
    )
    return HoldFields.model_validate(hold_fields(held))


@router.post("/holds/{operation_id}/settle")
async def settle_hold(
    operation_id: str, body: SettleRequest, parts: TheParts, principal: AsAnyone, call: ThisCall
) -> SettlementFields:
    """Ends the hold and books the real cost, in full, also after its time; what is left goes back."""
    settled = await parts.consumption.settle(
        SettleOrder(
            account_id=await _account_of(parts, principal, operation_id, body),
            operation_id=operation_id,
            credits=body.credits,
            made_by=principal.kind,
            actor=principal.actor,
            request_id=call.call_id,
        )
    )
    return SettlementFields.model_validate(settlement_fields(settled))


@router.post("/holds/{operation_id}/release")
async def release_hold(
    operation_id: str,
    parts: TheParts,
    principal: AsAnyone,
    call: ThisCall,
    body: ReleaseRequest | None = None,
) -> ReleaseFields:
    """Ends the hold with nothing spent; a body is needed only to say whose hold is meant."""
    released = await parts.consumption.release(
        ReleaseOrder(
            account_id=await _account_of(parts, principal, operation_id, body),
            operation_id=operation_id,
            made_by=principal.kind,
            actor=principal.actor,
            request_id=call.call_id,
        )
    )
    return ReleaseFields.model_validate(release_fields(released))


async def _account_of(parts: Parts, principal: Principal, operation_id: str, body: OfAccount | None) -> str:
    """Whose hold is meant: the holder's own, or the one that the admin names or has made under this id."""
    named = None if body is None else body.account_id
    if isinstance(principal, Holder):
        if named not in (None, principal.account_id):
            raise Problem("forbidden", "This token belongs to another account.")
        return principal.account_id
    return named or await account_of_hold(parts.engine, operation_id, made_by=principal.kind)
