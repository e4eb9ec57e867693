"""Purchases: whether they are new, repeats or conflicts, and the way to the workflow for those that are new."""

from dataclasses import dataclass

from api.once import make_once
from api.parts import Parts
from api.wire.purchases import payment_fields
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

    Neither a conflict, nor a repeat, nor an order that the rules refuse waits for Temporal; a repeat of what its owner
    has still to pay has Stripe asked, after the answer. Raises LedgerError, FlowRefused or FlowUnavailable.
    """
    repeated = await find_repeated_purchase(parts.engine, order)
    if repeated is not None:
        parts.looks.asked(repeated)
        return Purchased(repeated, created=False)
    payment, created = await make_once(
        lambda: parts.flows.purchase(order),
        lambda: find_repeated_purchase(parts.engine, order),
        lambda made: made.request_id == order.request_id,
    )
    return Purchased(payment, created=created)


async def shown_payment(parts: Parts, payment: Payment) -> dict[str, object]:
    """The fields of the payment, and the grant that it has paid for, once that is there."""
    grant = await find_grant(parts.engine, payment.operation_id) if payment.granted else None
    return payment_fields(payment, public_url=parts.settings.public_url, grant=grant)
