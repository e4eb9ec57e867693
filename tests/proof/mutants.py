"""Known-bad ledgers: each is ours with one thing wrong, by a substitution in its source.

A-1 to A-8 are arithmetic defects that an existing system has had; the others are what one gets wrong easily. A mutant
whose old text is no longer in the source is an error, not a mutant: adapt it to the new source.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT


@dataclass(frozen=True)
class Change:
    """A substitution: ``old`` must be in the file, as often as ``times`` says."""

    file: str
    old: str
    new: str
    times: int = 1

    def make(self, ledger: Path) -> None:
        """Substitutes in this copy of the ledger. Raises ValueError for an old text that is not there."""
        path = ledger / self.file
        source = path.read_text()
        if source.count(self.old) != self.times:
            raise ValueError(
                f"ledger/{self.file} has {source.count(self.old)} times, not {self.times} times: {self.old!r}. "
                "The ledger has changed: adapt the mutant in tests/proof/mutants.py."
            )
        path.write_text(source.replace(self.old, self.new))


def copy_ledger(folder: Path, changes: tuple[Change, ...]) -> None:
    """Puts a copy of the ledger, with the changes, into the folder, for a process that looks there first."""
    shutil.copytree(ROOT / "ledger", folder / "ledger")
    for change in changes:
        change.make(folder / "ledger")


_OWE = "        self.debt += shortfall\n"
_CLAIM = "recorded = await claim_grant(tx, account, order)"
_GRANT = (
    '        outcome, change = await with_serializable_transaction(engine, work, what="grant", account_id=account_id)\n'
)
_CLEAR = """
        async def clear(tx: AsyncConnection) -> None:
            one = await lock_account(tx, account_id)
            debt = max(0, one.debt - order.credits)
            await change_account(tx, one, debt=debt, balance=one.balance, held=one.held, next_expiry=one.next_expiry)

        await with_serializable_transaction(engine, clear, what="clear")
"""
_REPEAT = "        if recorded is not None:\n"
_FORGIVE = """            debt = max(0, account.debt - order.credits)
            await change_account(
                tx, account, debt=debt, balance=account.balance, held=account.held, next_expiry=account.next_expiry
            )
"""
_FOUND = "            return GrantOutcome("
_TOO_MUCH = "            if shortfall > room:\n"
_TAKE_ALL = "                self.burn_in_full(self.remaining)\n"
_BATCH = "store/consumptions.py"
_BURNING, _HOLDING, _REVERSING = "rules/burning.py", "rules/holding.py", "rules/reversing.py"

MUTANTS: dict[str, tuple[Change, ...]] = {
    # overshooting the last grant loses what is beyond it.
    "what credits do not cover is forgotten": (Change(_BURNING, _OWE, ""),),
    #
    "consumption pays debt instead of adding to it": (
        Change(_BURNING, _OWE, "        self.debt = max(0, self.debt - shortfall)\n"),
    ),
    # a stale overwrite.
    "new debt replaces the old": (Change(_BURNING, _OWE, "        self.debt = max(self.debt, shortfall)\n"),),
    #
    "a grant smaller than the debt forgives all of it": (
        Change("granting.py", "debt=found.debt - payment.paid,", "debt=0,"),
    ),
    #
    "a grant that the debt swallows claims no id": (
        Change("granting.py", _CLAIM, f"{_CLAIM} if account.debt < order.credits else None"),
    ),
    #
    "the debt is cleared by a transaction of its own": (Change("granting.py", _GRANT, _CLEAR + _GRANT),),
    #
    "a repeat is noticed after the debt was cleared": (
        Change("granting.py", _REPEAT + _FOUND, _REPEAT + _FORGIVE + _FOUND),
    ),
    # absolute balances, from a look at the account that is old by now.
    "a batch overwrites what came in between": (Change(_BATCH, " AND accounts.seq = new.seq_read\n", "\n"),),
    "a grant overwrites what came in between": (
        Change("transaction.py", 'isolation_level="SERIALIZABLE"', 'isolation_level="READ COMMITTED"'),
        Change("store/accounts.py", "        .with_for_update(key_share=True)\n", ""),
    ),
    "DO NOTHING is taken for a claim": (
        Change("store/operations.py", "    if taken.first() is not None:\n        return None\n", "    return None\n"),
    ),
    "DO NOTHING in a batch is taken for a claim": (
        Change(_BATCH, "{operations}\n), entered", "{operations} ON CONFLICT DO NOTHING\n), entered"),
    ),
    "credit is spendable at the instant of its expiry": (
        Change("rules/burn_order.py", "now < expires_at", "now <= expires_at"),
    ),
    "a balance shows credit at the instant of its expiry": (
        Change("store/balances.py", "a.next_expiry <= ledger_now()", "a.next_expiry < ledger_now()", times=2),
    ),
    "what expires first is not burned first": (
        Change(_BATCH, "priority, expires_at, created_at", "priority, created_at", times=2),
    ),
    "what was paid for is burned first": (
        Change(_BATCH, "ORDER BY priority, expires_at", "ORDER BY priority DESC, expires_at", times=2),
    ),
    "the debt cap is ignored": (
        Change(_BURNING, "if shortfall > room:", "if shortfall > room and on_insufficient != 'debt':"),
    ),
    "the debt cap is for each demand": (Change(_BURNING, "max(0, self.debt_cap - self.debt)", "self.debt_cap"),),
    "a refusal takes what there is": (Change(_BURNING, _TOO_MUCH, _TOO_MUCH + _TAKE_ALL),),
    "another payload gets the first answer": (
        Change("deciding.py", " or recorded.request != json.loads(item.request)", ""),
    ),
    "another order finds the grant of the first": (
        Change(
            "store/operations.py",
            "(recorded.account_id, recorded.kind, recorded.request) != (account_id, kind, request)",
            "(recorded.account_id, recorded.kind) != (account_id, kind)",
        ),
    ),
    "debt is paid with half of a grant": (
        Change("rules/debt.py", "paid = min(credits, debt)", "paid = min(credits // 2, debt)"),
    ),
    "a payment of debt has one entry only": (
        Change("granting.py", '        entries.append(entry("debt-paid", debt_paid, on_grant=False))\n', ""),
    ),
    "a new grant's expiry is not noted": (
        Change("granting.py", "=earlier(found.next_expiry, new.expires_at)", "=found.next_expiry"),
    ),
    "a change is not counted": (Change("store/accounts.py", "seq = account.seq + 1", "seq = account.seq"),),
    "a balance counts the credits of others": (
        Change("store/balances.py", "WHERE grants.account_id = a.account_id AND live GROUP BY", "WHERE live GROUP BY"),
    ),
    "what was rolled over was paid for by nobody": (
        Change("rules/grant_types.py", "{GrantType.PURCHASE, GrantType.ROLLOVER}", "{GrantType.PURCHASE}"),
    ),
    "an expiry counts from its booking": (
        Change("running.py", "movement, net, origin, event.at)", "movement, net, origin, None)"),
    ),
    "a repeat of a revocation tells what is left to take": (
        Change(
            "revoking.py",
            "_revocation(operation_id, recorded, replayed=True)",
            "_revocation(operation_id, operation, replayed=True)",
        ),
    ),
    "revocation takes what is held": (
        Change("revoking.py", "else unspent.balance - unspent.held", "else unspent.balance"),
    ),
    "what is held can be spent by others": (
        Change(
            _BURNING,
            "        self.remaining -= credits\n        self.held += credits\n",
            "        self.held += credits\n",
        ),
    ),
    "expiry takes what is held": (
        Change(
            _BURNING,
            "        expired = grant.balance - grant.held\n        grant.balance = grant.held\n",
            "        expired = grant.balance\n        grant.balance = 0\n",
        ),
    ),
    "what a hold gives back does not pay debt": (Change(_BURNING, "paid = min(credits, self.debt)", "paid = 0"),),
    "what a hold gives back lives on past its expiry": (
        Change(_HOLDING, "if grant.revoked or not is_live(grant.expires_at, at):", "if grant.revoked:"),
    ),
    "what a hold gives back of a revoked grant lives on": (
        Change(
            _HOLDING, "if grant.revoked or not is_live(grant.expires_at, at):", "if not is_live(grant.expires_at, at):"
        ),
    ),
    "what work cost beyond its hold is not booked": (
        Change(_HOLDING, "purse.burn_in_full(credits - from_hold)", "purse.burn_in_full(0)"),
    ),
    "a hold that lapsed late gives back late": (
        Change("rules/catching_up.py", "lapse(purse, hold, at)", "lapse(purse, hold, now)"),
    ),
    "an extension can shorten a hold": (Change(_HOLDING, "max(hold.held_until, min(", "max(now, min("),),
    "a hold can be extended for ever": (Change(_HOLDING, "latest = hold.created_at +", "latest = now +"),),
    "anybody can settle a hold": (
        Change("deciding_holds.py", "if hold.made_by != order.made_by:", "if not hold.made_by:"),
    ),
    "a reversal takes what is held": (Change(_REVERSING, "grant.balance - grant.held", "grant.balance"),),
    "a reversal takes from others first": (
        Change(
            _REVERSING,
            "return [purchase, *came_of_it, *(grant for grant in rest if grant.grant_id not in rollovers)]",
            "return [*(grant for grant in rest if grant.grant_id not in rollovers), *came_of_it, purchase]",
        ),
    ),
    "a reversal stops at what is there": (Change(_REVERSING, "        purse.debt += owed\n", ""),),
    "a refund takes its whole sum each time": (
        Change(
            "reversing.py",
            "step.reversed_credits - booked.reversed_credits, step.to_freeze(step.target)",
            "step.reversed_credits, step.to_freeze(step.target)",
        ),
    ),
    "what was revoked is taken once more": (
        Change(_REVERSING, "max(0, min(credits, self.revoked - self.covered))", "0"),
    ),
    "what comes back does not pay debt": (Change(_REVERSING, "paid = min(credits, purse.debt)", "paid = 0"),),
    "what comes back revives a revoked grant": (
        Change(_REVERSING, "room = 0 if purchase.revoked else principal", "room = principal"),
    ),
    "a freeze stays when its dispute is over": (
        Change(
            "reversing.py",
            "    if booked.frozen_hold is not None:\n        step.thawed",
            "    if to_take:\n        step.thawed",
        ),
    ),
    "a repeat of a reversal counts as another": (
        Change("reversing.py", "booked.paid_cents) == _cents(target):", "-1) == _cents(target):"),
    ),
}

# These are hunted in every run of the tests; `make soak` hunts all.
CORE = (
    "what credits do not cover is forgotten",
    "consumption pays debt instead of adding to it",
    "new debt replaces the old",
    "a grant smaller than the debt forgives all of it",
    "a grant that the debt swallows claims no id",
    "the debt is cleared by a transaction of its own",
    "a repeat is noticed after the debt was cleared",
    "a batch overwrites what came in between",
    "DO NOTHING is taken for a claim",
    "DO NOTHING in a batch is taken for a claim",
    "credit is spendable at the instant of its expiry",
    "what was paid for is burned first",
    "the debt cap is ignored",
    "a refusal takes what there is",
    "what is held can be spent by others",
    "expiry takes what is held",
    "a reversal stops at what is there",
    "a refund takes its whole sum each time",
)
