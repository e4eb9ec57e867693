"""What only Stripe, or a person in its dashboard, can start: `POST /_sandbox/trigger`."""

from collections.abc import Callable
from typing import Any

from stripe_sandbox import dashboard
from stripe_sandbox.endpoint import Answer, Call
from stripe_sandbox.errors import Json, no_such
from stripe_sandbox.objects import CREDIT_GRANTS
from stripe_sandbox.params import Flag, Group, Param, Text, Whole
from stripe_sandbox.resources import credit_grants, customers, disputes, payment_methods, refunds
from stripe_sandbox.sandbox import Sandbox


class UnknownTrigger(Exception):
    """A trigger that the stand-in does not have."""


def _touch_grant(call: Call) -> Answer:
    """Tell of a credit grant once more, as it is."""
    grant = call.sandbox.objects.get(CREDIT_GRANTS, call.path["id"], param="id", in_path=True).body
    call.happened("billing.credit_grant.updated", grant, before=grant)
    return Answer(grant)


def _resend(call: Call) -> Answer:
    """Post an event once more, also one that was dropped or given up."""
    event = call.sandbox.outbox.find(call.path["id"])
    if event is None:
        raise no_such("event", call.path["id"], param="object", in_path=True)
    call.sandbox.outbox.resend(event["id"])
    return Answer(event)


AMOUNT = Whole(1, 10**12)
REASON = Text(choices=refunds.REASONS)
# The name of the part of the address that the object's id stands for, the options, and the work.
Trigger = tuple[str, dict[str, Param], Callable[[Call], Answer]]
TRIGGERS: dict[str, Trigger] = {
    "billing.credit_grant.voided": ("id", {}, credit_grants.void),
    "billing.credit_grant.expired": ("id", {}, credit_grants.expire),
    "billing.credit_grant.updated": ("id", {}, _touch_grant),
    "credit_grant.applied": ("id", {"amount": AMOUNT}, credit_grants.apply_credit),
    "customer.deleted": ("customer", {}, customers.delete),
    "payment_method.detached": ("payment_method", {}, payment_methods.detach_one),
    "payment_intent.succeeded": ("id", {}, dashboard.succeed_payment),
    "payment_intent.payment_failed": ("id", {"code": Text()}, dashboard.fail_payment),
    "charge.refunded": ("id", {"amount": AMOUNT, "reason": REASON}, dashboard.refund_charge),
    "refund.created": ("id", {"amount": AMOUNT, "reason": REASON}, dashboard.refund_charge),
    "refund.failed": ("id", {}, dashboard.fail_refund),
    "refund.succeeded": ("id", {}, dashboard.succeed_refund),
    "charge.dispute.created": (
        "id",
        {"amount": AMOUNT, "status": Text(choices=disputes.OPEN), "withdraw": Flag()},
        dashboard.open_dispute,
    ),
    "charge.dispute.funds_withdrawn": ("id", {}, dashboard.withdraw_funds),
    "charge.dispute.funds_reinstated": ("id", {}, dashboard.reinstate_funds),
    "charge.dispute.closed": ("id", {"status": Text(choices=dashboard.CLOSED_AS)}, dashboard.close_dispute),
    "checkout.session.expired": ("id", {}, dashboard.expire_session),
    "resend": ("id", {}, _resend),
}


def pull(sandbox: Sandbox, event: str, wanted: str, options: dict[str, Any], base_url: str) -> Json:
    """Do what the trigger says to one object and return the object.

    Args:
        sandbox: where.
        event: a key of `TRIGGERS`.
        wanted: the object's id.
        options: the trigger's own options, as strings, numbers, or true and false.
        base_url: where a browser finds the stand-in.

    Raises:
        UnknownTrigger: there is none of that name.
        ApiError: the object is unknown, or forbids it.
    """
    if event not in TRIGGERS:
        raise UnknownTrigger(f"unknown event {event!r}; there are: {', '.join(sorted(TRIGGERS))}")
    part, described, work = TRIGGERS[event]
    with sandbox.database.transaction():
        params = Group(described).read({name: _written(value) for name, value in options.items()}, "")
        answer = work(Call(sandbox, params, {part: wanted}, base_url=base_url))
    sandbox.deliverer.wake()
    return answer.body


def _written(value: Any) -> str:
    """Return an option as a form would have it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
