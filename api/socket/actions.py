"""What each message of a client does, and how an error is answered."""

import logging

from api.auth import Holder
from api.calls import new_call
from api.middleware.paid import PaidAction
from api.middleware.stack import perform
from api.parts import Parts
from api.problems import Problem, problem_of
from api.socket.holds import about_hold
from api.socket.messages import ActionError, ConsumeResponse, GrantStatusResponse, InitResponse, Pong, UsageResponse
from api.socket.outbox import Outbox
from api.socket.payments import buy_credits, choose_top_ups
from api.socket.requests import (
    BuyCredits,
    ClientMessage,
    Consume,
    Extend,
    GrantStatusQuestion,
    Hold,
    Init,
    Ping,
    Release,
    SetAutoTopup,
    Settle,
    Usage,
)
from api.wire.balances import balance_fields
from api.wire.consumptions import consumption_fields
from api.wire.notices import Notification
from ledger.balances import Balance, read_balance
from ledger.consuming import ConsumeOrder, OnInsufficient
from ledger.granting import find_grant
from ledger.rules.errors import UnknownGrant
from messages.grants import Grant, GrantStatus

_log = logging.getLogger(__name__)

# The contract's words on the socket, where they differ from HTTP's.
_SOCKET_CODES = {"invalid-request": "invalid-message", "malformed-body": "invalid-message"}


async def act(parts: Parts, account_id: str, message: ClientMessage, outbox: Outbox) -> None:
    """Does what the message asks and puts its one answer into the outbox, also when it does not work."""
    try:
        match message:
            case Init():
                await _init(parts, account_id, message, outbox)
            case Usage():
                await _usage(parts, account_id, message, outbox)
            case GrantStatusQuestion():
                outbox.answer(await _grant_status(parts, account_id, message))
            case Consume():
                outbox.answer(await _consume(parts, account_id, message))
            case Hold() | Extend() | Settle() | Release():
                outbox.answer(await about_hold(parts, account_id, message))
            case SetAutoTopup():
                outbox.answer(await choose_top_ups(parts, account_id, message))
            case BuyCredits():
                outbox.answer(await buy_credits(parts, account_id, message))
            case Ping():
                outbox.answer(Pong(request_id=message.request_id))
    except Exception as error:
        # One message that fails must not take its connection, and with it its neighbours, away.
        outbox.answer(action_error(error, message.request_id))


def action_error(error: Exception, request_id: str | None) -> ActionError:
    """The error as clients read it; one that nobody expected is logged and says nothing of our insides."""
    problem = problem_of(error)
    if problem is None:
        _log.error("The message %r failed.", request_id, exc_info=error)
        return ActionError(
            request_id=request_id, error="internal", message="Something went wrong on our side. Try again later."
        )
    return ActionError(
        request_id=request_id,
        error=_SOCKET_CODES.get(problem.code, problem.code),
        message=problem.detail,
        retryable=problem.retryable,
        action_url=problem.members.get("action_url"),
        remaining_balance=problem.members.get("remaining_balance"),
        auto_topup_error=problem.members.get("auto_topup_error"),
    )


async def _init(parts: Parts, account_id: str, message: Init, outbox: Outbox) -> None:
    balance = await read_balance(parts.engine, account_id)
    handout = await parts.notices.read(account_id)
    # One that can't be put into words fails here, where it is answered, and not on its way out.
    shown = {notice.notice_id: Notification.of(notice) for notice in handout.waiting}

    def telling(balance: Balance, prev_seq: int) -> InitResponse:
        fields = balance_fields(balance, prev_seq=prev_seq)
        # What was pushed to this connection a moment ago may still wait to be noted as told.
        notifications = [shown[each.notice_id] for each in handout.take() if outbox.is_news(each.notice_id)]
        more = {"request_id": message.request_id, "server_time": balance.now, "notifications": notifications}
        return InitResponse.model_validate(fields | more)

    outbox.answer_balance(balance, telling, from_seq=message.from_seq, settle=handout.settle)


async def _usage(parts: Parts, account_id: str, message: Usage, outbox: Outbox) -> None:
    def telling(balance: Balance, prev_seq: int) -> UsageResponse:
        fields = balance_fields(balance, prev_seq=prev_seq)
        return UsageResponse.model_validate(fields | {"request_id": message.request_id})

    outbox.answer_balance(await read_balance(parts.engine, account_id), telling)


async def _consume(parts: Parts, account_id: str, message: Consume) -> ConsumeResponse:
    holder = Holder(account_id)
    if message.on_insufficient is not OnInsufficient.REFUSE:
        raise Problem("forbidden", "An account may not spend into debt; leave onInsufficient out.")
    order = ConsumeOrder(
        account_id=account_id,
        operation_id=message.operation_id,
        credits=message.credits,
        actor=holder.actor,
        request_id=new_call(message.request_id).call_id,
    )
    action = PaidAction(order, lambda: parts.consumption.consume(order))
    fields = consumption_fields(await perform(parts, action))
    return ConsumeResponse.model_validate(fields | {"request_id": message.request_id, "paid_by": account_id})


async def _grant_status(parts: Parts, account_id: str, message: GrantStatusQuestion) -> GrantStatusResponse:
    operation_id = message.operation_id
    if not (operation_id.isascii() and operation_id.isprintable()):
        raise UnknownGrant(operation_id)
    grant = await find_grant(parts.engine, operation_id)
    if grant.account_id != account_id:
        raise UnknownGrant(operation_id)
    status = await parts.flows.grant_status(operation_id)
    if status is not None:
        return GrantStatusResponse.of(status, request_id=message.request_id, answered_by="workflow")
    return GrantStatusResponse.of(_as_in_ledger(grant), request_id=message.request_id, answered_by="ledger")


def _as_in_ledger(grant: Grant) -> GrantStatus:
    return GrantStatus(
        operation_id=grant.operation_id,
        account_id=grant.account_id,
        type=grant.type,
        credits=grant.principal,
        stage=grant.stage,
        stage_since=grant.stage_since,
        stripe_grant_id=grant.stripe_grant_id,
        reason=grant.reason,
        details=(
            f"The grant is {grant.stage} by the ledger. Temporal has no workflow of it: either the sweep carries it to "
            "Stripe, or its workflow ended so long ago that Temporal has forgotten it."
        ),
    )
