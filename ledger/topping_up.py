"""Auto top-up: the owner's settings, the decision to top up, and the switch that turns it off.

An attempt is a row of ``payments`` that is written before Stripe hears of it; a unique index lets an account have one
that is not settled. Nothing here turns auto top-up on but the owner's own word.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.changes import AccountChange, announce
from ledger.expiry import look
from ledger.paying import claim_for_payment, read_blocked_methods, record_payment, write_payment
from ledger.rules.errors import IdempotencyConflict, NoPaymentMethod, UnknownAccount
from ledger.rules.reset_dates import coming_reset, running_cycle_start
from ledger.rules.topping_up import NoTopUp, TopUpRule, check_rule, sentence_of, top_up_credits
from ledger.store import payments as payment_rows
from ledger.store import top_ups as rows
from ledger.store.accounts import LockedAccount, change_account, lock_account, parse_account_id
from ledger.store.top_ups import TopUpAccount, TopUpSettings
from ledger.transaction import with_serializable_transaction, with_transaction
from messages.customers import PaymentMethod
from messages.payments import (
    Payment,
    PaymentError,
    PaymentKind,
    PaymentNews,
    PaymentState,
    SwitchOff,
    TopUpDecision,
    TopUpQuestion,
)

_FIRST = UUID(int=0)


@dataclass(frozen=True)
class AutoTopup:
    """An account's auto top-up as its owner sees it. ``rule`` is None where none was ever chosen.

    ``not_before`` is until when its monthly limit keeps it from buying anything, None where nothing does.
    ``spent_cents`` is what auto top-ups have cost in the cycle that began at ``cycle_start``. ``sentence`` says what
    will happen.
    """

    account_id: str
    enabled: bool
    rule: TopUpRule | None
    disabled_reason: str | None
    disabled_message: str | None
    disabled_at: datetime | None
    not_before: datetime | None
    spent_cents: int
    currency: str
    cycle_start: datetime
    sentence: str
    last: Payment | None


async def read_auto_topup(engine: AsyncEngine, account_id: str) -> AutoTopup:
    """The account's auto top-up. Raises UnknownAccount."""
    parsed = parse_account_id(account_id)

    async def work(tx: AsyncConnection) -> AutoTopup:
        account = await rows.find_top_up_account(tx, parsed)
        if account is None:
            raise UnknownAccount(account_id)
        settings = await rows.find_settings(tx, parsed)
        began = _cycle_start(account)
        spent = await payment_rows.top_up_cents_since(tx, parsed, began)
        return _shown(account_id, account, settings, began, spent, await payment_rows.latest_top_up(tx, parsed))

    return await with_transaction(engine, work, what="read auto top-up")


async def set_auto_topup(engine: AsyncEngine, account_id: str, rule: TopUpRule, *, enabled: bool, by: str) -> AutoTopup:
    """Writes what the owner has chosen, and answers with it.

    Raises InvalidOrder with the range, NoPaymentMethod where nothing could be charged, UnknownAccount or
    LedgerUnavailable; then nothing is changed.
    """
    parsed = parse_account_id(account_id)

    async def work(tx: AsyncConnection) -> AccountChange:
        account = await lock_account(tx, parsed)
        check_rule(account.kind, rule)
        if enabled:
            await _check_method(tx, parsed)
        await rows.write_settings(tx, parsed, rule, enabled=enabled, by=by)
        return await _write_threshold(tx, account, rule.threshold if enabled else None)

    change = await with_serializable_transaction(engine, work, what="set auto top-up", account_id=parsed)
    await announce(engine, change)
    return await read_auto_topup(engine, account_id)


async def switch_off(engine: AsyncEngine, order: SwitchOff) -> bool:
    """Switches auto top-up off, with the reason; False where it was off, which keeps the first reason."""
    parsed = parse_account_id(order.account_id)

    async def work(tx: AsyncConnection) -> AccountChange | None:
        account = await lock_account(tx, parsed)
        if not await rows.write_disabled(tx, parsed, reason=order.error, message=order.message):
            return None
        return await _write_threshold(tx, account, None)

    change = await with_serializable_transaction(engine, work, what="switch off", account_id=parsed)
    if change is None:
        return False
    await announce(engine, change)
    return True


async def open_top_up(engine: AsyncEngine, question: TopUpQuestion) -> TopUpDecision:
    """Decides under the account's present state, and stores the attempt where there is to be one.

    Where an earlier attempt is not settled, that one is the answer: it is carried on, and no second begins. A repeat
    of the question finds its own attempt. Raises UnknownAccount, IdempotencyConflict or LedgerUnavailable.

    The account's row is locked while it is decided, and no credits are written: READ COMMITTED is enough, and in
    SERIALIZABLE all these looks into short indexes would have strangers conflict. The claim on the id follows by
    itself; an attempt without it is not given away.
    """
    account_id = parse_account_id(question.account_id)

    async def work(tx: AsyncConnection) -> TopUpDecision:
        account = await lock_account(tx, account_id)
        unsettled = await payment_rows.find_unsettled_top_up(tx, account_id)
        if unsettled is not None:
            return TopUpDecision(unsettled, superseded=await payment_rows.to_cancel(tx, account_id))
        if await payment_rows.find_payment(tx, question.operation_id) is not None:
            # Its own attempt has been made, and has come to an end, or to its owner, by now.
            return TopUpDecision(None, NoTopUp.ENOUGH)
        return await _decide(tx, account, question)

    decision = await with_transaction(engine, work, what="open top-up")
    if decision.payment is not None and decision.payment.state is PaymentState.OPEN:
        await _claim(engine, account_id, decision.payment)
    return decision


async def _claim(engine: AsyncEngine, account_id: UUID, payment: Payment) -> None:
    async def work(tx: AsyncConnection) -> None:
        await lock_account(tx, account_id)
        await claim_for_payment(tx, payment)

    try:
        await with_serializable_transaction(engine, work, what="claim top-up", account_id=account_id)
    except IdempotencyConflict as conflict:
        # It could never be granted. Nobody has been charged, and the next attempt has another id.
        news = PaymentNews(payment.operation_id, PaymentState.FAILED, error=conflict.code, message=str(conflict))
        await record_payment(engine, news)
        raise


async def still_wanted(engine: AsyncEngine, operation_id: str) -> bool:
    """Whether an attempt that Stripe does not know yet should still be made: its owner may have switched auto top-up
    off while Stripe was away. Raises UnknownPurchase."""

    async def work(tx: AsyncConnection) -> bool:
        payment = await payment_rows.get_payment(tx, operation_id)
        settings = await rows.find_settings(tx, parse_account_id(payment.account_id))
        return payment.state is PaymentState.OPEN and settings is not None and settings.enabled

    return await with_transaction(engine, work, what="still wanted")


async def find_crossings(engine: AsyncEngine, *, after: str | None, limit: int) -> list[str]:
    """Accounts below their thresholds that nobody tops up at the moment, in the order of their ids."""
    begin = _FIRST if after is None else parse_account_id(after)
    found = await with_transaction(
        engine, lambda tx: rows.crossings(tx, after=begin, limit=limit), what="find crossings"
    )
    return [str(account_id) for account_id in found]


async def _decide(tx: AsyncConnection, account: LockedAccount, question: TopUpQuestion) -> TopUpDecision:
    settings = await rows.find_settings(tx, account.account_id)
    if settings is None or not settings.enabled:
        return TopUpDecision(None, NoTopUp.OFF)
    paused_until = settings.paused_until(account.now)
    if paused_until is not None:
        # Said again: the answer that paused it may have been lost. Its owner hears of a pause once.
        return _paused(NoTopUp.NOT_YET, paused_until)
    found = await look(tx, account)
    began = _cycle_start(account)
    bought = top_up_credits(
        settings.rule,
        kind=account.kind,
        price=account.price,
        net=found.balance - found.debt,
        remaining=found.balance - found.held,
        needs=question.needs,
        spent_cents=await payment_rows.top_up_cents_since(tx, account.account_id, began),
    )
    if isinstance(bought, NoTopUp):
        return await _no_top_up(tx, account, bought)
    await payment_rows.supersede_waiting_top_ups(tx, account.account_id)
    payment = await write_payment(
        tx,
        account,
        operation_id=question.operation_id,
        kind=PaymentKind.AUTO_TOPUP,
        credits=bought,
        actor="system",
        request_id=question.request_id,
    )
    if payment is None:
        raise IdempotencyConflict(question.operation_id)
    return TopUpDecision(payment, superseded=await payment_rows.to_cancel(tx, account.account_id))


async def _no_top_up(tx: AsyncConnection, account: LockedAccount, reason: NoTopUp) -> TopUpDecision:
    if reason is not NoTopUp.LIMIT_REACHED:
        return TopUpDecision(None, reason)
    # It stays on; until the next cycle, or a higher limit, there is nothing to try.
    until = coming_reset(account.next_reset, account.reset_anchor_day, account.now)
    await rows.write_pause(tx, account.account_id, until)
    return _paused(reason, until)


def _paused(reason: NoTopUp, until: datetime) -> TopUpDecision:
    return TopUpDecision(None, reason, error=PaymentError.LIMIT_REACHED, subject=f"limit/{until.isoformat()}")


async def _check_method(tx: AsyncConnection, account_id: UUID) -> None:
    account = await rows.find_top_up_account(tx, account_id)
    stored = None if account is None else account.default_payment_method
    method = None if stored is None else PaymentMethod(**stored)
    if account is None or method is None:
        raise NoPaymentMethod("The account has no payment method.")
    if not method.is_in_date(account.now):
        raise NoPaymentMethod(f"The card that ends in {method.last4} has expired.")
    if (await read_blocked_methods(tx, account_id)).include(method):
        raise NoPaymentMethod("The payment method was declined for good, or too often.")


async def _write_threshold(tx: AsyncConnection, account: LockedAccount, threshold: int | None) -> AccountChange:
    """Whoever remembers the account has to read it again, so this counts as a change of it."""
    await rows.write_threshold(tx, account.account_id, threshold)
    seq = await change_account(
        tx,
        account,
        debt=account.debt,
        balance=account.balance,
        held=account.held,
        next_expiry=account.next_expiry,
    )
    return AccountChange(account_id=account.account_id, seq=seq)


def _cycle_start(account: TopUpAccount | LockedAccount) -> datetime:
    return running_cycle_start(account.cycle_start, account.next_reset, account.reset_anchor_day, account.now)


def _shown(
    account_id: str,
    account: TopUpAccount,
    settings: TopUpSettings | None,
    began: datetime,
    spent_cents: int,
    last: Payment | None,
) -> AutoTopup:
    rule = None if settings is None else settings.rule
    on = settings is not None and settings.enabled
    will = "Nothing is bought automatically."
    if on and rule is not None:
        will = sentence_of(rule, kind=account.kind, currency=account.price.currency)
    return AutoTopup(
        account_id=account_id,
        enabled=on,
        rule=rule,
        disabled_reason=None if settings is None else settings.disabled_reason,
        disabled_message=None if settings is None else settings.disabled_message,
        disabled_at=None if settings is None else settings.disabled_at,
        not_before=None if settings is None else settings.paused_until(account.now),
        spent_cents=spent_cents,
        currency=account.price.currency,
        cycle_start=began,
        sentence=will,
        last=last,
    )
