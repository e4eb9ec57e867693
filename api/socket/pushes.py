"""Notices as they are pushed: a top-up that has added credits, a payment that failed or went back."""

from typing import Any

from api.socket.messages import ActionError, UsageResponse
from api.socket.outbox import NoticePush, Settle
from api.wire.balances import balance_fields
from ledger.balances import Balance
from ledger.store.notices import Notice
from messages.payments import NoticeKind


def push_of(notice: Notice, balance: Balance, settle: Settle) -> NoticePush | None:
    """The message about the notice, or None where there is nothing to say at once: ``init`` tells it.

    ``balance`` was read after the notice; ``settle`` hears whether the message was sent.
    """
    payload = notice.payload
    if notice.kind == NoticeKind.AUTO_TOPUP_ADDED and isinstance(payload.get("credits"), int):
        return _added(notice, balance, settle)
    if isinstance(payload.get("error"), str):
        return _failed(notice, balance, settle)
    return None


def _added(notice: Notice, balance: Balance, settle: Settle) -> NoticePush:
    def telling(newest: Balance, prev_seq: int) -> UsageResponse:
        fields = balance_fields(newest, prev_seq=prev_seq)
        return UsageResponse.model_validate(fields | {"auto_topup_added": notice.payload["credits"]})

    return NoticePush(notice.notice_id, balance, telling, tells_balance=True, settle=settle)


def _failed(notice: Notice, balance: Balance, settle: Settle) -> NoticePush:
    payload = notice.payload

    def telling(newest: Balance, _: int) -> ActionError:
        return ActionError(
            error=payload["error"],
            message=_text(payload.get("message")) or "A payment did not work.",
            action_url=_text(payload.get("actionUrl")),
            remaining_balance=newest.remaining,
        )

    return NoticePush(notice.notice_id, balance, telling, tells_balance=False, settle=settle)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
