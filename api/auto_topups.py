"""An account's auto top-up as its owner sees it and chooses it, over HTTP and over the WebSocket alike."""

from dataclasses import dataclass

from api.parts import Parts
from api.wire.auto_topups import AutoTopupRequest
from ledger.balances import read_balance
from ledger.opening import find_account
from ledger.rules.errors import InvalidOrder
from ledger.rules.limits import MAX_TOP_UP_CREDITS, MIN_PURCHASE_CREDITS
from ledger.rules.topping_up import TopUpRule
from ledger.topping_up import AutoTopup, read_auto_topup, set_auto_topup
from messages.payments import UNSETTLED_STATES


@dataclass(frozen=True)
class ShownAutoTopup:
    """The settings, and a warning where a charge is about to be made."""

    settings: AutoTopup
    warning: str | None


async def show_auto_topup(parts: Parts, account_id: str) -> ShownAutoTopup:
    """The account's auto top-up. Raises UnknownAccount or LedgerUnavailable."""
    return await _shown(parts, await read_auto_topup(parts.engine, account_id))


async def choose_auto_topup(parts: Parts, account_id: str, chosen: AutoTopupRequest, *, by: str) -> ShownAutoTopup:
    """Writes what the owner has chosen; switched on below the threshold, it begins at once. Where nothing was ever
    chosen, it is off already, and to switch it off changes nothing.

    Raises InvalidOrder with the range, NoPaymentMethod, UnknownAccount or LedgerUnavailable.
    """
    before = await read_auto_topup(parts.engine, account_id)
    if before.rule is None and _only_off(chosen):
        return await _shown(parts, before)
    rule = _rule(before.rule, chosen)
    shown = await _shown(parts, await set_auto_topup(parts.engine, account_id, rule, enabled=chosen.enabled, by=by))
    if shown.warning is not None:
        parts.top_ups.chosen(account_id)
    return shown


def _only_off(chosen: AutoTopupRequest) -> bool:
    """Whether it is switched off, and nothing is chosen for later."""
    return not chosen.enabled and (chosen.threshold, chosen.target, chosen.monthly_limit_cents) == (None, None, None)


def _rule(before: TopUpRule | None, chosen: AutoTopupRequest) -> TopUpRule:
    """What is chosen now, completed by what was chosen before where that may be left out."""
    threshold, target = chosen.threshold, chosen.target
    if before is not None and not chosen.enabled:
        threshold = before.threshold if threshold is None else threshold
        target = before.target if target is None else target
    if threshold is None:
        raise InvalidOrder("threshold", "is required")
    if target is None:
        raise InvalidOrder("target", "is required")
    limit = chosen.monthly_limit_cents
    if before is not None and "monthly_limit_cents" not in chosen.model_fields_set:
        # Nobody loses his limit by not naming it; null takes it away.
        limit = before.monthly_limit_cents
    return TopUpRule(threshold, target, limit)


async def _shown(parts: Parts, settings: AutoTopup) -> ShownAutoTopup:
    if not settings.enabled or settings.rule is None:
        return ShownAutoTopup(settings, warning=None)
    balance = await read_balance(parts.engine, settings.account_id)
    if balance.net >= settings.rule.threshold or _waits(settings):
        return ShownAutoTopup(settings, warning=None)
    account = await find_account(parts.engine, settings.account_id)
    return ShownAutoTopup(settings, warning=_warning(settings.rule, balance.net, kind=account.kind))


def _waits(settings: AutoTopup) -> bool:
    """Whether nothing is charged now all the same: it is paused, or a top-up is under way already."""
    under_way = settings.last is not None and settings.last.state in UNSETTLED_STATES
    return under_way or settings.not_before is not None


def _warning(rule: TopUpRule, net: int, *, kind: str) -> str:
    credits = min(max(rule.target - net, MIN_PURCHASE_CREDITS), MAX_TOP_UP_CREDITS[kind])
    fewer = "" if rule.monthly_limit_cents is None else ", or fewer where the monthly limit does not allow so many"
    return (
        f"The balance is {net:,} credits, which is below {rule.threshold:,}: the payment method is charged at once, "
        f"for about {credits:,} credits{fewer}."
    )
