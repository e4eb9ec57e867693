"""Purchases: whether they are new, repeats or conflicts, and the way to the workflow for those that are new."""

from dataclasses import dataclass

from api.parts import Parts
from api.wire.purchases import payment_fields
from gateways.temporal.flows import FlowUnavailable
from ledger.granting import find_grant
from ledger.paying import find_repeated_purchase
from messages.payments import Payment, PurchaseOrder


@dataclass(frozen=True)
class Purchased:
    """The payment as it stands, and whether this call made it."""

    payment: Payment
    created: bool


async def purchase_once(parts: Parts, order: PurchaseOrder) -> Purchased:
    """Buys the credits, or answers with what the same order has bought.

    Neither a conflict, nor a repeat, nor an order that the rules refuse reaches Temporal. Raises LedgerError,
    FlowRefused or FlowUnavailable.
    """
    repeated = await find_repeated_purchase(parts.engine, order)
    if repeated is not None:
        return Purchased(repeated, created=False)
    try:
        payment = await parts.flows.purchase(order)
    except FlowUnavailable:
        # The answer is lost; the payment need not be.
        found = await find_repeated_purchase(parts.engine, order)
        if found is None:
            raise
        return Purchased(found, created=found.request_id == order.request_id)
    if payment.request_id == order.request_id:
        return Purchased(payment, created=True)
    # Another call with the same id was first. Whether its payload was ours, the database knows.
    same = await find_repeated_purchase(parts.engine, order)
    if same is None:
        raise FlowUnavailable("The purchase was made by another call and can't be read yet.")
    return Purchased(same, created=False)


async def shown_payment(parts: Parts, payment: Payment) -> dict[str, object]:
    """The fields of the payment, and the grant that it has paid for, once that is there."""
    grant = await find_grant(parts.engine, payment.operation_id) if payment.granted else None
    return payment_fields(payment, public_url=parts.settings.public_url, grant=grant)
