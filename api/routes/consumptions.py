"""Consumption over HTTP."""

from fastapi import APIRouter

from api.auth import AsOwner, Holder, TheParts
from api.calls import ThisCall
from api.middleware.paid import PaidAction
from api.middleware.stack import perform
from api.problems import Problem
from api.wire.consumptions import ConsumptionFields, ConsumptionRequest, consumption_fields
from ledger.consuming import OnInsufficient

router = APIRouter(prefix="/v1", tags=["consumption"])


@router.post("/accounts/{account_id}/consumptions")
async def consume(
    account_id: str, body: ConsumptionRequest, parts: TheParts, principal: AsOwner, call: ThisCall
) -> ConsumptionFields:
    """Spends credits: 200, also for a repeat; 402 with nothing written where the account can't pay, after a wait for
    its auto top-up if that is on."""
    if isinstance(principal, Holder) and body.on_insufficient is not OnInsufficient.REFUSE:
        raise Problem("forbidden", "Only the admin's token may spend into debt; leave onInsufficient out.")
    order = body.order(account_id, actor=principal.actor, request_id=call.call_id)
    action = PaidAction(order, lambda: parts.consumption.consume(order))
    return ConsumptionFields.model_validate(consumption_fields(await perform(parts, action)))
