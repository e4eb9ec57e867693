"""Every statement that the ledger makes finds its rows by an index, on tables of twenty rows as on any other.

A sequential scan predicate-locks its whole table, and then strangers conflict.
"""

import asyncio
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import (
    access,
    balances,
    customers,
    deferring,
    explaining,
    granting,
    history,
    holding,
    inbox,
    mirroring,
    noticing,
    opening,
    paying,
    reversing,
    revoking,
    sweeping,
    topping_up,
    verifying,
)
from ledger.clock import advance_test_clock
from ledger.consuming import ConsumeOrder, Consumption, HoldOrder, SettleOrder
from ledger.session import SETTINGS as BATCH_SETTINGS
from ledger.store.consumptions import (
    FIND_FREE,
    FIND_OPERATIONS,
    READ_SPENDERS,
    WRITE_BATCH,
    WRITE_BATCH_WITH_HOLDS,
)
from ledger.store.holds import DUE_HOLDS, NAMED_HOLDS
from messages.customers import Customer, DefaultPaymentMethod, PaymentMethod
from messages.grants import GrantOrder, GrantStage, GrantType, StageChange
from messages.payments import NoticeOrder, PaymentState, PurchaseOrder, SwitchOff, grant_order
from messages.reversals import ReversalTarget
from tests.conftest import Database
from tests.store.paying import DECLINE, RULE, ask, attempt, become, choose, topped_up_user
from tests.store.reversing import buy, reverse, roll_over
from tests.store.support import DAY_SECONDS, grant, open_user, owe, session

# Indexes of a few rows among many, which are read from their beginning on purpose, in READ COMMITTED.
SHORT_LISTS = {
    "ix_account_profiles_without_customer",
    "ix_grant_mirrors_open",
    "ix_grant_mirrors_standing",
    "ix_webhook_inbox_quarantined",
}

BATCH_STATEMENTS = {
    "read_spenders": READ_SPENDERS,
    "write_batch": WRITE_BATCH,
    "write_batch_with_holds": WRITE_BATCH_WITH_HOLDS,
    "due_holds": DUE_HOLDS,
    "named_holds": NAMED_HOLDS,
    "find_operations": FIND_OPERATIONS,
    "find_free": FIND_FREE,
}


@pytest.fixture
async def small_tables(database: Database) -> AsyncEngine:
    """Twenty rows or so in every table, and statistics that say so."""
    engine = database.open_engine()
    for number in range(20):
        account_id = await open_user(engine, free_credits=5, name=f"user {number}")
        await grant(engine, account_id, f"g{number}", 5, GrantType.PURCHASE)
        await buy(engine, account_id, name=f"bought-{number}", payment_id=f"pi_{number}")
        await grant(engine, account_id, f"rolled-{number}", 5, GrantType.ROLLOVER)
        await roll_over(database, f"bought-{number}", f"rolled-{number}")
        await reverse(engine, 100, 200, payment_id=f"pi_{number}")
        await access.issue_token(engine, account_id)
        await access.issue_ticket(engine, account_id)
        await choose(engine, account_id)
        await attempt(engine, account_id, f"topup-{number}")
        await become(engine, f"topup-{number}", PaymentState.REQUIRES_ACTION)
        await noticing.give_notice(engine, NoticeOrder(account_id, "auto-topup-failed", "topup", "Authenticate it."))
        await inbox.store_event(engine, event_id=f"evt_{number}", event_type="ping", payload={})
    async with session(database.superuser_url) as superuser:
        await superuser.execute("VACUUM ANALYZE")
    return engine


async def test_every_statement_of_the_ledger_goes_by_an_index(database: Database, small_tables: AsyncEngine) -> None:
    engine = small_tables
    made: dict[str, Any] = {}

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def remember(_: Connection, __: Any, statement: str, parameters: Any, ___: Any, many: bool) -> None:
        made.setdefault(statement, parameters[0] if many else parameters)

    await _do_everything(database, engine)
    event.remove(engine.sync_engine, "before_cursor_execute", remember)
    scanned: dict[str, list[str]] = {}
    used: set[str] = set()
    async with engine.connect() as connection:
        for statement, parameters in made.items():
            if statement.split()[0] not in {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}:
                continue
            plan = (await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)).scalar_one()
            tree = json.loads(plan) if isinstance(plan, str) else plan
            used |= {node["Index Name"] for node in _nodes(tree[0]["Plan"]) if "Index Name" in node}
            if tables := sorted(
                {
                    str(node.get("Relation Name") or node["Index Name"])
                    for node in _nodes(tree[0]["Plan"])
                    if _scans(node)
                }
            ):
                scanned[statement] = tables
    await engine.dispose()
    assert scanned == {}
    wanted = {"ix_accounts_next_expiry", "ix_grants_noticed", "ix_notices_untold", "ix_journal_taken_back"}
    assert wanted - used == set()
    assert {
        "ix_accounts_topped_up",
        "ix_payments_waiting",
        "ix_payments_account_id_created_at_operation_id",
        "uq_payments_payment_intent_id",
        "uq_payments_unsettled_top_up",
    } <= used
    assert len(made) > 40, "the ledger makes more statements than that; does the list below still reach them?"


async def _do_everything(database: Database, engine: AsyncEngine) -> None:
    """Calls every function of the ledger that reaches the database, on every way through it."""
    account_id = (
        await opening.open_account(engine, opening.Opening(kind="user", name="Ada", external_id="ada"))
    ).account.account_id
    await opening.open_account(engine, opening.Opening(kind="user", name="Ada", external_id="ada"))
    await opening.find_account(engine, account_id)
    order = GrantOrder("one", account_id, GrantType.FREE, 5)
    await granting.find_repeated_grant(engine, order)
    for _ in range(2):
        await granting.process_and_grant_credit(engine, order)
    await granting.find_repeated_grant(engine, order)
    await granting.find_grant(engine, "one")
    await granting.order_of_grant(engine, "one")
    await _read(engine, account_id)
    await _mirror(engine, account_id)
    await advance_test_clock(engine, 40 * DAY_SECONDS)
    await grant(engine, account_id, "books-expiry", 5)
    await mirroring.prepare_mirror(engine, "g3")
    for _ in range(2):
        await revoking.revoke_grant(engine, "books-expiry", reason="", actor="", request_id="")
    debtor = await open_user(engine)
    await owe(database, debtor, 5)
    await grant(engine, debtor, "pays", 3)
    await _spend(engine, account_id)
    await _hold(engine)
    await _reverse(engine)
    await _be_a_customer(engine, account_id)
    await _pay(engine)
    await _take_events(engine)
    await _let_time_pass(engine)


async def _read(engine: AsyncEngine, account_id: str) -> None:
    balance = await balances.read_balance(engine, account_id)
    await balances.changed_since(engine, {UUID(account_id): 0})
    for after in (None, (balance.now, UUID(account_id))):
        await balances.grants_of_account(engine, account_id, after=after, limit=10)
        await balances.grants_at_stage(engine, GrantStage.STUCK, after=after, limit=10)
    await _look_back(engine, account_id)


async def _look_back(engine: AsyncEngine, account_id: str) -> None:
    now = (await balances.read_balance(engine, account_id)).now
    filters = (history.EntryFilter(), history.EntryFilter(now, now, ("granted", "consumed"), upto=9))
    for wanted, after, newest_first in itertools.product(filters, (None, 1), (False, True)):
        await history.entries_of_account(engine, account_id, wanted, after=after, newest_first=newest_first, limit=10)
    await verifying.verify_page(engine, limit=10)
    await deferring.deferred_revenue_page(engine, limit=10)
    for at in (None, now):
        await explaining.explain(engine, account_id, at=at, limit=10)
    assert [each.kind async for each in history.all_entries(engine, account_id, filters[0])] == ["granted"] * 2


async def _mirror(engine: AsyncEngine, account_id: str) -> None:
    request = (await mirroring.prepare_mirror(engine, "one")).request
    assert request is not None
    await mirroring.renew_mirror_key(engine, "one", used=request.idempotency_key)
    await mirroring.change_stage(engine, StageChange("one", GrantStage.STUCK, reason="refused"))
    await mirroring.change_stage(engine, StageChange("one", GrantStage.CONFIRMED, stripe_grant_id="credgr_1"))
    await mirroring.change_stage(engine, StageChange("one", GrantStage.CONFIRMED, stripe_grant_id="credgr_2"))
    await mirroring.pump_work(engine, limit=10)
    await mirroring.give_to_workflow(engine, "one")
    await mirroring.spent_mirrors(engine)
    await mirroring.spent_mirrors(engine, account_id=account_id)
    await mirroring.record_closing(engine, "one")


async def _spend(engine: AsyncEngine, account_id: str) -> None:
    consumption = Consumption(engine)
    async with consumption.running():
        for credits in (1, 1, 10**6):  # accepted, repeated, refused
            order = ConsumeOrder(account_id, f"spend-{credits}", credits)
            await asyncio.gather(consumption.consume(order), return_exceptions=True)


async def _hold(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "to-hold", 50)
    consumption = Consumption(engine)
    async with consumption.running():
        for name, seconds in (("settled", 60), ("lapses", 60), ("lasts", 600)):
            await consumption.hold(HoldOrder(account_id, name, 5, seconds))
        await consumption.settle(SettleOrder(account_id, "settled", 4))
    await advance_test_clock(engine, 90)
    assert (await balances.read_balance(engine, account_id)).held == 5
    await grant(engine, account_id, "books-lapse", 5)
    assert await holding.account_of_hold(engine, "lasts", made_by="account") == account_id


async def _reverse(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id, name="to-reverse", payment_id="pi_reversed")
    targets = ((0, 0), (0, 1000), (0, 1000), (1000, 0), (300, 0))
    for reversed_cents, frozen_cents in targets:
        await reverse(engine, reversed_cents, frozen_cents, payment_id="pi_reversed")
    await revoking.revoke_grant(engine, "to-reverse", reason="", actor="", request_id="")
    for reversed_cents in (500, 0):
        target = ReversalTarget("pi_reversed", 1000, reversed_cents)
        await reversing.reverse_payment(engine, target, request_id="")


async def _be_a_customer(engine: AsyncEngine, account_id: str) -> None:
    request = await customers.prepare_customer(engine, account_id)
    await customers.renew_customer_key(engine, account_id, used=request.idempotency_key)
    await customers.accounts_without_customer(engine, limit=10)
    await customers.record_customer(engine, Customer(account_id, "cus_1"))
    method = PaymentMethod(payment_method_id="pm_1", kind="card")
    await customers.record_payment_method(engine, DefaultPaymentMethod(account_id, method))
    token, ticket = await access.issue_token(engine, account_id), await access.issue_ticket(engine, account_id)
    assert await access.account_of_token(engine, token) == account_id
    assert await access.use_ticket(engine, ticket) == account_id


async def _pay(engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine)
    await topping_up.find_crossings(engine, after=None, limit=10)
    for state in (PaymentState.REQUIRES_ACTION, PaymentState.FAILED):
        made = await attempt(engine, account_id, f"plan-{state}")
        assert (await ask(engine, account_id, f"plan-{state}")).payment == made  # a repeat
        await topping_up.still_wanted(engine, made.operation_id)
        await paying.renew_payment_key(engine, made)
        await become(engine, made.operation_id, state, payment_method_id="pm_1", decline=DECLINE)
    await ask(engine, account_id, "plan-failed")
    await paying.record_canceled(engine, "pi_plan-requires-action")
    await choose(engine, account_id, replace(RULE, monthly_limit_cents=0))
    await ask(engine, account_id, "plan-limit")
    await topping_up.read_auto_topup(engine, account_id)
    await topping_up.switch_off(engine, SwitchOff(account_id, "auto-topup-declined", "No."))
    order = PurchaseOrder("plan-bought", account_id, 1_000)
    await paying.find_repeated_purchase(engine, order)
    bought = await paying.open_purchase(engine, order)
    assert await paying.open_purchase(engine, order) == bought
    await become(engine, "plan-bought", PaymentState.PROCESSING, payment_intent_id="pi_plan")
    assert await paying.find_payment_of_intent(engine, "pi_plan") is not None
    await granting.process_and_grant_credit(engine, grant_order(bought, "pi_plan"))
    await paying.blocked_methods(engine, account_id)
    for before in (None, (bought.created_at, "plan-bought")):
        await paying.payments_of_account(engine, account_id, before=before, limit=10)
    for older_than in (timedelta(0), timedelta(days=1)):  # some, and none
        await paying.take_waiting_payments(engine, older_than=older_than, limit=10)
    for _ in range(2):
        await noticing.give_notice(engine, NoticeOrder(account_id, "purchase-paid", "plan-bought", "Paid."))
    latest = await noticing.latest_notice(engine, account_id)
    await noticing.notices_since(engine, {UUID(account_id): latest - 1}, kinds=("purchase-paid", "purchase-failed"))
    await customers.record_customer(engine, Customer(account_id, "cus_plan"))
    assert await customers.account_of_customer(engine, "cus_plan") == account_id
    await customers.forget_customer(engine, "cus_plan")


async def _take_events(engine: AsyncEngine) -> None:
    due = await inbox.due_events(engine, limit=10)
    await inbox.postpone_event(engine, due[0], reason="a failure of its own", own_failure=True)
    await inbox.close_event(engine, due[1].event_id, state="quarantined", reason="no sense")
    await inbox.quarantined_events(engine, limit=10)
    await inbox.find_event(engine, "evt_1")


async def _let_time_pass(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    later = (await balances.read_balance(engine, account_id)).now + timedelta(days=50)
    await grant(engine, account_id, "long-lived", 5, GrantType.FREE, expires_at=later)
    await advance_test_clock(engine, 44 * DAY_SECONDS)
    await noticing.give_expiry_notices(engine, days=(30, 7, 1), limit=10)
    [notice] = await noticing.untold_notices(engine, account_id, limit=10)
    await noticing.mark_told(engine, [notice.notice_id])
    for before in (None, notice.notice_id):
        await noticing.notices_of_account(engine, account_id, before=before, limit=10)
    await revoking.revoke_grant(engine, "long-lived", reason="", actor="", request_id="")
    await advance_test_clock(engine, 7 * DAY_SECONDS)
    for due in await sweeping.due_accounts(engine, limit=100):
        await sweeping.book_due(engine, due)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _scans(node: dict[str, Any]) -> bool:
    """Whether the node reads a whole table, be it by walking through a whole index."""
    if node["Node Type"] in {"Index Scan", "Index Only Scan", "Bitmap Index Scan"}:
        return "Index Cond" not in node and node["Index Name"] not in SHORT_LISTS
    return bool(node["Node Type"] == "Seq Scan")


@pytest.fixture
async def batch_plans(database: Database, small_tables: AsyncEngine) -> dict[str, list[dict[str, Any]]]:
    """The nodes of the plans of the batch's own statements, planned as its sessions do: once, for any arguments."""
    await small_tables.dispose()
    plans = {}
    async with session(database.app_url) as app:
        for name, setting in BATCH_SETTINGS.items():
            await app.execute(f"SET {name} = '{setting}'")
        for name, statement in BATCH_STATEMENTS.items():
            await app.execute(f"PREPARE {name} AS {statement}")
            arguments = ", ".join(["'{}'"] * len(set(re.findall(r"\$\d+", statement))))
            if name == "due_holds":
                arguments = "'{}', now()"
            plan = json.loads(await app.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE {name} ({arguments})"))
            plans[name] = list(_nodes(plan[0]["Plan"]))
    return plans


def test_the_statements_of_the_batch_go_by_an_index(batch_plans: dict[str, list[dict[str, Any]]]) -> None:
    assert [name for name, nodes in batch_plans.items() if any(map(_scans, nodes))] == []
    used = {name: {node["Index Name"] for node in nodes if "Index Name" in node} for name, nodes in batch_plans.items()}
    # Of two indexes with the same columns, either will do.
    for name in ("named_holds", "write_batch_with_holds"):
        used[name] -= {"pk_holds", "ix_holds_operation_id_account_id"}
    assert used == {
        # Exhausted grants cost nothing, however many there are.
        "read_spenders": {"pk_accounts", "ix_grants_live"},
        "write_batch": {"pk_accounts", "pk_grants"},
        "write_batch_with_holds": {"pk_accounts", "pk_grants"},
        "due_holds": {"pk_accounts", "ix_holds_open", "pk_hold_parts", "pk_grants"},
        "named_holds": {"pk_accounts", "pk_hold_parts", "pk_grants"},
        "find_operations": {"pk_operations"},
        "find_free": {"pk_accounts"},
    }
    # The index gives the burn order.
    assert not [node for nodes in batch_plans.values() for node in nodes if node["Node Type"] == "Sort"]
