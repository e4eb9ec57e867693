"""The settings of auto top-up, and the accounts whose balances have fallen below their thresholds."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.rules.money import Price
from ledger.rules.topping_up import TopUpRule
from ledger.store.accounts import LEDGER_NOW
from ledger.store.payment_tables import UNSETTLED_TOP_UP, auto_topups, payments
from ledger.store.tables import account_profiles, accounts


@dataclass(frozen=True)
class TopUpSettings:
    """An account's settings as they are stored. ``disabled_*`` say why and when it was switched off by itself, and
    ``not_before`` until when no attempt begins."""

    enabled: bool
    rule: TopUpRule
    disabled_reason: str | None
    disabled_message: str | None
    disabled_at: datetime | None
    not_before: datetime | None

    def paused_until(self, now: datetime) -> datetime | None:
        """Until when no attempt may begin, though it is on; None where one may at ``now``."""
        return self.not_before if self.not_before is not None and now < self.not_before else None


@dataclass(frozen=True)
class TopUpAccount:
    """What a decision about an account needs besides its balance."""

    kind: str
    price: Price
    cycle_start: datetime
    next_reset: datetime
    reset_anchor_day: int
    default_payment_method: dict[str, Any] | None
    now: datetime


async def find_settings(tx: AsyncConnection, account_id: UUID) -> TopUpSettings | None:
    """The account's settings, or None where it never had any."""
    found = await tx.execute(select(auto_topups).where(auto_topups.c.account_id == account_id))
    row = found.one_or_none()
    if row is None:
        return None
    return TopUpSettings(
        enabled=row.enabled,
        rule=TopUpRule(row.threshold, row.target, row.monthly_limit_cents),
        disabled_reason=row.disabled_reason,
        disabled_message=row.disabled_message,
        disabled_at=row.disabled_at,
        not_before=row.not_before,
    )


async def find_top_up_account(tx: AsyncConnection, account_id: UUID) -> TopUpAccount | None:
    """The account as far as top-ups concern it, or None."""
    found = await tx.execute(
        select(
            accounts.c.kind,
            accounts.c.price_cents,
            accounts.c.price_credits,
            accounts.c.currency,
            accounts.c.cycle_start,
            accounts.c.next_reset,
            accounts.c.reset_anchor_day,
            account_profiles.c.default_payment_method,
            LEDGER_NOW.label("now"),
        )
        .join(account_profiles, account_profiles.c.account_id == accounts.c.account_id)
        .where(accounts.c.account_id == account_id)
    )
    row = found.one_or_none()
    if row is None:
        return None
    return TopUpAccount(
        kind=row.kind,
        price=Price(row.price_cents, row.price_credits, row.currency),
        cycle_start=row.cycle_start,
        next_reset=row.next_reset,
        reset_anchor_day=row.reset_anchor_day,
        default_payment_method=row.default_payment_method,
        now=row.now,
    )


async def write_settings(tx: AsyncConnection, account_id: UUID, rule: TopUpRule, *, enabled: bool, by: str) -> None:
    """Writes what the owner has chosen; an earlier reason for being off is forgotten, and so is a pause."""
    values = {
        "enabled": enabled,
        "threshold": rule.threshold,
        "target": rule.target,
        "monthly_limit_cents": rule.monthly_limit_cents,
        "disabled_reason": None,
        "disabled_message": None,
        "disabled_at": None,
        "not_before": None,
        "changed_by": by,
        "changed_at": LEDGER_NOW,
    }
    await tx.execute(
        insert(auto_topups)
        .values(account_id=account_id, **values)
        .on_conflict_do_update(index_elements=[auto_topups.c.account_id], set_=values)
    )


async def write_disabled(tx: AsyncConnection, account_id: UUID, *, reason: str, message: str) -> bool:
    """Switches off what is on; False where nothing was on, and then the earlier reason stays."""
    done = await tx.execute(
        update(auto_topups)
        .where(auto_topups.c.account_id == account_id, auto_topups.c.enabled)
        .values(
            enabled=False,
            disabled_reason=reason,
            disabled_message=message,
            disabled_at=LEDGER_NOW,
            changed_by="system",
            changed_at=LEDGER_NOW,
        )
        .returning(auto_topups.c.account_id)
    )
    return done.first() is not None


async def write_pause(tx: AsyncConnection, account_id: UUID, until: datetime) -> None:
    """No attempt begins before ``until``, unless the owner changes the settings."""
    await tx.execute(update(auto_topups).where(auto_topups.c.account_id == account_id).values(not_before=until))


async def write_threshold(tx: AsyncConnection, account_id: UUID, threshold: int | None) -> None:
    """Writes the threshold beside the balance; None: auto top-up is off. SERIALIZABLE, like the whole row."""
    await tx.execute(update(accounts).where(accounts.c.account_id == account_id).values(topup_threshold=threshold))


async def crossings(tx: AsyncConnection, *, after: UUID, limit: int) -> list[UUID]:
    """Accounts below their thresholds for which nothing is under way and something may begin, in the order of ids."""
    unsettled = (
        select(payments.c.operation_id)
        .where(payments.c.account_id == accounts.c.account_id, text(f"payments.{UNSETTLED_TOP_UP}"))
        .exists()
    )
    found = await tx.execute(
        select(accounts.c.account_id)
        .join(auto_topups, auto_topups.c.account_id == accounts.c.account_id)
        .where(
            accounts.c.topup_threshold.is_not(None),
            accounts.c.balance - accounts.c.debt < accounts.c.topup_threshold,
            func.coalesce(auto_topups.c.not_before, LEDGER_NOW) <= LEDGER_NOW,
            ~unsettled,
            accounts.c.account_id > after,
        )
        .order_by(accounts.c.account_id)
        .limit(limit)
    )
    return list(found.scalars())
