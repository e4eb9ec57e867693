"""The mirror's way through its stages, and the lists from which the sweeps work."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.clock import advance_test_clock
from ledger.granting import find_grant
from ledger.mirroring import (
    change_stage,
    give_to_workflow,
    prepare_mirror,
    pump_work,
    record_closing,
    renew_mirror_key,
    spent_mirrors,
)
from ledger.opening import Opening, open_account
from ledger.revoking import revoke_grant
from ledger.rules.errors import UnknownGrant
from messages.grants import CLOSED_STAGES, GrantStage, GrantType, StageChange
from tests.conftest import Database
from tests.store.support import grant, open_user, session


@pytest.fixture
async def account_id(engine: AsyncEngine) -> str:
    return await open_user(engine)


async def test_a_mirror_is_told_to_stripe_under_its_stored_key(engine: AsyncEngine, account_id: str) -> None:
    await grant(engine, account_id, "g", 1000)
    prepared = await prepare_mirror(engine, "g")
    assert prepared.request is not None
    assert prepared.grant.stage is GrantStage.STRIPE_PENDING
    assert (prepared.request.idempotency_key, prepared.request.amount_cents) == ("grant-g-1", 1000)
    assert (prepared.request.currency, prepared.request.stripe_customer_id) == ("usd", None)
    assert (await prepare_mirror(engine, "g")).request == prepared.request


async def test_a_key_is_renewed_once_however_often_it_is_asked_for(engine: AsyncEngine, account_id: str) -> None:
    await grant(engine, account_id, "g", 10)
    renewed = await asyncio.gather(*(renew_mirror_key(engine, "g", used="grant-g-1") for _ in range(8)))
    assert {request.idempotency_key for request in renewed} == {"grant-g-2"}
    assert (await renew_mirror_key(engine, "g", used="grant-g-2")).idempotency_key == "grant-g-3"


@pytest.mark.parametrize("final", sorted(CLOSED_STAGES))
async def test_a_final_stage_stays(engine: AsyncEngine, account_id: str, final: GrantStage) -> None:
    await grant(engine, account_id, "g", 10)
    first = await change_stage(engine, StageChange("g", final, stripe_grant_id="credgr_1", reason="so"))
    for stage in GrantStage:
        assert await change_stage(engine, StageChange("g", stage, stripe_grant_id="credgr_2", reason="late")) == first
    assert (await prepare_mirror(engine, "g")).request is None
    assert await find_grant(engine, "g") == first


async def test_stage_since_moves_with_the_stage_alone(engine: AsyncEngine, account_id: str) -> None:
    await grant(engine, account_id, "g", 10)
    waiting = StageChange("g", GrantStage.AWAITING_WEBHOOK, stripe_grant_id="credgr_1")
    first = await change_stage(engine, waiting)
    assert (await change_stage(engine, waiting)).stage_since == first.stage_since
    stuck = await change_stage(engine, StageChange("g", GrantStage.STUCK, reason="refused"))
    assert stuck.stage_since > first.stage_since
    assert stuck.reason == "refused"
    assert (await change_stage(engine, waiting)).reason is None


async def test_stripes_id_is_kept_until_the_mirror_is_stuck(engine: AsyncEngine, account_id: str) -> None:
    await grant(engine, account_id, "g", 10)
    await change_stage(engine, StageChange("g", GrantStage.AWAITING_WEBHOOK, stripe_grant_id="credgr_1"))
    again = await change_stage(engine, StageChange("g", GrantStage.AWAITING_WEBHOOK, stripe_grant_id="credgr_2"))
    assert again.stripe_grant_id == "credgr_1"
    assert (await prepare_mirror(engine, "g")).request is None  # it stands at Stripe already
    stuck = await change_stage(engine, StageChange("g", GrantStage.STUCK, reason="it was voided there"))
    assert stuck.stripe_grant_id is None
    assert (await prepare_mirror(engine, "g")).request is not None


async def test_what_was_revoked_or_has_expired_before_stripe_knew_is_not_mirrored(
    engine: AsyncEngine, account_id: str
) -> None:
    made = await grant(engine, account_id, "revoked", 10)
    await grant(engine, account_id, "gone", 10, GrantType.FREE, expires_at=made.grant.created_at + timedelta(minutes=5))
    await revoke_grant(engine, "revoked", reason="", actor="", request_id="")
    await advance_test_clock(engine, 600)
    for operation_id, reason in (("revoked", "revoked before"), ("gone", "expired before")):
        prepared = await prepare_mirror(engine, operation_id)
        assert prepared.request is None
        assert prepared.grant.stage is GrantStage.NOT_MIRRORED
        assert (prepared.grant.reason or "").startswith(reason)


async def test_a_mirror_that_stands_at_stripe_for_nothing_is_closed(engine: AsyncEngine, account_id: str) -> None:
    for operation_id in ("kept", "revoked", "abandoned", "open"):
        await grant(engine, account_id, operation_id, 10)
        stage = GrantStage.AWAITING_WEBHOOK if operation_id in ("open", "abandoned") else GrantStage.CONFIRMED
        await change_stage(engine, StageChange(operation_id, stage, stripe_grant_id=f"credgr_{operation_id}"))
    for operation_id in ("revoked", "open"):
        await revoke_grant(engine, operation_id, reason="", actor="", request_id="")
    await change_stage(engine, StageChange("abandoned", GrantStage.ABANDONED, reason="given up"))
    closings = await spent_mirrors(engine)
    assert {closing.operation_id for closing in closings} == {"revoked", "abandoned"}
    assert {closing.stripe_grant_id for closing in closings} == {"credgr_revoked", "credgr_abandoned"}
    assert await spent_mirrors(engine, account_id=await open_user(engine)) == []
    assert len(await spent_mirrors(engine, account_id=account_id, limit=1)) == 1
    for closing in closings:
        await record_closing(engine, closing.operation_id)
    assert await spent_mirrors(engine) == []


async def test_a_confirmation_after_the_end_is_noted_so_that_it_can_be_closed(
    engine: AsyncEngine, account_id: str
) -> None:
    await grant(engine, account_id, "g", 10)
    await change_stage(engine, StageChange("g", GrantStage.ABANDONED, reason="given up"))
    late = await change_stage(engine, StageChange("g", GrantStage.CONFIRMED, stripe_grant_id="credgr_1"))
    assert (late.stage, late.stripe_grant_id) == (GrantStage.ABANDONED, "credgr_1")
    assert [closing.operation_id for closing in await spent_mirrors(engine)] == ["g"]


async def test_the_pump_takes_what_was_born_elsewhere_and_gives_away_what_is_late(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = (await open_account(engine, Opening(kind="user", name="Ada"))).account.account_id
    await grant(engine, account_id, "by-workflow", 10)
    await grant(engine, account_id, "stuck", 10)
    await change_stage(engine, StageChange("stuck", GrantStage.STUCK, reason="refused"))
    work = await pump_work(engine, limit=10)
    assert len(work.to_mirror) == 1
    assert work.to_mirror[0].startswith("free-")
    assert work.late == []
    async with session(database.owner_url) as owner:
        await owner.execute("UPDATE grant_mirrors SET stage_since = stage_since - interval '1 hour'")
    work = await pump_work(engine, limit=10)
    assert work.to_mirror == []
    assert len(work.late) == 2
    for operation_id in work.late:
        await give_to_workflow(engine, operation_id)
    assert (await pump_work(engine, limit=10)).late == []


async def test_a_grant_that_nobody_made_has_no_mirror(engine: AsyncEngine) -> None:
    for refused in (
        prepare_mirror(engine, "nothing"),
        renew_mirror_key(engine, "nothing", used=""),
        change_stage(engine, StageChange("nothing", GrantStage.STUCK, reason="x")),
    ):
        with pytest.raises(UnknownGrant):
            await refused
