"""Grant requests: whether they are new, repeats or conflicts, and the way to the workflow for those that are new."""

from dataclasses import dataclass

from api.parts import Parts
from gateways.temporal.flows import FlowUnavailable
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
    return await _by_workflow(parts, order)


async def _by_workflow(parts: Parts, order: GrantOrder) -> Granted:
    try:
        grant = await parts.flows.grant(order)
    except FlowUnavailable:
        # The answer is lost; the grant need not be.
        found = await find_repeated_grant(parts.engine, order)
        if found is None:
            raise
        return Granted(found, created=found.created_by_request == order.request_id)
    if grant.created_by_request == order.request_id:
        return Granted(grant, created=True)
    # Another call with the same id was first. Whether its payload was ours, the database knows.
    same = await find_repeated_grant(parts.engine, order)
    if same is None:
        raise FlowUnavailable("The grant was made by another call and can't be read yet.")
    return Granted(same, created=False)
