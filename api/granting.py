"""Grant requests: whether they are new, repeats or conflicts, and the way to the workflow for those that are new."""

from dataclasses import dataclass

from api.once import make_once
from api.parts import Parts
from ledger.balances import read_balance
from ledger.granting import find_repeated_grant
from ledger.rules.orders import check_expiry, check_operation_id, check_order
from messages.grants import Grant, GrantOrder


@dataclass(frozen=True)
class Granted:
    """The grant, and whether this call made it."""

    grant: Grant
    created: bool


async def grant_once(parts: Parts, order: GrantOrder) -> Granted:
    """Makes the grant, or answers with the one that the same order has made.

    Neither a conflict, nor a repeat, nor an order that the rules refuse reaches Temporal. Raises LedgerError,
    FlowRefused or FlowUnavailable.
    """
    check_operation_id(order.operation_id)
    check_order(order)
    repeated = await find_repeated_grant(parts.engine, order)
    if repeated is not None:
        return Granted(repeated, created=False)
    balance = await read_balance(parts.engine, order.account_id)
    check_expiry(order, balance.now)
    grant, created = await make_once(
        lambda: parts.flows.grant(order),
        lambda: find_repeated_grant(parts.engine, order),
        lambda made: made.created_by_request == order.request_id,
    )
    return Granted(grant, created=created)
