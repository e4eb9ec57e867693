"""The sweeps on a real ledger and before the stand-in: they finish what was left, paced, and nothing blocks them."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.sweeps import STRIPE_PAGE, STRIPE_PAUSE_SECONDS, Sweeps
from ledger.clock import advance_test_clock
from ledger.granting import find_grant
from ledger.mirroring import change_stage, spent_mirrors
from ledger.opening import Opening, find_account, open_account
from ledger.revoking import revoke_grant
from messages.grants import Grant, GrantStage, GrantType, MirrorClosing, StageChange
from messages.payments import PaymentEvent, PaymentState
from messages.sweeps import SweepReport
from tests.activities.parts import Pauses, Rooms
from tests.gateways.stripe_parts import new_mirror
from tests.store.paying import attempt, become, buy_credits, topped_up_user
from tests.store.support import count, grant, open_user, session

GRANTS = "/v1/billing/credit_grants"
CUSTOMERS = "/v1/customers"


async def sign_up(rooms: Rooms, name: str = "Ada") -> Grant:
    """A new user's free grant, which nobody has mirrored yet."""
    opened = await open_account(rooms.engine, Opening(kind="user", name=name))
    async with session(rooms.database.owner_url) as owner:
        operation_id = await owner.fetchval(
            "SELECT operation_id FROM grants WHERE account_id = $1::uuid", opened.account.account_id
        )
    return await find_grant(rooms.engine, operation_id)


async def fail(rooms: Rooms, path: str, **fault: Any) -> None:
    """Lets POSTs to this path fail."""
    await rooms.stripe.stand_in.behave(dropWebhooks=True, fail=[{"method": "POST", "path": path, **fault}])


async def recover(rooms: Rooms) -> None:
    """Lets Stripe behave again."""
    await rooms.stripe.stand_in.behave(dropWebhooks=True)


async def test_the_free_grant_of_a_sign_up_is_mirrored_its_customer_first(
    rooms: Rooms, worker: ActivityEnvironment
) -> None:
    free = await sign_up(rooms)
    assert await worker.run(rooms.sweeps.pump_mirrors) == SweepReport(done=1)
    mirrored = await rooms.grant(free.operation_id)
    [at_stripe] = await rooms.stripe.grants()
    assert (mirrored.stage, mirrored.stripe_grant_id) == (GrantStage.AWAITING_WEBHOOK, at_stripe["id"])
    assert at_stripe["metadata"]["operationId"] == free.operation_id
    assert await rooms.stripe.posts() == [
        (CUSTOMERS, f"customer-{free.account_id}-1"),
        (GRANTS, f"grant-{free.operation_id}-1"),
    ]
    account = await find_account(rooms.engine, free.account_id)
    assert account.stripe_customer_id == at_stripe["customer"]
    assert await worker.run(rooms.sweeps.pump_mirrors) == SweepReport()
    assert rooms.flows.adopted == []


async def test_each_item_is_followed_by_a_pause_and_a_heartbeat(rooms: Rooms, worker: ActivityEnvironment) -> None:
    beats: list[tuple[object, ...]] = []
    worker.on_heartbeat = lambda *details: beats.append(details)
    for number in range(3):
        await sign_up(rooms, f"Ada {number}")
    assert await worker.run(rooms.sweeps.create_missing_customers) == SweepReport(done=3)
    assert await worker.run(rooms.sweeps.pump_mirrors) == SweepReport(done=3)
    assert rooms.pauses.taken == [STRIPE_PAUSE_SECONDS] * 6
    assert len(beats) == 6


async def test_missing_customers_are_made_once(rooms: Rooms, worker: ActivityEnvironment) -> None:
    user = await open_account(rooms.engine, Opening(kind="user", name="Ada", email="ada@example.com"))
    firm = await open_account(rooms.engine, Opening(kind="organization", name="Analytical Engines"))
    assert await worker.run(rooms.sweeps.create_missing_customers) == SweepReport(done=2)
    assert await worker.run(rooms.sweeps.create_missing_customers) == SweepReport()
    made = {customer["id"]: customer for customer in await rooms.stripe.stand_in.look("objects/customers")}
    for opened in (user, firm):
        account = await find_account(rooms.engine, opened.account.account_id)
        assert made[account.stripe_customer_id or ""]["metadata"]["accountId"] == account.account_id
    assert len(made) == 2


async def test_an_outage_ends_the_page_and_the_next_tick_goes_on_under_the_same_keys(
    rooms: Rooms, worker: ActivityEnvironment
) -> None:
    free = [await sign_up(rooms, f"Ada {number}") for number in range(3)]
    await worker.run(rooms.sweeps.create_missing_customers)
    await fail(rooms, GRANTS, cut=True, afterWork=True)
    assert await worker.run(rooms.sweeps.pump_mirrors) == SweepReport(left=3)
    assert len(await rooms.stripe.grants()) == 1  # the work was done, the answer lost
    assert await worker.run(rooms.sweeps.pump_mirrors) == SweepReport(done=3)
    assert len(await rooms.stripe.grants()) == 3
    for each in free:
        assert (await rooms.grant(each.operation_id)).stage is GrantStage.AWAITING_WEBHOOK
    assert rooms.flows.adopted == []


async def test_a_key_in_use_is_one_items_matter(rooms: Rooms, worker: ActivityEnvironment) -> None:
    for number in range(2):
        await sign_up(rooms, f"Ada {number}")
    await fail(rooms, CUSTOMERS, status=409)
    assert await worker.run(rooms.sweeps.create_missing_customers) == SweepReport(done=1, failed=1)
    assert await worker.run(rooms.sweeps.create_missing_customers) == SweepReport(done=1)


@pytest.mark.parametrize("fault", [{"status": 400}, {"status": 500}, {"status": 500, "afterWork": True}])
@pytest.mark.parametrize("path", [GRANTS, CUSTOMERS])
async def test_what_is_refused_or_unknown_gets_a_workflow(
    rooms: Rooms, worker: ActivityEnvironment, fault: dict[str, Any], path: str
) -> None:
    free = await sign_up(rooms)
    await fail(rooms, path, **fault)
    assert await worker.run(rooms.sweeps.pump_mirrors) == SweepReport(done=1)
    [order] = rooms.flows.adopted
    assert (order.operation_id, order.account_id, order.credits) == (free.operation_id, free.account_id, 500)
    await recover(rooms)
    assert await worker.run(rooms.sweeps.pump_mirrors) == SweepReport()  # the pump leaves it to its workflow
    assert len(rooms.flows.adopted) == 1


async def test_after_an_unknown_outcome_the_customer_gets_the_next_key(
    rooms: Rooms, worker: ActivityEnvironment
) -> None:
    free = await sign_up(rooms)
    await fail(rooms, CUSTOMERS, status=500)
    assert await worker.run(rooms.sweeps.create_missing_customers) == SweepReport(failed=1)
    assert await worker.run(rooms.sweeps.create_missing_customers) == SweepReport(done=1)
    keys = [key for _, key in await rooms.stripe.posts()]
    assert keys == [f"customer-{free.account_id}-1", f"customer-{free.account_id}-2"]


async def test_late_ones_are_handed_over(rooms: Rooms, worker: ActivityEnvironment) -> None:
    free = await sign_up(rooms)
    await grant(rooms.engine, free.account_id, "by-workflow", 10)
    await rooms.change("UPDATE grant_mirrors SET stage_since = stage_since - interval '11 minutes'")
    rooms.flows.down = True
    assert await worker.run(rooms.sweeps.pump_mirrors) == SweepReport(left=2)
    rooms.flows.down = False
    assert await worker.run(rooms.sweeps.pump_mirrors) == SweepReport(done=2)
    assert {order.operation_id for order in rooms.flows.adopted} == {free.operation_id, "by-workflow"}
    assert await worker.run(rooms.sweeps.pump_mirrors) == SweepReport()
    assert await rooms.stripe.posts() == []


async def test_an_old_key_is_not_relied_on(rooms: Rooms, worker: ActivityEnvironment) -> None:
    free = await sign_up(rooms)
    await rooms.change("UPDATE grant_mirrors SET key_stored_at = key_stored_at - interval '21 hours'")
    assert await worker.run(rooms.sweeps.pump_mirrors) == SweepReport(done=1)
    assert [order.operation_id for order in rooms.flows.adopted] == [free.operation_id]
    assert await rooms.stripe.posts() == []


async def test_what_was_revoked_before_it_reached_stripe_stays_here(rooms: Rooms, worker: ActivityEnvironment) -> None:
    free = await sign_up(rooms)
    await revoke_grant(rooms.engine, free.operation_id, reason="", actor="", request_id="")
    assert await worker.run(rooms.sweeps.pump_mirrors) == SweepReport(done=1)
    assert (await rooms.grant(free.operation_id)).stage is GrantStage.NOT_MIRRORED
    assert await rooms.stripe.posts() == []


async def test_one_broken_grant_does_not_stop_the_others(rooms: Rooms, worker: ActivityEnvironment) -> None:
    broken = await sign_up(rooms, "Ada")
    whole = await sign_up(rooms, "Grace")
    await rooms.change("UPDATE operations SET request = '{}' WHERE operation_id = $1", broken.operation_id)
    await rooms.change(
        "UPDATE grant_mirrors SET stage_since = stage_since - interval '11 minutes' WHERE operation_id = $1",
        broken.operation_id,
    )
    assert await worker.run(rooms.sweeps.pump_mirrors) == SweepReport(done=1, failed=1)
    assert (await rooms.grant(whole.operation_id)).stage is GrantStage.AWAITING_WEBHOOK


async def mirrored(rooms: Rooms, account_id: str, customer: str, operation_id: str, **order: Any) -> str:
    """A grant whose mirror stands at Stripe, confirmed; answers with its id there."""
    grant_type = order.pop("grant_type", GrantType.ADMIN)
    made = (await grant(rooms.engine, account_id, operation_id, 10, grant_type, **order)).grant
    request = new_mirror(customer, operation_id, expires_at=made.expires_at)
    stripe_grant_id = (await rooms.stripe.gateway.create_credit_grant(request)).stripe_grant_id
    await change_stage(rooms.engine, StageChange(operation_id, GrantStage.CONFIRMED, stripe_grant_id=stripe_grant_id))
    return stripe_grant_id


async def revoked(rooms: Rooms, account_id: str, customer: str, operation_id: str) -> str:
    """The same, and the grant is revoked."""
    stripe_grant_id = await mirrored(rooms, account_id, customer, operation_id)
    await revoke_grant(rooms.engine, operation_id, reason="", actor="", request_id="")
    return stripe_grant_id


async def open_at_stripe(rooms: Rooms) -> set[str]:
    """The operation ids of the credit grants that are neither voided nor ended."""
    return {
        each["metadata"]["operationId"]
        for each in await rooms.stripe.grants()
        if each["voided_at"] is None and not (each["expires_at"] or 10**12) <= each["updated"]
    }


async def test_mirrors_of_what_is_spent_or_given_up_are_closed_and_no_others(
    rooms: Rooms, worker: ActivityEnvironment
) -> None:
    account_id = (await open_account(rooms.engine, Opening(kind="user", name="Ada", free_credits=0))).account.account_id
    customer = await rooms.stripe.customer()
    await mirrored(rooms, account_id, customer, "kept")
    await revoked(rooms, account_id, customer, "revoked")
    applied = await revoked(rooms, account_id, customer, "applied")
    await rooms.stripe.stand_in.control("trigger", {"event": "credit_grant.applied", "object": applied, "amount": 1})
    await mirrored(rooms, account_id, customer, "abandoned")
    await rooms.change("UPDATE grant_mirrors SET stage = 'abandoned', reason = 'x' WHERE operation_id = 'abandoned'")
    assert await worker.run(rooms.sweeps.close_mirrors) == SweepReport(done=3)
    assert await open_at_stripe(rooms) == {"kept"}
    assert await worker.run(rooms.sweeps.close_mirrors) == SweepReport()


async def test_what_has_expired_is_left_to_stripe(rooms: Rooms, worker: ActivityEnvironment) -> None:
    opened = await open_account(rooms.engine, Opening(kind="user", name="Ada", free_credits=0))
    account_id = opened.account.account_id
    soon = opened.account.created_at + timedelta(hours=1)
    await mirrored(rooms, account_id, await rooms.stripe.customer(), "gone", grant_type=GrantType.FREE, expires_at=soon)
    await advance_test_clock(rooms.engine, 7200)
    await rooms.stripe.stand_in.control("clock", {"advanceSeconds": 7200})
    await grant(rooms.engine, account_id, "another", 10)  # books the expiry: nothing is left of the first
    assert (await rooms.grant("gone")).balance == 0
    posts = await rooms.stripe.posts()
    assert await worker.run(rooms.sweeps.close_mirrors) == SweepReport()
    assert await rooms.stripe.posts() == posts


async def _voided(rooms: Rooms, closing: MirrorClosing) -> None:
    await rooms.stripe.gateway.void_credit_grant(MirrorClosing("", closing.stripe_grant_id, "by-somebody"))


async def _ended(rooms: Rooms, closing: MirrorClosing) -> None:
    await rooms.stripe.gateway.expire_credit_grant(MirrorClosing("", closing.stripe_grant_id, "by-somebody"))


async def _unknown_to_stripe(rooms: Rooms, _: MirrorClosing) -> None:
    await rooms.change("UPDATE grant_mirrors SET stripe_grant_id = 'credgr_of_nobody' WHERE operation_id = 'revoked'")


async def _void_fails_after_its_work(rooms: Rooms, _: MirrorClosing) -> None:
    await fail(rooms, GRANTS + "/{id}/void", status=500, afterWork=True)


async def _void_fails(rooms: Rooms, _: MirrorClosing) -> None:
    await fail(rooms, GRANTS + "/{id}/void", status=500)


@pytest.mark.parametrize("before", [_voided, _ended, _unknown_to_stripe, _void_fails_after_its_work, _void_fails])
async def test_a_closing_ends_however_the_mirror_stands(
    rooms: Rooms, worker: ActivityEnvironment, before: Callable[[Rooms, MirrorClosing], Awaitable[None]]
) -> None:
    account_id = (await open_account(rooms.engine, Opening(kind="user", name="Ada", free_credits=0))).account.account_id
    await revoked(rooms, account_id, await rooms.stripe.customer(), "revoked")
    [closing] = await spent_mirrors(rooms.engine)
    await before(rooms, closing)
    assert await worker.run(rooms.sweeps.close_mirrors) == SweepReport(done=1)
    assert await spent_mirrors(rooms.engine) == []
    assert before is _unknown_to_stripe or await open_at_stripe(rooms) == set()


async def test_a_closing_that_stripe_will_not_make_is_skipped(rooms: Rooms, worker: ActivityEnvironment) -> None:
    account_id = (await open_account(rooms.engine, Opening(kind="user", name="Ada", free_credits=0))).account.account_id
    customer = await rooms.stripe.customer()
    refused = await revoked(rooms, account_id, customer, "refused")
    await revoked(rooms, account_id, customer, "fine")
    await fail(rooms, f"{GRANTS}/{refused}/*", status=400, times=2)
    assert await worker.run(rooms.sweeps.close_mirrors) == SweepReport(done=1, failed=1)
    assert await open_at_stripe(rooms) == {"refused"}
    assert await worker.run(rooms.sweeps.close_mirrors) == SweepReport(done=1)


async def test_a_page_full_of_refused_customers_does_not_starve_the_next(
    rooms: Rooms, worker: ActivityEnvironment
) -> None:
    for number in range(12):
        await open_account(rooms.engine, Opening(kind="organization", name=f"{number:02}"))
    await fail(rooms, CUSTOMERS, status=400, times=10)
    sweeps = Sweeps(rooms.engine, rooms.stripe.gateway, rooms.flows, pause=Pauses(), page=10)
    assert await worker.run(sweeps.create_missing_customers) == SweepReport(failed=10)
    await fail(rooms, CUSTOMERS, status=400, times=1_000)
    assert await worker.run(sweeps.create_missing_customers) == SweepReport(failed=10)
    requests = await rooms.stripe.stand_in.look("requests")
    assert len({request["form"]["name"] for request in requests}) == 12
    await recover(rooms)
    assert await worker.run(sweeps.create_missing_customers) == SweepReport(done=10)
    assert await worker.run(sweeps.create_missing_customers) == SweepReport(done=2)
    assert await count(rooms.database, "account_profiles WHERE stripe_customer_id IS NULL") == 0


def test_a_page_is_what_one_tick_can_do() -> None:
    assert STRIPE_PAGE * STRIPE_PAUSE_SECONDS <= 60


async def test_accounts_below_their_thresholds_are_topped_up_and_no_others(
    rooms: Rooms, worker: ActivityEnvironment
) -> None:
    low = sorted([await topped_up_user(rooms.engine, credits=credits, name=f"{credits}") for credits in (1, 499)])
    await topped_up_user(rooms.engine, credits=500)
    await attempt(rooms.engine, await topped_up_user(rooms.engine), "under-way")
    assert await worker.run(rooms.sweeps.start_top_ups) == SweepReport(done=2)
    assert rooms.flows.topped_up == low
    assert rooms.flows.told == []
    # Nothing has come of it: they are asked for again.
    assert await worker.run(rooms.sweeps.start_top_ups) == SweepReport(done=2)
    assert rooms.flows.topped_up == low * 2


async def test_crossings_are_met_page_by_page_and_then_from_the_beginning(
    rooms: Rooms, worker: ActivityEnvironment
) -> None:
    low = sorted([await topped_up_user(rooms.engine, name=f"user {number}") for number in range(5)])
    sweeps = Sweeps(rooms.engine, rooms.stripe.gateway, rooms.flows, pause=Pauses(), page=2)
    reports = [await worker.run(sweeps.start_top_ups) for _ in range(4)]
    assert reports == [SweepReport(done=2), SweepReport(done=2), SweepReport(done=1), SweepReport(done=2)]
    assert rooms.flows.topped_up == low + low[:2]


async def test_an_account_that_always_fails_keeps_nobody_from_being_topped_up(
    rooms: Rooms, worker: ActivityEnvironment
) -> None:
    low = sorted([await topped_up_user(rooms.engine, name=f"user {number}") for number in range(7)])
    rooms.flows.breaks_on |= {low[0], low[3]}
    sweeps = Sweeps(rooms.engine, rooms.stripe.gateway, rooms.flows, pause=Pauses(), page=2)
    for _ in range(2):
        rooms.flows.asked.clear()
        reports = [await worker.run(sweeps.start_top_ups) for _ in range(4)]
        assert sorted(rooms.flows.asked) == low
        assert (sum(report.done for report in reports), sum(report.failed for report in reports)) == (5, 2)
    assert sorted(rooms.flows.topped_up) == sorted([*low[1:3], *low[4:]] * 2)


async def test_after_an_outage_the_sweep_goes_on_where_it_was(rooms: Rooms, worker: ActivityEnvironment) -> None:
    low = sorted([await topped_up_user(rooms.engine, name=f"user {number}") for number in range(4)])
    sweeps = Sweeps(rooms.engine, rooms.stripe.gateway, rooms.flows, pause=Pauses(), page=2)
    await worker.run(sweeps.start_top_ups)
    await buy_credits(rooms.engine, low[0])
    await rooms.change("UPDATE payments SET changed_at = now() - interval '31 minutes'")
    rooms.flows.down = True
    assert await worker.run(sweeps.start_top_ups) == SweepReport(left=2)
    rooms.flows.down = False
    # The payment was not taken while nobody could be told of it.
    assert await worker.run(sweeps.start_top_ups) == SweepReport(done=3)
    assert rooms.flows.topped_up[:2] == low[:2]
    assert sorted(rooms.flows.topped_up) == low
    assert rooms.flows.told == [("payment", "bought", False)]


async def test_payments_that_have_not_moved_for_long_get_somebody_to_carry_them(
    rooms: Rooms, worker: ActivityEnvironment
) -> None:
    account_id = await open_user(rooms.engine)
    for number, state in enumerate(PaymentState):
        name = str(state)
        await buy_credits(rooms.engine, account_id, name)
        await become(rooms.engine, name, state)
        await rooms.change(
            "UPDATE payments SET changed_at = now() - make_interval(mins => $1) WHERE operation_id = $2",
            40 - number,
            name,
        )
    await buy_credits(rooms.engine, account_id, "new")
    beats: list[tuple[object, ...]] = []
    worker.on_heartbeat = lambda *details: beats.append(details)
    assert await worker.run(rooms.sweeps.start_top_ups) == SweepReport(done=4)
    assert len(beats) == 4
    waiting = ["open", "requires-action", "processing", "succeeded"]
    assert rooms.flows.told == [("payment", name, False) for name in waiting]
    assert rooms.flows.events[2] == PaymentEvent("sweep", "pi_processing")
    assert await worker.run(rooms.sweeps.start_top_ups) == SweepReport()  # it is looked at every half an hour


async def test_a_payment_that_fails_does_not_keep_the_others_waiting(rooms: Rooms, worker: ActivityEnvironment) -> None:
    account_id = await open_user(rooms.engine)
    for name in ("a", "b", "c"):
        await buy_credits(rooms.engine, account_id, name)
    await rooms.change("UPDATE payments SET changed_at = now() - interval '31 minutes'")
    rooms.flows.breaks_on.add("a")
    assert await worker.run(rooms.sweeps.start_top_ups) == SweepReport(done=2, failed=1)
    assert {name for _, name, _ in rooms.flows.told} == {"b", "c"}
