"""What the messages about holds do. The hold is the connection's account's, made with the account's own token."""

from typing import Any

from api.auth import Holder
from api.calls import new_call
from api.middleware.paid import PaidAction
from api.middleware.stack import perform
from api.parts import Parts
from api.socket.messages import ExtendResponse, HoldResponse, ReleaseResponse, SettleResponse
from api.socket.requests import Extend, Hold, Release, Settle
from api.wire.base import Answer
from api.wire.holds import hold_fields, release_fields, settlement_fields
from ledger.consuming import ExtendOrder, HoldOrder, ReleaseOrder, SettleOrder

HoldMessage = Hold | Extend | Settle | Release


async def about_hold(parts: Parts, account_id: str, message: HoldMessage) -> Answer:
    """Does what the message asks and gives its answer. Raises what ``ledger/consuming.py`` does."""
    holder = Holder(account_id)
    order: dict[str, Any] = {
        "account_id": account_id,
        "operation_id": message.operation_id,
        "made_by": holder.kind,
        "actor": holder.actor,
        "request_id": new_call(message.request_id).call_id,
    }
    more = {"request_id": message.request_id, "paid_by": account_id}
    consumption = parts.consumption
    match message:
        case Hold():
            wanted = HoldOrder(**order, credits=message.credits, ttl_seconds=message.ttl_seconds)
            action = PaidAction(wanted, lambda: consumption.hold(wanted))
            held = await perform(parts, action)
            return HoldResponse.model_validate(hold_fields(held) | more)
        case Extend():
            extended = await consumption.extend(ExtendOrder(**order, ttl_seconds=message.ttl_seconds))
            return ExtendResponse.model_validate(hold_fields(extended) | more)
        case Settle():
            settled = await consumption.settle(SettleOrder(**order, credits=message.credits))
            return SettleResponse.model_validate(settlement_fields(settled) | more)
        case Release():
            released = await consumption.release(ReleaseOrder(**order))
            return ReleaseResponse.model_validate(release_fields(released) | more)
