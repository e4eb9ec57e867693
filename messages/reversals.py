"""The payloads of reversals: refunds, disputes, late failures. Money is integer minor units, credits are integers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ReversalTarget:
    """What Stripe says now of a payment, in minor units: paid, gone back for good, and frozen while a dispute is open.

    It is a target and no step: told any number of times and in any order, it ends in the same books. ``payment_id`` is
    the PaymentIntent's; ``reason`` says for people why, such as ``refund`` or ``dispute``.
    """

    payment_id: str
    paid_cents: int
    reversed_cents: int
    frozen_cents: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Reversal:
    """What is booked for a payment now, in credits, and what this call has done to get there.

    ``operation_id`` is the id of the grant that the payment paid for. ``reversed_credits`` is what is taken back in
    all, debt included, and ``frozen_credits`` what the freeze keeps now. This call has taken ``taken`` from grants
    and owes ``debt_incurred`` for what nobody could pay, or has given back ``given_back``, of which debt took its part
    first. What the purchase had no room for is on a new grant of the id ``restored_operation_id``. ``net`` is the
    account's live credits less debt, after it. ``changed`` is false for a target that was booked before; ``changes``
    counts how often what is booked for the payment has changed. ``against``: this call has moved money against the
    account, whatever credits there were. ``switched_off``: auto top-up was on, and this call has switched it off.
    """

    payment_id: str
    account_id: str
    operation_id: str
    reversed_credits: int
    frozen_credits: int
    taken: int
    given_back: int
    debt_incurred: int
    net: int
    changed: bool
    changes: int
    restored_operation_id: str | None = None
    against: bool = False
    switched_off: bool = False


@dataclass(frozen=True)
class ReversalOrder:
    """The input of PaymentReversalWorkflow: the payment of which some may have gone back."""

    payment_intent_id: str


@dataclass(frozen=True)
class PaymentStanding:
    """What Stripe says now of a payment's money: what was ``paid``, ``refunded``, and by disputes ``withdrawn`` and
    ``reinstated``, in cents; ``dispute_open`` while a dispute or an inquiry is not closed. ``failed``: it ended unpaid.
    """

    payment_intent_id: str
    paid_cents: int
    refunded_cents: int
    withdrawn_cents: int
    reinstated_cents: int
    dispute_open: bool
    failed: bool
    operation_id: str | None
