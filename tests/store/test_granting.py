"""Grants: debt first, one effect for one operation id, expiry to the instant, refusals that leave no row."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import read_balance
from ledger.clock import advance_test_clock
from ledger.granting import (
    find_grant,
    find_repeated_grant,
    order_of_grant,
    process_and_grant_credit,
)
from ledger.opening import Opening, find_account, open_account
from ledger.revoking import revoke_grant
from ledger.rules.errors import (
    ExternalIdConflict,
    IdempotencyConflict,
    InvalidOrder,
    LedgerError,
    LimitExceeded,
    PaymentAlreadyGranted,
    UnknownAccount,
    UnknownGrant,
)
from ledger.rules.limits import MAX_CREDITS_PER_ACCOUNT
from messages.grants import GrantOrder, GrantStage, GrantType
from tests.conftest import Database
from tests.store.support import DAY_SECONDS, assert_books_balance, count, entries, grant, open_user, owe, session


async def test_a_user_begins_with_free_credits_and_an_organization_without(database: Database) -> None:
    engine = database.open_engine()
    user = (await open_account(engine, Opening(kind="user", name="Ada"))).account
    firm = (await open_account(engine, Opening(kind="organization", name="Acme"))).account
    balance = await read_balance(engine, user.account_id)
    assert (balance.remaining, balance.breakdown[GrantType.FREE], balance.seq) == (500, 500, 1)
    assert (await read_balance(engine, firm.account_id)).remaining == 0
    async with session(database.owner_url) as owner:
        first = await owner.fetchrow("SELECT * FROM grants JOIN grant_mirrors USING (grant_id)")
    assert first is not None
    assert first["operation_id"] == f"free-{user.account_id}-{user.created_at:%Y%m%dT%H%M%SZ}"
    assert (first["expires_at"], first["driver"], first["stage"]) == (user.next_reset, "pump", "local")
    await engine.dispose()
    await assert_books_balance(database)


async def test_an_account_that_was_just_opened_is_the_one_that_is_read(engine: AsyncEngine) -> None:
    opened = await open_account(
        engine, Opening(kind="user", name="Ada", email="ada@example.org", external_id="ada", free_credits=0)
    )
    assert opened.created
    assert await find_account(engine, opened.account.account_id) == opened.account


async def test_a_repeated_external_id_answers_with_the_same_account(engine: AsyncEngine) -> None:
    opening = Opening(kind="user", name="Ada", external_id="ada")
    first, second = await open_account(engine, opening), await open_account(engine, replace(opening, name="Other"))
    assert (first.created, second.created) == (True, False)
    assert second.account == first.account
    with pytest.raises(ExternalIdConflict):
        await open_account(engine, replace(opening, kind="organization"))


async def test_the_grant_that_is_answered_is_the_one_that_is_read(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    made = await grant(engine, account_id, "one", 10, GrantType.FREE, description="Hello", request_id="r1")
    assert made.created
    assert made.grant == await find_grant(engine, "one")
    assert made.grant.stage is GrantStage.LOCAL
    rollover = await grant(engine, account_id, "two", 10, GrantType.ROLLOVER)
    assert rollover.grant == await find_grant(engine, "two")
    assert rollover.grant.stage is GrantStage.NOT_MIRRORED


@pytest.mark.parametrize(
    ("debt", "credits", "left_of_debt", "left_of_grant"), [(70, 50, 20, 0), (50, 50, 0, 0), (20, 50, 0, 30)]
)
async def test_a_grant_pays_the_debt_first(
    database: Database, engine: AsyncEngine, debt: int, credits: int, left_of_debt: int, left_of_grant: int
) -> None:
    account_id = await open_user(engine)
    await owe(database, account_id, debt)
    made = await grant(engine, account_id, "pays", credits)
    assert (made.grant.principal, made.grant.balance) == (credits, left_of_grant)
    balance = await read_balance(engine, account_id)
    assert (balance.debt, balance.remaining, balance.net) == (left_of_debt, left_of_grant, credits - debt)
    paid = debt - left_of_debt
    assert await entries(database, account_id) == [
        ("debt-incurred", -debt, -debt),
        ("granted", credits, credits - debt),
        ("debt-paid", -paid, credits - debt - paid),
        ("debt-paid", paid, credits - debt),
    ]
    repeated = await grant(engine, account_id, "pays", credits)
    assert (repeated.created, repeated.grant) == (False, made.grant)
    assert replace(await read_balance(engine, account_id), now=balance.now) == balance
    await assert_books_balance(database)


async def test_another_payload_is_a_conflict_also_for_a_grant_that_the_debt_absorbed(
    database: Database, engine: AsyncEngine
) -> None:
    account_id, other_id = await open_user(engine), await open_user(engine)
    await owe(database, account_id, 100)
    order = GrantOrder("once", account_id, GrantType.FREE, 40, description="A")
    await process_and_grant_credit(engine, order)
    before = await entries(database, account_id)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    for changed in (
        replace(order, credits=41),
        replace(order, type=GrantType.REFERRAL),
        replace(order, description="B"),
        replace(order, description=None),
        replace(order, expires_at=tomorrow),
        replace(order, account_id=other_id),
    ):
        with pytest.raises(IdempotencyConflict):
            await process_and_grant_credit(engine, changed)
        with pytest.raises(IdempotencyConflict):
            await find_repeated_grant(engine, changed)
    assert await entries(database, account_id) == before
    assert await entries(database, other_id) == []
    assert not (await process_and_grant_credit(engine, replace(order, actor="other", request_id="other"))).created
    await assert_books_balance(database)


async def test_a_repeat_is_known_before_anything_else_is_asked(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    order = GrantOrder("once", account_id, GrantType.FREE, 40, description="Ünï ©", request_id="r", actor="someone")
    assert await find_repeated_grant(engine, order) is None
    made = await process_and_grant_credit(engine, order)
    assert await find_repeated_grant(engine, order) == made.grant
    assert await order_of_grant(engine, "once") == order


async def test_the_repeat_of_an_order_is_no_refusal_when_its_expiry_has_passed(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    soon = (await read_balance(engine, account_id)).now + timedelta(hours=1)
    offset = soon.astimezone(datetime.fromisoformat("2020-01-01T00:00:00+05:30").tzinfo)
    order = GrantOrder("once", account_id, GrantType.FREE, 40, expires_at=soon)
    made = await process_and_grant_credit(engine, order)
    await advance_test_clock(engine, DAY_SECONDS)
    assert await find_repeated_grant(engine, order) == made.grant
    assert not (await process_and_grant_credit(engine, replace(order, expires_at=offset))).created


async def test_one_payment_gives_one_grant(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    order = GrantOrder("bought", account_id, GrantType.PURCHASE, 1000, payment_id="pi_1")
    assert (await process_and_grant_credit(engine, order)).created
    assert not (await process_and_grant_credit(engine, order)).created
    with pytest.raises(IdempotencyConflict):
        await process_and_grant_credit(engine, replace(order, payment_id="pi_2"))
    with pytest.raises(PaymentAlreadyGranted):
        await process_and_grant_credit(engine, replace(order, operation_id="again"))
    assert (await read_balance(engine, account_id)).remaining == 1000
    assert await count(database, "operations") == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"credits": 0},
        {"credits": -1},
        {"credits": 10**12 + 1},
        {"credits": 2**63},
        {"description": "x" * 501},
        {"description": "zero \x00 byte"},
        {"description": "half \ud800 pair"},
        {"type": GrantType.ADMIN, "expires_at": datetime(2999, 1, 1, tzinfo=UTC)},
        {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)},
        {"expires_at": datetime(2999, 1, 1)},  # noqa: DTZ001 - that is what is refused
        {"expires_at": datetime.fromisoformat("9999-12-31T23:59:59-01:00")},
    ],
)
async def test_nonsense_is_refused_and_leaves_no_row(database: Database, changed: dict[str, object]) -> None:
    engine = database.open_engine()
    account_id = await open_user(engine)
    order = GrantOrder("x", account_id, GrantType.FREE, 1)
    with pytest.raises(InvalidOrder):
        await process_and_grant_credit(engine, replace(order, **changed))  # type: ignore[arg-type]
    for table in ("operations", "grants", "journal", "grant_mirrors"):
        assert await count(database, table) == 0
    assert (await grant(engine, account_id, "x", 1)).created  # a refusal claims nothing
    await engine.dispose()


@pytest.mark.parametrize(
    "opening",
    [
        Opening(kind="robot", name="Ada"),
        Opening(kind="user", name=""),
        Opening(kind="user", name="x" * 201),
        Opening(kind="user", name="a\x00b"),
        Opening(kind="user", name="Ada", email="@"),
        Opening(kind="user", name="Ada", external_id=""),
        Opening(kind="user", name="Ada", free_credits=-1),
        Opening(kind="user", name="Ada", free_credits=10**12 + 1),
    ],
)
async def test_an_account_of_nonsense_is_refused_and_leaves_no_row(database: Database, opening: Opening) -> None:
    engine = database.open_engine()
    with pytest.raises(InvalidOrder):
        await open_account(engine, opening)
    assert await count(database, "accounts") == 0
    await engine.dispose()


@pytest.mark.parametrize(
    "account_id", ["", "x", "00000000-0000-0000-0000-000000000000", "{00000000-0000-0000-0000-000000000000}", "a" * 32]
)
async def test_an_unknown_account_is_refused(engine: AsyncEngine, account_id: str) -> None:
    for refused in (
        grant(engine, account_id, "x", 1),
        read_balance(engine, account_id),
        find_account(engine, account_id),
    ):
        with pytest.raises(UnknownAccount):
            await refused


async def test_an_account_holds_no_more_than_every_client_can_read(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "first", 10**12)
    async with session(database.owner_url) as owner:
        # As if thousands of grants had come before: the account keeps the sum.
        await owner.execute("UPDATE accounts SET balance = $1", MAX_CREDITS_PER_ACCOUNT - 5)
    with pytest.raises(LimitExceeded) as refused:
        await grant(engine, account_id, "too-much", 6)
    assert (refused.value.limit, refused.value.would_be) == (MAX_CREDITS_PER_ACCOUNT, MAX_CREDITS_PER_ACCOUNT + 1)
    assert (await grant(engine, account_id, "fits", 5)).created


async def test_credit_is_spendable_exactly_while_now_is_before_its_expiry(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = await open_user(engine)
    async with session(database.owner_url) as owner, owner.transaction():
        # now() stands still inside a transaction, so the instant itself can be looked at.
        now = await owner.fetchval("SELECT ledger_now()")
        spendable = await owner.fetchval("SELECT $1::timestamptz > ledger_now()", now)
        assert spendable is False
    await grant(engine, account_id, "hour", 10, GrantType.FREE, expires_at=now + timedelta(hours=1))
    await grant(engine, account_id, "day", 7, GrantType.REFERRAL, expires_at=now + timedelta(days=1))
    assert (await read_balance(engine, account_id)).remaining == 17
    await advance_test_clock(engine, 3600)
    balance = await read_balance(engine, account_id)
    assert (balance.remaining, balance.net, balance.breakdown[GrantType.FREE]) == (7, 7, 0)
    assert await entries(database, account_id) == [("granted", 10, 10), ("granted", 7, 17)]  # not booked, yet gone


async def test_expiry_is_booked_late_and_counts_from_its_instant(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    now = (await read_balance(engine, account_id)).now
    await grant(engine, account_id, "later", 10, GrantType.FREE, expires_at=now + timedelta(hours=2))
    await grant(engine, account_id, "sooner", 7, GrantType.REFERRAL, expires_at=now + timedelta(hours=1))
    await grant(engine, account_id, "lasting", 5, GrantType.REFERRAL, expires_at=now + timedelta(days=3))
    await advance_test_clock(engine, DAY_SECONDS)
    await grant(engine, account_id, "next", 100, actor="ada", request_id="r9")
    assert (await entries(database, account_id))[3:] == [
        ("expired", -7, 15),
        ("expired", -10, 5),
        ("granted", 100, 105),
    ]
    async with session(database.owner_url) as owner:
        booked = await owner.fetch("SELECT * FROM journal WHERE kind = 'expired' ORDER BY entry_id")
    assert [row["effective_at"] for row in booked] == [now + timedelta(hours=1), now + timedelta(hours=2)]
    assert {row["actor"] for row in booked} == {"system"}
    assert {row["request_id"] for row in booked} == {"r9"}
    assert [row["operation_id"] for row in booked] == ["expire/sooner", "expire/later"]
    assert (await read_balance(engine, account_id)).remaining == 105
    await advance_test_clock(engine, 3 * DAY_SECONDS)
    await grant(engine, account_id, "last", 1)
    assert (await entries(database, account_id))[-2:] == [("expired", -5, 100), ("granted", 1, 101)]
    await assert_books_balance(database)


async def test_a_free_grant_on_an_overdue_account_lives_until_its_coming_reset(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    overdue = (await find_account(engine, account_id)).next_reset
    now = await advance_test_clock(engine, 100 * DAY_SECONDS)
    expires_at = (await grant(engine, account_id, "free-now", 10, GrantType.FREE)).grant.expires_at
    assert overdue < now
    assert expires_at is not None
    assert now < expires_at <= now + timedelta(days=31)
    assert expires_at.time() == overdue.time()
    assert (await read_balance(engine, account_id)).remaining == 10


async def test_revoking_takes_what_is_unspent_once(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "keep", 5)
    await grant(engine, account_id, "take", 10)
    first = await revoke_grant(engine, "take", reason="a mistake", actor="ada", request_id="r")
    again = await revoke_grant(engine, "take", reason="another reason", actor="bob", request_id="s")
    assert (first.revoked, first.reason, first.replayed) == (10, "a mistake", False)
    assert again == replace(first, replayed=True)
    assert (await read_balance(engine, account_id)).remaining == 5
    assert (await entries(database, account_id))[2:] == [("revoked", -10, 5)]
    await assert_books_balance(database)


async def test_revoking_a_grant_that_debt_has_eaten_into_takes_the_rest(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = await open_user(engine)
    await owe(database, account_id, 4)
    await grant(engine, account_id, "part", 10)
    assert (await revoke_grant(engine, "part", reason="", actor="", request_id="")).revoked == 6
    await owe(database, account_id, 10)
    await grant(engine, account_id, "whole", 10)
    assert (await revoke_grant(engine, "whole", reason="", actor="", request_id="")).revoked == 0
    assert (await read_balance(engine, account_id)).net == 0
    await assert_books_balance(database)


async def test_revoking_what_has_expired_books_the_expiry_and_takes_nothing(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = await open_user(engine)
    now = (await read_balance(engine, account_id)).now
    await grant(engine, account_id, "gone", 10, GrantType.FREE, expires_at=now + timedelta(hours=1))
    await advance_test_clock(engine, 3600)
    assert (await revoke_grant(engine, "gone", reason="", actor="", request_id="")).revoked == 0
    assert (await entries(database, account_id))[1:] == [("expired", -10, 0)]
    await assert_books_balance(database)


async def test_what_is_not_there_is_not_revoked(engine: AsyncEngine) -> None:
    for refused in (
        revoke_grant(engine, "nothing", reason="", actor="", request_id=""),
        find_grant(engine, "nothing"),
        order_of_grant(engine, "nothing"),
    ):
        with pytest.raises(UnknownGrant):
            await refused
    with pytest.raises(InvalidOrder):
        await revoke_grant(engine, "nothing", reason="x" * 501, actor="", request_id="")


def test_refusals_carry_numbers_and_words_only() -> None:
    """They become details of a workflow's failure, so they must be JSON."""
    samples: list[LedgerError] = [UnknownAccount("a"), LimitExceeded("x", limit=1, would_be=2), InvalidOrder("f", "p")]
    for sample in samples:
        assert all(isinstance(value, int | str) for value in vars(sample).values())
        assert str(sample)
