"""How much of a payment has gone back: by refunds, and by disputes.

https://docs.stripe.com/refunds and https://docs.stripe.com/disputes/how-disputes-work
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stripe import StripeClient

from gateways.stripe.errors import our_errors
from gateways.stripe.intents import charge_of, operation_of
from messages.payments import PaymentIntentId
from messages.reversals import PaymentStanding

_PAGE = 100
# Of these the money stays here, or has come back. Those that are pending count as gone.
_NO_REFUND = frozenset({"canceled", "failed"})
# An inquiry (`warning_…`) may end without a dispute; one that was `prevented` was refunded before it became one.
_CLOSED = frozenset({"lost", "prevented", "warning_closed", "won"})

Json = Mapping[str, Any]


async def retrieve(client: StripeClient, payment: PaymentIntentId) -> PaymentStanding:
    """Asks for the payment, all its refunds and all its disputes, whatever attempt of it they belong to.

    The payment may be anybody's.
    """
    intent_id = payment.payment_intent_id
    async with our_errors():
        intent = await client.v1.payment_intents.retrieve_async(intent_id, {"expand": ["latest_charge"]})
        refunds = await client.v1.refunds.list_async({"payment_intent": intent_id, "limit": _PAGE})
        disputes = await client.v1.disputes.list_async({"payment_intent": intent_id, "limit": _PAGE})
        return standing_of(
            intent.to_dict(),
            [refund.to_dict() async for refund in refunds.auto_paging_iter()],
            [dispute.to_dict() async for dispute in disputes.auto_paging_iter()],
        )


def standing_of(intent: Json, refunds: Iterable[Json], disputes: Sequence[Json]) -> PaymentStanding:
    """The sums, in the payment's currency and its minor units."""
    paid = int(intent.get("amount_received") or 0) or _captured(charge_of(intent))
    moved = [_moved(dispute, intent["currency"], paid) for dispute in disputes]
    return PaymentStanding(
        payment_intent_id=intent["id"],
        paid_cents=paid,
        refunded_cents=sum(refund["amount"] for refund in refunds if refund.get("status") not in _NO_REFUND),
        withdrawn_cents=sum(withdrawn for withdrawn, _ in moved),
        reinstated_cents=sum(reinstated for _, reinstated in moved),
        dispute_open=any(dispute["status"] not in _CLOSED for dispute in disputes),
        failed=not paid and _has_ended(intent),
        operation_id=operation_of(intent),
    )


def _has_ended(intent: Json) -> bool:
    """Whether nothing more comes of it by itself: it was canceled, or its last attempt failed."""
    waits_for_another_method = intent["status"] == "requires_payment_method" and intent.get("last_payment_error")
    return intent["status"] == "canceled" or bool(waits_for_another_method)


def _captured(charge: Json) -> int:
    """What a charge that succeeded has brought; a bank's debit that is pending says `captured` as well."""
    return int(charge.get("amount_captured") or 0) if charge.get("status") == "succeeded" else 0


def _moved(dispute: Json, currency: str, paid: int) -> tuple[int, int]:
    """What a dispute has withdrawn of the payment, and given back of that.

    Each dispute for itself is capped at what was paid, since exchange rates move between payment and dispute; its fee
    is no part of the payment, so that ``amount`` counts, and not ``net``.
    """
    transactions = dispute.get("balance_transactions") or []
    withdrawn = min(_sum(dispute, [each for each in transactions if each["amount"] < 0], currency, paid), paid)
    reinstated = min(_sum(dispute, [each for each in transactions if each["amount"] > 0], currency, paid), withdrawn)
    return withdrawn, reinstated


def _sum(dispute: Json, transactions: Sequence[Json], currency: str, paid: int) -> int:
    """Their sum without its sign, in the payment's currency.

    Balance transactions are in the currency that we are paid out in. Where that is not the payment's, the dispute's
    own amount stands for them; where that is in yet another one, all that was paid.
    """
    if all(each["currency"] == currency for each in transactions):
        return abs(sum(int(each["amount"]) for each in transactions))
    return int(dispute["amount"]) if dispute["currency"] == currency else paid
