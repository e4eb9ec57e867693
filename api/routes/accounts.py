"""Accounts: opening, reading, tokens, the payment method, the balance."""

import logging
from uuid import uuid4

from fastapi import APIRouter, Response

from api.auth import AsAdmin, AsHolder, AsOwner, TheParts
from api.calls import ThisCall
from api.problems import Problem, problem_of
from api.wire.accounts import (
    AccountAnswer,
    AccountRequest,
    PaymentMethodAnswer,
    PaymentMethodRequest,
    TicketAnswer,
    TokenAnswer,
)
from api.wire.balances import BalanceFields, balance_answer
from gateways.temporal.flows import FlowRefused, FlowUnavailable
from ledger.access import TICKET_LIFE, issue_ticket, issue_token
from ledger.balances import read_balance
from ledger.opening import find_account, open_account
from messages.customers import PaymentMethodOrder

router = APIRouter(prefix="/v1", tags=["accounts"])

_log = logging.getLogger(__name__)

_AWAY = "service-unavailable"
_NOT_ATTACHED = (
    "The payment method could not be attached yet: Stripe, or a part of ours, does not answer. Nothing is charged. "
    "Send the request again in a minute."
)


@router.post("/accounts", status_code=201, responses={200: {"model": AccountAnswer, "description": "A repeat"}})
async def create_account(
    body: AccountRequest, parts: TheParts, admin: AsAdmin, call: ThisCall, response: Response
) -> AccountAnswer:
    """Opens an account; 200 with the same account for an external id that has one."""
    opened = await open_account(parts.engine, body.opening(actor=admin.actor, request_id=call.call_id))
    if not opened.created:
        response.status_code = 200
    return AccountAnswer.of(opened.account)


@router.get("/accounts/{account_id}")
async def show_account(account_id: str, parts: TheParts, _: AsOwner) -> AccountAnswer:
    """The account."""
    return AccountAnswer.of(await find_account(parts.engine, account_id))


@router.post("/accounts/{account_id}/tokens", status_code=201)
async def create_token(account_id: str, parts: TheParts, _: AsAdmin, response: Response) -> TokenAnswer:
    """A new token of the account, shown this once."""
    token = await issue_token(parts.engine, account_id)
    response.headers["Cache-Control"] = "no-store"
    return TokenAnswer(token=token)


@router.post("/tickets", status_code=201, tags=["socket"])
async def create_ticket(parts: TheParts, holder: AsHolder, response: Response) -> TicketAnswer:
    """A ticket that opens one WebSocket, for browsers, which can't send a header with it."""
    ticket = await issue_ticket(parts.engine, holder.account_id)
    response.headers["Cache-Control"] = "no-store"
    return TicketAnswer(ticket=ticket, expires_in_seconds=int(TICKET_LIFE.total_seconds()))


@router.put("/accounts/{account_id}/payment-method")
async def put_payment_method(
    account_id: str, body: PaymentMethodRequest, parts: TheParts, _: AsOwner
) -> PaymentMethodAnswer:
    """Attaches a payment method at Stripe and makes it the default; the answer has the id that Stripe stores."""
    await find_account(parts.engine, account_id)
    order = PaymentMethodOrder(attempt_id=str(uuid4()), account_id=account_id, payment_method_id=body.payment_method_id)
    try:
        attached = await parts.flows.attach_payment_method(order)
    except (FlowUnavailable, FlowRefused) as error:
        problem = problem_of(error)
        if problem is None or problem.code != _AWAY:
            raise
        # The advice of other requests is to repeat the operation id, and this one has none.
        _log.warning("No payment method was attached to %s yet: %s", account_id, error)
        raise Problem(_AWAY, _NOT_ATTACHED, retryable=problem.retryable) from error
    return PaymentMethodAnswer.of(attached)


@router.get("/accounts/{account_id}/balance")
async def show_balance(account_id: str, parts: TheParts, _: AsOwner) -> BalanceFields:
    """The account's balance, the fields of ``usage-response``."""
    return balance_answer(await read_balance(parts.engine, account_id))
