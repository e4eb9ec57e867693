"""Auto top-up: whether an account is topped up, and by how much. Pure; amounts in credits, money in minor units."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from ledger.rules.errors import InvalidOrder
from ledger.rules.limits import (
    MAX_MONTHLY_LIMIT_CENTS,
    MAX_PURCHASE_CREDITS,
    MAX_TOP_UP_CREDITS,
    MIN_PURCHASE_CREDITS,
    TARGET_MAX_PURCHASES,
)
from ledger.rules.money import Price, cents_to_credits


@dataclass(frozen=True)
class TopUpRule:
    """What the owner has chosen: below ``threshold`` the balance is topped up to ``target``, and auto top-ups cost at
    most ``monthly_limit_cents`` a cycle (None: no limit)."""

    threshold: int
    target: int
    monthly_limit_cents: int | None


class NoTopUp(StrEnum):
    """Why an account is not topped up now."""

    OFF = "auto top-up is off"
    NOT_YET = "none may begin yet"
    ENOUGH = "the balance is not below the threshold"
    BEYOND_CAP = "a single top-up may not buy what the request needs"
    LIMIT_REACHED = "less than the smallest purchase is left under the monthly limit"


def check_rule(kind: str, rule: TopUpRule) -> None:
    """Raises InvalidOrder, with the range, for what an account of this kind may not choose."""
    highest = MAX_TOP_UP_CREDITS[kind] * TARGET_MAX_PURCHASES
    if not 0 <= rule.threshold < highest:
        raise InvalidOrder("threshold", f"must be from 0 to {highest - 1}, not {rule.threshold}")
    if not rule.threshold < rule.target <= highest:
        raise InvalidOrder(
            "target", f"must be above the threshold: from {rule.threshold + 1} to {highest}, not {rule.target}"
        )
    limit = rule.monthly_limit_cents
    if limit is not None and not 0 <= limit <= MAX_MONTHLY_LIMIT_CENTS:
        raise InvalidOrder("monthlyLimitCents", f"must be null or from 0 to {MAX_MONTHLY_LIMIT_CENTS}, not {limit}")


def check_purchase(credits: int) -> None:
    """Raises InvalidOrder unless so much can be bought at once."""
    if not MIN_PURCHASE_CREDITS <= credits <= MAX_PURCHASE_CREDITS:
        raise InvalidOrder("credits", f"must be from {MIN_PURCHASE_CREDITS} to {MAX_PURCHASE_CREDITS}, not {credits}")


def top_up_credits(
    rule: TopUpRule, *, kind: str, price: Price, net: int, remaining: int, needs: Collection[int], spent_cents: int
) -> int | NoTopUp:
    """How many credits are bought now, or why none.

    ``net`` and ``remaining`` are the account's balance less debt, and what it can spend. ``needs`` are what the waiting
    requests need, each for itself: as many of them are served as one top-up can, the smallest first. ``spent_cents`` is
    what auto top-ups have cost in this cycle. What is bought is rounded so that its price never exceeds the limit.
    """
    if net >= rule.threshold and sum(needs) <= remaining:
        return NoTopUp.ENOUGH
    most = MAX_TOP_UP_CREDITS[kind]
    if rule.monthly_limit_cents is not None:
        most = min(most, cents_to_credits(max(0, rule.monthly_limit_cents - spent_cents), price))
        if most < MIN_PURCHASE_CREDITS:
            return NoTopUp.LIMIT_REACHED
    # Debt is paid first: only what is bought beyond it can be spent.
    debt = max(0, -net)
    shortfall = _shortfall(needs, remaining=remaining, most=most - debt)
    if net >= rule.threshold and shortfall > most:
        # The card would be charged, and the requests refused all the same.
        return NoTopUp.BEYOND_CAP
    wanted = max(rule.target - net, shortfall + debt if shortfall else 0, MIN_PURCHASE_CREDITS)
    return min(wanted, most)


def _shortfall(needs: Collection[int], *, remaining: int, most: int) -> int:
    """What the requests lack that ``most`` more credits can serve, the smallest first; where they can serve none, what
    that one lacks."""
    served = 0
    for need in sorted(needs):
        if served > remaining and served + need - remaining > most:
            break
        served += need
    return max(0, served - remaining)


def sentence_of(rule: TopUpRule, *, kind: str, currency: str) -> str:
    """What will happen, in one plain sentence for the owner."""
    most = MAX_TOP_UP_CREDITS[kind]
    limit = rule.monthly_limit_cents
    monthly = (
        "" if limit is None else f", and at most {limit // 100:,}.{limit % 100:02} {currency.upper()} a month in all"
    )
    return (
        f"When the balance falls below {rule.threshold:,} credits, your payment method is charged for as many as bring "
        f"it back to {rule.target:,}: at least {MIN_PURCHASE_CREDITS:,} and at most {most:,} credits at a time"
        f"{monthly}."
    )
