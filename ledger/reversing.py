"""Reversals: credits go the way of the money that paid for them, back, on ice, and back again.

The caller tells a target, computed from what Stripe says now, and only the difference to what is booked is booked: in
one transaction, with one change number, whatever has to be released, taken, given back and frozen anew for it.
"""

from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from uuid_utils.compat import uuid7

from ledger.changes import AccountChange, announce
from ledger.expiry import AccountNow, book, look
from ledger.granting import request_of
from ledger.rules.burning import SpendableGrant
from ledger.rules.errors import IdempotencyConflict
from ledger.rules.holding import Hold, Movement, release
from ledger.rules.money import Price
from ledger.rules.reversing import (
    Cover,
    check_target,
    credits_frozen,
    credits_reversed,
    give_back,
    in_turn,
    moves_against,
    set_aside,
    take,
)
from ledger.store import grants as grant_rows
from ledger.store import mirrors as mirror_rows
from ledger.store import reversals as rows
from ledger.store import top_ups as top_up_rows
from ledger.store.accounts import LockedAccount, change_account, lock_account
from ledger.store.holds import write_ends
from ledger.store.journal import Entry, Origin, write_entries
from ledger.store.operations import Operation, claim
from ledger.store.reversals import BookedReversal, Purchase
from ledger.transaction import with_serializable_transaction, with_transaction
from messages.grants import GrantOrder, GrantStage, GrantType, MirrorDriver
from messages.payments import PaymentError
from messages.reversals import Reversal, ReversalTarget

_RESTORED = "Given back after a reversal"


async def reverse_payment(
    engine: AsyncEngine, target: ReversalTarget, *, actor: str = "system", request_id: str
) -> Reversal:
    """Brings what is booked for a payment to the target: takes back, gives back, freezes and thaws the difference.

    A target that is booked changes nothing and writes nothing. Raises InvalidOrder for amounts that no payment can
    have, UnknownPayment where no grant has this payment (yet), LimitExceeded for a debt that no account may have, or
    LedgerUnavailable.
    """
    check_target(target)
    purchase = await with_transaction(
        engine, lambda tx: rows.find_purchase(tx, target.payment_id), what="grant of payment"
    )

    async def work(tx: AsyncConnection) -> tuple[Reversal, AccountChange | None]:
        account = await lock_account(tx, purchase.account_id)
        booked = await _booked(tx, account, purchase, target)
        found = await look(tx, account)
        if (booked.reversed_cents, booked.frozen_cents, booked.paid_cents) == _cents(target):
            kept = await rows.kept_by(tx, account.account_id, booked.frozen_hold)
            return _unchanged(purchase, booked, kept, net=found.balance - found.debt), None
        entries = await book(tx, account, found, request_id=request_id)
        step = await _moved(tx, _Step(account, purchase, target, booked, found, _revoked(purchase, found)))
        await _claim(tx, step, step.reversal(), actor=actor, request_id=request_id)
        seq = await _write(tx, step)
        entries += [_entry(step, movement) for movement in step.movements]
        origin = Origin(account_id=account.account_id, seq=seq, actor=actor, request_id=request_id)
        await write_entries(tx, origin, entries, balance_before=account.balance - account.debt)
        return step.reversal(), AccountChange(account_id=account.account_id, seq=seq)

    reversal, change = await with_serializable_transaction(engine, work, what="reverse", account_id=purchase.account_id)
    if change is not None:
        await announce(engine, change)
    return reversal


async def _booked(
    tx: AsyncConnection, account: LockedAccount, purchase: Purchase, target: ReversalTarget
) -> BookedReversal:
    if target.reversed_cents or target.frozen_cents:
        return await rows.begin_reversal(tx, purchase, paid_cents=target.paid_cents, now=account.now)
    # Nothing is to be reversed: where nothing ever was, nothing is written.
    return await rows.find_reversal(tx, purchase.payment_id) or BookedReversal(target.paid_cents)


def _cents(target: ReversalTarget) -> tuple[int, int, int]:
    return target.reversed_cents, target.frozen_cents, target.paid_cents


def _unchanged(purchase: Purchase, booked: BookedReversal, frozen: int, *, net: int) -> Reversal:
    return Reversal(
        payment_id=purchase.payment_id,
        account_id=str(purchase.account_id),
        operation_id=purchase.operation_id,
        reversed_credits=booked.reversed_credits,
        frozen_credits=frozen,
        taken=0,
        given_back=0,
        debt_incurred=0,
        net=net,
        changed=False,
        changes=booked.changes,
    )


@dataclass(slots=True)
class _Step:
    """The way from what is booked to the target, on running numbers. ``revoked`` is what a revocation has taken of the
    purchase in this very transaction; ``movements`` are the entries, and ``touched`` the grants, that it makes."""

    account: LockedAccount
    purchase: Purchase
    target: ReversalTarget
    booked: BookedReversal
    found: AccountNow
    revoked: int
    movements: list[Movement] = field(default_factory=list)
    touched: dict[UUID, SpendableGrant] = field(default_factory=dict)
    thawed: Hold | None = None
    # What is frozen now, by this step or since before it.
    frozen_hold: str | None = None
    frozen: int = 0
    freeze: Hold | None = None
    restored: SpendableGrant | None = None
    covered: int = 0
    taken: int = 0
    given_back: int = 0
    debt_incurred: int = 0
    against: bool = False
    switched_off: bool = False

    @property
    def number(self) -> int:
        """Which change of this payment it is."""
        return self.booked.changes + 1

    @property
    def operation_id(self) -> str:
        """The operation that books it. The prefix is the system's: no client can choose it."""
        return f"reversal-{self.purchase.payment_id}-{self.number}"

    @property
    def reversed_credits(self) -> int:
        """What is reversed in all when it is done."""
        return credits_reversed(
            self.purchase.principal, paid_cents=self.target.paid_cents, reversed_cents=self.target.reversed_cents
        )

    def to_freeze(self, of: BookedReversal | ReversalTarget) -> int:
        """What is to be frozen at this target."""
        return credits_frozen(
            self.purchase.principal,
            paid_cents=of.paid_cents,
            reversed_cents=of.reversed_cents,
            frozen_cents=of.frozen_cents,
        )

    def move(self, movements: list[Movement]) -> None:
        """Notes what has just moved."""
        self.movements += movements
        self.touch(*(movement.grant for movement in movements if movement.grant is not None))

    def touch(self, *grants: SpendableGrant) -> None:
        """Notes grants whose numbers have changed."""
        self.touched |= {grant.grant_id: grant for grant in grants}

    def reversal(self) -> Reversal:
        """What the caller is told."""
        return Reversal(
            payment_id=self.purchase.payment_id,
            account_id=str(self.purchase.account_id),
            operation_id=self.purchase.operation_id,
            reversed_credits=self.reversed_credits,
            frozen_credits=self.frozen,
            taken=self.taken,
            given_back=self.given_back,
            debt_incurred=self.debt_incurred,
            net=self.found.purse.net,
            changed=True,
            changes=self.number,
            restored_operation_id=None if self.restored is None else self.restored.operation_id,
            against=self.against,
            switched_off=self.switched_off,
        )


async def _moved(tx: AsyncConnection, step: _Step) -> _Step:
    """Makes all moves on the running numbers; nothing of them is written yet."""
    purse, booked, account_id = step.found.purse, step.booked, step.account.account_id
    to_take, to_freeze = step.reversed_credits - booked.reversed_credits, step.to_freeze(step.target)
    if booked.frozen_hold is not None and not to_take and to_freeze == step.to_freeze(booked):
        # Cents that are less than a credit: what is frozen stays so.
        step.frozen_hold, step.frozen = booked.frozen_hold, await rows.kept_by(tx, account_id, booked.frozen_hold)
        step.covered = booked.covered_credits
        return step
    if not purse.grants:
        purse.grants = await grant_rows.filled_grants(tx, account_id)
    purchase = next((each for each in purse.grants if each.grant_id == step.purchase.grant_id), None)
    purchase = purchase or await rows.empty_grant(tx, step.purchase)
    if booked.frozen_hold is not None:
        step.thawed = await rows.find_freeze(tx, account_id, booked.frozen_hold, purse.grants)
        step.touch(*(grant for grant, _ in step.thawed.parts))
        _, movements = release(purse, step.thawed, step.account.now)
        step.revoked += _taken_of(purchase.grant_id, movements, kind="revoked")
        step.move(movements)
    cover = Cover(booked.covered_credits, step.revoked)
    if purchase.revoked:
        cover.revoked += await rows.revoked_credits(tx, account_id, purchase.grant_id)
    if to_take < 0:
        _give_back(step, purchase, cover.give_back(-to_take, booked=booked.reversed_credits))
    to_take = cover.take(max(0, to_take))
    to_freeze -= cover.would_cover(to_freeze)
    await _take_and_freeze(tx, step, purchase, to_take, to_freeze)
    step.covered = cover.covered
    return step


def _give_back(step: _Step, purchase: SpendableGrant, credits: int) -> None:
    restored_id = f"reversal-{step.purchase.payment_id}-restored-{step.number}"
    restored = rows.new_grant(step.purchase, uuid7(), restored_id, GrantType.ROLLOVER)
    movements = give_back(step.found.purse, purchase, credits, principal=step.purchase.principal, restored=restored)
    step.move(movements)
    step.given_back = credits
    if restored.balance:
        step.restored = restored


async def _take_and_freeze(
    tx: AsyncConnection, step: _Step, purchase: SpendableGrant, to_take: int, to_freeze: int
) -> None:
    purse = step.found.purse
    sources, account_id = [purchase], step.account.account_id
    # Whatever is looked up in an index, strangers may conflict over: the others are asked for only where they matter.
    if to_take + to_freeze > purchase.balance - purchase.held:
        grants = purse.grants if step.restored is None else [*purse.grants, step.restored]
        rollovers = await rows.rollovers_of(tx, account_id, purchase.grant_id)
        if step.restored is not None:
            rollovers.add(step.restored.grant_id)
        sources = in_turn(purchase, rollovers, grants)
    taken = take(purse, sources, to_take)
    step.move(taken.movements)
    step.taken, step.debt_incurred = taken.credits, taken.debt_incurred
    parts = set_aside(purse, sources, to_freeze)
    if parts:
        step.frozen_hold = f"reversal-{step.purchase.payment_id}-freeze-{step.number}"
        step.frozen = sum(credits for _, credits in parts)
        step.freeze = Hold(step.frozen_hold, step.frozen, "system", None, step.account.now, parts=parts)
        step.touch(*(grant for grant, _ in parts))


def _revoked(purchase: Purchase, found: AccountNow) -> int:
    """What a revocation takes of the purchase as holds that have lapsed are booked."""
    return sum(_taken_of(purchase.grant_id, event.movements, kind="revoked") for event in found.events)


def _taken_of(grant_id: UUID, movements: list[Movement], *, kind: str) -> int:
    return -sum(
        movement.credits
        for movement in movements
        if movement.kind == kind and movement.grant is not None and movement.grant.grant_id == grant_id
    )


async def _claim(tx: AsyncConnection, step: _Step, reversal: Reversal, *, actor: str, request_id: str) -> None:
    """Claims the ids of all that is written. They are numbered: another's use of one is a conflict, and no repeat."""
    target = step.target
    claims: list[tuple[str, str, dict[str, Any], dict[str, Any] | None]] = [
        (
            step.operation_id,
            "reverse",
            {
                "paidCents": target.paid_cents,
                "reversedCents": target.reversed_cents,
                "frozenCents": target.frozen_cents,
                "reason": target.reason,
            },
            {
                "reversedCredits": reversal.reversed_credits,
                "frozenCredits": reversal.frozen_credits,
                "taken": reversal.taken,
                "givenBack": reversal.given_back,
                "debtIncurred": reversal.debt_incurred,
                "net": reversal.net,
            },
        )
    ]
    if step.freeze is not None:
        request = {"credits": step.freeze.credits, "ttlSeconds": None, "madeBy": step.freeze.made_by}
        claims.append((step.freeze.operation_id, "hold", request, None))
    if step.restored is not None:
        claims.append((step.restored.operation_id, "grant", request_of(_restoration(step, step.restored)), None))
    for operation_id, kind, payload, answer in claims:
        operation = Operation(step.account.account_id, operation_id, kind, payload, answer, actor, request_id)
        if await claim(tx, operation) is not None:
            raise IdempotencyConflict(operation_id)


def _restoration(step: _Step, restored: SpendableGrant) -> GrantOrder:
    """The order that the restored grant would have been made by."""
    return GrantOrder(
        operation_id=restored.operation_id,
        account_id=str(step.account.account_id),
        type=restored.type,
        credits=_principal(step, restored),
        description=_RESTORED,
    )


def _principal(step: _Step, restored: SpendableGrant) -> int:
    """What came back on the new grant, whatever was frozen of it at once."""
    return sum(movement.credits for movement in step.movements if movement.grant is restored)


async def _write(tx: AsyncConnection, step: _Step) -> int:
    """Writes the grants, the freeze, what is booked and the account; answers with its change number."""
    account, purse, found, target = step.account, step.found.purse, step.found, step.target
    if step.restored is not None:
        await _insert_restored(tx, step, step.restored)
    ended = [] if step.thawed is None else [step.thawed]
    if step.touched or ended:
        await write_ends(tx, account.account_id, ended, step.touched.values())
    if step.freeze is not None:
        await rows.insert_freeze(tx, account.account_id, step.freeze)
    booked = replace(
        step.booked,
        paid_cents=target.paid_cents,
        reversed_cents=target.reversed_cents,
        frozen_cents=target.frozen_cents,
        reversed_credits=step.reversed_credits,
        covered_credits=step.covered,
        frozen_hold=step.frozen_hold,
        changes=step.number,
    )
    await rows.write_reversal(tx, step.purchase.payment_id, booked, now=account.now)
    was = step.booked
    step.against = moves_against(target, reversed_cents=was.reversed_cents, frozen_cents=was.frozen_cents)
    if step.against:
        await _switch_off(tx, step)
    return await change_account(
        tx, account, debt=purse.debt, balance=found.balance, held=purse.held, next_expiry=found.next_expiry
    )


async def _switch_off(tx: AsyncConnection, step: _Step) -> None:
    """Whoever takes money back, or may, is not charged again unasked: in the same transaction, whatever comes after."""
    reason, account_id = step.target.reason or "at Stripe", step.account.account_id
    message = f"A payment has been reversed ({reason}). Switch it on again when that is settled."
    step.switched_off = await top_up_rows.write_disabled(tx, account_id, reason=PaymentError.REVERSED, message=message)
    if step.switched_off:
        await top_up_rows.write_threshold(tx, account_id, None)


async def _insert_restored(tx: AsyncConnection, step: _Step, restored: SpendableGrant) -> None:
    principal = _principal(step, restored)
    await grant_rows.insert_grant(
        tx,
        grant_rows.NewGrant(
            grant_id=restored.grant_id,
            account_id=step.account.account_id,
            operation_id=restored.operation_id,
            type=restored.type,
            principal=principal,
            balance=principal,
            expires_at=None,
            description=_RESTORED,
            price=step.purchase.price,
            payment_id=None,
            created_at=step.account.now,
        ),
    )
    await mirror_rows.insert_mirror(
        tx,
        grant_id=restored.grant_id,
        operation_id=restored.operation_id,
        account_id=step.account.account_id,
        stage=GrantStage.NOT_MIRRORED,
        driver=MirrorDriver.WORKFLOW,
    )
    await rows.write_source(tx, step.account.account_id, restored.grant_id, source=step.purchase.grant_id)


def _entry(step: _Step, movement: Movement) -> Entry:
    grant = movement.grant
    return Entry(
        kind=movement.kind,
        operation_id=step.operation_id,
        credits=movement.credits,
        grant_id=None if grant is None else grant.grant_id,
        price=None if grant is None else Price(grant.price_cents, grant.price_credits, grant.currency),
        effective_at=step.account.now,
        payment_id=step.purchase.payment_id,
    )
