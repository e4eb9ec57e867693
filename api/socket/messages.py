"""What the server sends over the WebSocket."""

from datetime import datetime
from typing import Literal

from api.wire.auto_topups import AutoTopupFields
from api.wire.balances import BalanceFields
from api.wire.base import Answer
from api.wire.consumptions import ConsumptionFields
from api.wire.holds import HoldFields, ReleaseFields, SettlementFields
from api.wire.notices import Notification
from api.wire.purchases import PurchaseAnswer
from messages.grants import GrantStage, GrantStatus, GrantType


class UsageResponse(BalanceFields):
    """The balance, asked for or not: pushed after every change, without a ``requestId`` then.

    ``autoTopupAdded`` credits have just been bought, where it is pushed for that.
    """

    type: Literal["usage-response"] = "usage-response"
    request_id: str | None = None
    auto_topup_added: int | None = None


class InitResponse(BalanceFields):
    """The answer to ``init``: the balance, the product's time, and what happened while the client was away."""

    type: Literal["init-response"] = "init-response"
    request_id: str
    server_time: datetime
    notifications: list[Notification]


class GrantStatusResponse(Answer):
    """Where a grant stands, in the workflow's words; ``answeredBy`` is ``ledger`` where no workflow is left to ask."""

    type: Literal["grant-status-response"] = "grant-status-response"
    request_id: str
    operation_id: str
    account_id: str
    grant_type: GrantType
    credits: int
    stage: GrantStage
    stage_since: datetime
    stripe_grant_id: str | None
    reason: str | None
    details: str
    answered_by: Literal["workflow", "ledger"]

    @classmethod
    def of(
        cls, status: GrantStatus, *, request_id: str, answered_by: Literal["workflow", "ledger"]
    ) -> "GrantStatusResponse":
        """The status on the wire; its ``type`` is the grant's and would hide the message's."""
        fields = {name: value for name, value in vars(status).items() if name != "type"}
        return cls(**fields, grant_type=status.type, request_id=request_id, answered_by=answered_by)


class HoldResponse(HoldFields):
    """The answer to ``hold``; ``paidBy`` is the account whose credits are held."""

    type: Literal["hold-response"] = "hold-response"
    request_id: str
    paid_by: str


class ExtendResponse(HoldFields):
    """The answer to ``extend``: the hold as it is now."""

    type: Literal["extend-response"] = "extend-response"
    request_id: str
    paid_by: str


class SettleResponse(SettlementFields):
    """The answer to ``settle``; ``paidBy`` is the account that paid."""

    type: Literal["settle-response"] = "settle-response"
    request_id: str
    paid_by: str


class ReleaseResponse(ReleaseFields):
    """The answer to ``release``; ``paidBy`` is the account whose credits were held."""

    type: Literal["release-response"] = "release-response"
    request_id: str
    paid_by: str


class ConsumeResponse(ConsumptionFields):
    """The answer to ``consume``; ``paidBy`` is the account whose credits were spent."""

    type: Literal["consume-response"] = "consume-response"
    request_id: str
    paid_by: str


class AutoTopupResponse(AutoTopupFields):
    """The answer to ``set-auto-topup``."""

    type: Literal["auto-topup-response"] = "auto-topup-response"
    request_id: str


class PurchaseResponse(PurchaseAnswer):
    """The answer to ``buy-credits``."""

    type: Literal["purchase-response"] = "purchase-response"
    request_id: str


class Pong(Answer):
    """The answer to ``ping``."""

    type: Literal["pong"] = "pong"
    request_id: str


class ActionError(Answer):
    """Something did not work: ``error`` is for programs, ``message`` for people, and says what to do.

    ``autoTopupError`` says why a top-up could not help a request that lacked credits.
    """

    type: Literal["action-error"] = "action-error"
    request_id: str | None = None
    error: str
    message: str
    retryable: bool = False
    action_url: str | None = None
    remaining_balance: int | None = None
    auto_topup_error: str | None = None


class RequestReconnect(Answer):
    """This process is about to end; connect again, with ``fromSeq``."""

    type: Literal["request-reconnect"] = "request-reconnect"


def to_text(message: Answer) -> str:
    """The message as a text frame. Fields that say nothing are left out, but where null says much."""
    return message.model_dump_json(exclude_none=not isinstance(message, GrantStatusResponse | AutoTopupResponse))
