"""What a grant's workflow says of itself, in plain words: for the Temporal UI, its memo and the query ``status``."""

from datetime import datetime

from messages.grants import Grant, GrantOrder, GrantStage


def describe(order: GrantOrder, grant: Grant | None) -> str:
    """One or two sentences: what the workflow waits for, since when, and what an operator can do."""
    if grant is None:
        return f"Granting {order.credits} {order.type} credits to account {order.account_id} in the ledger."
    since = _clock(grant.stage_since)
    usable = f"The {grant.principal} {grant.type} credits are usable."
    match grant.stage:
        case GrantStage.LOCAL:
            return f"{usable} Next, Stripe is told about them."
        case GrantStage.STRIPE_PENDING:
            return (
                f"{usable} Waiting since {since} for Stripe to create the credit grant. It is tried again by itself "
                "until Stripe answers; `abandon` stops the mirroring."
            )
        case GrantStage.AWAITING_WEBHOOK:
            return (
                f"{usable} Stripe has the credit grant {grant.stripe_grant_id}. Waiting since {since} for its webhook; "
                "if that does not come, Stripe is asked."
            )
        case GrantStage.CONFIRMED:
            return f"Done: Stripe has confirmed the credit grant {grant.stripe_grant_id}."
        case GrantStage.STUCK:
            return (
                f"STUCK since {since}: {grant.reason} {usable} An operator can send `retry_stripe_grant` once the "
                "cause is mended, or `abandon` to keep the credits without a mirror at Stripe."
            )
        case GrantStage.ABANDONED:
            return f"Given up by an operator: {grant.reason} {usable} They have no mirror at Stripe."
        case GrantStage.NOT_MIRRORED:
            return f"Done: this grant has no mirror at Stripe ({grant.reason or 'its type is not mirrored'})."


def _clock(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"
