"""Reversals on a real database: what is taken back from where, what is given back, and that only targets count."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import read_balance
from ledger.clock import advance_test_clock
from ledger.consuming import ConsumeOrder
from ledger.explaining import explain
from ledger.revoking import revoke_grant
from ledger.rules.errors import InvalidOrder, UnknownPayment
from ledger.topping_up import read_auto_topup
from ledger.verifying import verify_page
from messages.grants import GrantType
from tests.conftest import Database
from tests.store.holding import MINUTE, do, hold, release
from tests.store.paying import choose
from tests.store.reversing import PAYMENT, booked, buy, left, reverse, roll_over
from tests.store.support import assert_books_balance, count, entries, grant, open_user, owe, session


async def spend(engine: AsyncEngine, account_id: str, credits: int, name: str = "spent") -> None:
    await do(engine, ConsumeOrder(account_id, name, credits))


async def assert_right(database: Database, engine: AsyncEngine) -> None:
    """The books add up, by the tests' own sums and by the verification; the past does too."""
    await assert_books_balance(database)
    page = await verify_page(engine, limit=100)
    assert page.mismatches == []
    assert all(each.adds_up for each in page.totals.values())
    for each in page.totals.values():
        assert each.issued == each.spent + each.expired + each.revoked + each.reversed + each.live - each.debt


async def test_a_payment_that_fails_late_takes_what_is_left_and_the_rest_is_owed(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    await spend(engine, account_id, 40)
    done = await reverse(engine, 1000)
    assert (done.account_id, done.operation_id, done.payment_id) == (account_id, "bought", PAYMENT)
    assert (done.taken, done.debt_incurred, done.given_back) == (60, 40, 0)
    assert (done.reversed_credits, done.frozen_credits, done.net, done.changed) == (100, 0, -40, True)
    assert await booked(database, account_id) == [("reversed", -60, "bought"), ("reversed", -40, None)]
    written = [("granted", 100, 100), ("consumed", -40, 60), ("reversed", -60, 0), ("reversed", -40, -40)]
    assert await entries(database, account_id) == written
    balance = await read_balance(engine, account_id)
    assert (balance.debt, balance.net, balance.usage) == (40, -40, 40)
    await assert_right(database, engine)


async def test_what_is_missing_is_taken_from_other_credits_in_burn_order(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    await spend(engine, account_id, 40)
    await grant(engine, account_id, "admin", 30)
    await grant(engine, account_id, "free", 20, GrantType.FREE)
    done = await reverse(engine, 1000)
    assert (done.taken, done.debt_incurred, done.net) == (100, 0, 10)
    taken = [("reversed", -60, "bought"), ("reversed", -20, "free"), ("reversed", -20, "admin")]
    assert await booked(database, account_id) == taken
    await assert_right(database, engine)


async def test_the_debt_of_a_reversal_is_beyond_the_cap_and_paid_by_the_next_grant(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    await spend(engine, account_id, 100)
    async with session(database.owner_url) as owner:
        await owner.execute("UPDATE accounts SET debt_cap = 0")
    assert (await reverse(engine, 1000)).debt_incurred == 100
    await grant(engine, account_id, "later", 120)
    assert (await read_balance(engine, account_id)).net == 20
    assert await left(database, account_id) == {"later": (20, 0)}
    await assert_right(database, engine)


async def test_refunds_add_up_to_what_one_refund_takes(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id, 100)
    taken = [(await reverse(engine, cents, paid=999)).taken for cents in (1, 333, 333, 666, 998, 999)]
    assert taken == [0, 33, 0, 33, 33, 1]
    assert (await read_balance(engine, account_id)).net == 0
    assert await count(database, "payment_reversals") == 1
    await assert_right(database, engine)


async def test_a_target_that_is_booked_changes_nothing(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    for cents in ((0, 0), (300, 700), (300, 0), (0, 0)):
        first = await reverse(engine, *cents)
        before = [await count(database, table) for table in ("operations", "journal", "holds", "payment_reversals")]
        seq = (await read_balance(engine, account_id)).seq
        again = await reverse(engine, *cents)
        assert not again.changed
        assert (again.reversed_credits, again.frozen_credits) == (first.reversed_credits, first.frozen_credits)
        assert (again.taken, again.given_back, again.debt_incurred, again.net) == (0, 0, 0, first.net)
        assert before == [
            await count(database, table) for table in ("operations", "journal", "holds", "payment_reversals")
        ]
        assert (await read_balance(engine, account_id)).seq == seq
    await assert_right(database, engine)


async def test_of_a_payment_that_was_never_reversed_nothing_is_written(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    assert (await reverse(engine, 0)).changed is False
    assert await count(database, "payment_reversals") == 0


async def test_what_a_revocation_has_taken_is_not_taken_again(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    await spend(engine, account_id, 40)
    await grant(engine, account_id, "other", 100)
    await revoke_grant(engine, "bought", reason="", actor="operator", request_id="")
    half = await reverse(engine, 500)
    assert (half.taken, half.debt_incurred, half.reversed_credits, half.net) == (0, 0, 50, 100)
    whole = await reverse(engine, 1000)
    assert (whole.taken, whole.debt_incurred, whole.reversed_credits, whole.net) == (40, 0, 100, 60)
    assert await booked(database, account_id) == [("reversed", -40, "other")]
    await assert_right(database, engine)
    # What was covered comes back last, as nothing; and to a revoked grant nothing comes back.
    back = await reverse(engine, 500)
    assert (back.given_back, back.reversed_credits, back.net) == (40, 50, 100)
    assert await left(database, account_id) == {"other": (60, 0), f"reversal-{PAYMENT}-restored-3": (40, 0)}
    assert (await reverse(engine, 0)).given_back == 0
    await assert_right(database, engine)
    # What is frozen needs not be frozen as far as it is gone.
    assert (await reverse(engine, 0, 1000)).frozen_credits == 40
    assert await left(database, account_id) == {"other": (60, 0), f"reversal-{PAYMENT}-restored-3": (40, 40)}
    await assert_right(database, engine)


async def test_a_dispute_freezes_then_takes_then_gives_back(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    await spend(engine, account_id, 40)
    opened = await reverse(engine, 0, 1000)
    assert (opened.frozen_credits, opened.taken, opened.net) == (60, 0, 60)
    balance = await read_balance(engine, account_id)
    assert (balance.remaining, balance.held, balance.debt) == (0, 60, 0)
    assert await booked(database, account_id) == []
    withdrawn = await reverse(engine, 1000)
    assert (withdrawn.frozen_credits, withdrawn.taken, withdrawn.debt_incurred, withdrawn.net) == (0, 60, 40, -40)
    won = await reverse(engine, 0)
    assert (won.given_back, won.reversed_credits, won.net) == (100, 0, 60)
    assert (await booked(database, account_id))[2:] == [
        ("reinstated", 100, "bought"),
        ("debt-paid", -40, "bought"),
        ("debt-paid", 40, None),
    ]
    assert await left(database, account_id) == {"bought": (60, 0)}
    await assert_right(database, engine)


async def test_an_inquiry_freezes_and_lets_go(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    assert (await reverse(engine, 0, 1000)).frozen_credits == 100
    closed = await reverse(engine, 0, 0)
    assert (closed.frozen_credits, closed.net, closed.changed) == (0, 100, True)
    assert (await read_balance(engine, account_id)).remaining == 100
    assert await booked(database, account_id) == []
    again = await reverse(engine, 0, 250)
    assert again.frozen_credits == 25
    async with session(database.owner_url) as owner:
        assert [
            tuple(row) for row in await owner.fetch("SELECT operation_id, state, made_by, held_until FROM holds")
        ] == [
            (f"reversal-{PAYMENT}-freeze-1", "released", "system", None),
            (f"reversal-{PAYMENT}-freeze-3", "open", "system", None),
        ]
    await assert_right(database, engine)


async def test_a_freeze_keeps_at_most_what_is_there_and_makes_no_debt(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    await spend(engine, account_id, 80)
    await grant(engine, account_id, "free", 5, GrantType.FREE)
    assert (await reverse(engine, 0, 1000)).frozen_credits == 25
    assert await left(database, account_id) == {"bought": (20, 20), "free": (5, 5)}
    # What comes later is spendable, until something else is said of the payment.
    await grant(engine, account_id, "later", 50)
    assert (await read_balance(engine, account_id)).remaining == 50
    assert (await reverse(engine, 0, 1000)).changed is False
    partly = await reverse(engine, 100, 900)
    assert (partly.taken, partly.frozen_credits, partly.debt_incurred, partly.net) == (10, 65, 0, 65)
    await assert_right(database, engine)


async def test_who_owes_gets_no_freeze_and_what_thaws_pays_debt(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    await reverse(engine, 0, 500)
    await spend(engine, account_id, 50)
    await owe(database, account_id, 20)
    thawed = await reverse(engine, 0, 1000)
    assert (thawed.frozen_credits, thawed.net) == (30, 30)
    assert await booked(database, account_id) == [("debt-paid", -20, "bought"), ("debt-paid", 20, None)]
    await assert_right(database, engine)


async def test_nobody_else_ends_a_freeze_and_no_time_does(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    await grant(engine, account_id, "free", 10, GrantType.FREE)
    await reverse(engine, 0, 1000)
    await advance_test_clock(engine, 90 * 86_400)
    await grant(engine, account_id, "after", 1)
    balance = await read_balance(engine, account_id)
    assert (balance.remaining, balance.held) == (1, 100)
    await assert_right(database, engine)


async def test_what_other_holds_keep_is_passed_by(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    await hold(engine, account_id, 70)
    await grant(engine, account_id, "other", 20)
    done = await reverse(engine, 1000)
    assert (done.taken, done.debt_incurred, done.net) == (50, 50, 20)
    assert await left(database, account_id) == {"bought": (70, 70)}
    await release(engine, account_id)
    balance = await read_balance(engine, account_id)
    assert (balance.debt, balance.remaining) == (0, 20)
    await assert_right(database, engine)


async def test_what_was_rolled_over_is_taken_where_it_went(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    await spend(engine, account_id, 100)
    await grant(engine, account_id, "other", 50)
    for name in ("rolled", "twice", "foreign"):
        await grant(engine, account_id, name, 30, GrantType.ROLLOVER)
    await roll_over(database, "bought", "rolled")
    await roll_over(database, "rolled", "twice")
    done = await reverse(engine, 900)
    assert (done.taken, done.debt_incurred) == (90, 0)
    taken = [("reversed", -30, "rolled"), ("reversed", -30, "twice"), ("reversed", -30, "other")]
    assert await booked(database, account_id) == taken
    await assert_right(database, engine)


async def test_what_comes_back_beyond_the_principal_becomes_a_rollover_of_it(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    await hold(engine, account_id, 70)
    await grant(engine, account_id, "other", 200)
    await reverse(engine, 1000)
    await release(engine, account_id)
    assert await left(database, account_id) == {"bought": (70, 0), "other": (130, 0)}
    back = await reverse(engine, 0, 1000)
    restored = f"reversal-{PAYMENT}-restored-2"
    assert (back.given_back, back.frozen_credits, back.net) == (100, 100, 300)
    assert await left(database, account_id) == {"bought": (100, 100), "other": (130, 0), restored: (70, 0)}
    assert (await booked(database, account_id))[2:] == [("reinstated", 30, "bought"), ("reinstated", 70, restored)]
    await assert_right(database, engine)
    # The restored one came of the purchase: it gives before the others.
    async with session(database.owner_url) as owner:
        assert (
            await owner.fetchval("SELECT stage FROM grant_mirrors WHERE operation_id = $1", restored) == "not-mirrored"
        )
    await reverse(engine, 0)
    await spend(engine, account_id, 130, "spent-other")
    await hold(engine, account_id, 70, "keeps-restored")
    await spend(engine, account_id, 100, "spent-bought")
    await release(engine, account_id, "keeps-restored")
    await grant(engine, account_id, "free", 40, GrantType.FREE)
    assert await left(database, account_id) == {restored: (70, 0), "free": (40, 0)}
    assert (await reverse(engine, 800)).taken == 80
    assert await left(database, account_id) == {"free": (30, 0)}
    await assert_right(database, engine)


async def test_a_purchase_that_debt_swallowed_is_owed_again(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await owe(database, account_id, 150)
    await buy(engine, account_id)
    done = await reverse(engine, 1000)
    assert (done.taken, done.debt_incurred, done.net) == (0, 100, -150)
    back = await reverse(engine, 400)
    assert (back.given_back, back.net) == (60, -90)
    assert await left(database, account_id) == {}
    await assert_right(database, engine)


async def test_what_fell_due_is_booked_before(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    await spend(engine, account_id, 100)
    await grant(engine, account_id, "free", 10, GrantType.FREE)
    await hold(engine, account_id, 4, ttl_seconds=MINUTE)
    await advance_test_clock(engine, 40 * 86_400)
    done = await reverse(engine, 500)
    assert (done.taken, done.debt_incurred, done.net) == (0, 50, -50)
    assert [kind for kind, *_ in (await entries(database, account_id))[-2:]] == ["expired", "reversed"]
    await assert_right(database, engine)


async def test_a_freeze_of_a_grant_that_was_revoked_is_taken_with_it(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    await grant(engine, account_id, "other", 100)
    await reverse(engine, 0, 600)
    await revoke_grant(engine, "bought", reason="", actor="operator", request_id="")
    assert await left(database, account_id) == {"bought": (60, 60), "other": (100, 0)}
    done = await reverse(engine, 1000)
    assert (done.taken, done.debt_incurred, done.net) == (0, 0, 100)
    assert await booked(database, account_id) == [("revoked", -60, "bought")]
    await assert_right(database, engine)


async def test_a_change_of_less_than_a_credit_leaves_the_freeze_alone(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id, 10)
    assert (await reverse(engine, 0, 500)).frozen_credits == 5
    changed = await reverse(engine, 1, 500)
    assert (changed.frozen_credits, changed.taken, changed.changed) == (5, 0, True)
    assert await count(database, "holds") == 1
    await assert_right(database, engine)


async def test_two_payments_of_an_account_are_separate(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    await buy(engine, account_id, name="second", payment_id="pi_2")
    await reverse(engine, 0, 1000)
    done = await reverse(engine, 1000, payment_id="pi_2")
    assert (done.taken, done.debt_incurred, done.net) == (100, 0, 100)
    assert (await reverse(engine, 0)).net == 100
    assert (await reverse(engine, 0, payment_id="pi_2")).net == 200
    assert await left(database, account_id) == {"bought": (100, 0), "second": (100, 0)}
    await assert_right(database, engine)


async def test_the_past_of_a_freeze_is_explained(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    await advance_test_clock(engine, 10)
    await reverse(engine, 200, 800)
    frozen_at = (await read_balance(engine, account_id)).now
    await advance_test_clock(engine, 3 * 86_400)
    await reverse(engine, 1000)
    await advance_test_clock(engine, 10)
    await reverse(engine, 0)
    then, now = await explain(engine, account_id, at=frozen_at, limit=10), await explain(engine, account_id, limit=10)
    assert (then.net, then.held, then.remaining) == (80, 80, 0)
    assert (now.net, now.held, now.whole.by_kind["reversed"], now.whole.by_kind["reinstated"]) == (100, 0, -100, 100)
    await assert_right(database, engine)


@pytest.mark.parametrize("spent", [True, False])
async def test_the_money_switches_auto_top_up_off_whatever_credits_there_were(engine: AsyncEngine, spent: bool) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    if spent:
        await spend(engine, account_id, 100)
    else:
        await revoke_grant(engine, "bought", reason="", actor="operator", request_id="")
    disputed, refunded, part, more = (0, 1000), (1000, 0), (400, 0), (500, 100)
    story = [(disputed, True), (disputed, False), ((0, 0), False), (refunded, True), (part, False), (more, True)]
    # Then the bank gives back what is disputed still, and withdraws it after all.
    for cents, against in [*story, ((0, 600), False), ((600, 0), True), ((0, 0), False)]:
        await choose(engine, account_id)
        done = await reverse(engine, *cents)
        assert (done.against, done.switched_off) == (against, against), cents
        assert (await read_auto_topup(engine, account_id)).enabled is not against
    await choose(engine, account_id, enabled=False)
    done = await reverse(engine, *refunded)
    assert (done.against, done.switched_off) == (True, False)


async def test_a_payment_without_a_grant_is_unknown(engine: AsyncEngine) -> None:
    with pytest.raises(UnknownPayment) as unknown:
        await reverse(engine, 1000)
    assert (unknown.value.payment_id, unknown.value.code, unknown.value.retryable) == (PAYMENT, "not-found", False)


@pytest.mark.parametrize("cents", [(0, 0, 0), (10, -1, 0), (10, 11, 0), (10, 5, 6), (10, 5, -1)])
async def test_amounts_that_no_payment_has_are_refused(engine: AsyncEngine, cents: tuple[int, int, int]) -> None:
    with pytest.raises(InvalidOrder):
        await reverse(engine, *cents[1:], paid=cents[0])
    for name in ("", "pi/1", "p" * 101):
        with pytest.raises(InvalidOrder):
            await reverse(engine, 1, payment_id=name)
