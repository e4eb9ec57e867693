"""The database states the invariants a second time: each constraint is seen to refuse, and the journal only grows."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from messages.grants import GrantType
from tests.conftest import Database, MakeDatabase, run_migrations
from tests.store.refused_payments import ALSO_REFUSED_PAYMENTS, REFUSED_PAYMENTS
from tests.store.support import grant, open_user, session

REFUSED_UPDATES = {
    "ck_accounts_kind": "UPDATE accounts SET kind = 'robot'",
    "ck_accounts_debt": "UPDATE accounts SET debt = -1, balance = 0",
    "ck_accounts_balance": "UPDATE accounts SET balance = -1",
    "ck_accounts_debt_or_credit": "UPDATE accounts SET debt = 1, balance = 1",
    "ck_accounts_usage": "UPDATE accounts SET usage = -1",
    "ck_accounts_debt_cap": "UPDATE accounts SET debt_cap = -1",
    "ck_accounts_seq": "UPDATE accounts SET seq = -1",
    "ck_accounts_cycle": "UPDATE accounts SET next_reset = cycle_start",
    "ck_accounts_reset_anchor_day": "UPDATE accounts SET reset_anchor_day = 32",
    "ck_accounts_price": "UPDATE accounts SET price_cents = 0",
    "ck_accounts_currency": "UPDATE accounts SET currency = 'USD'",
    "ck_accounts_free_credits": "UPDATE accounts SET free_credits = 1000000000001",
    "ck_account_profiles_name": "UPDATE account_profiles SET name = ''",
    "ck_account_profiles_email": "UPDATE account_profiles SET email = 'a@'",
    "ck_account_profiles_external_id": "UPDATE account_profiles SET external_id = ''",
    "ck_account_tokens_sha256": "UPDATE account_tokens SET token_hash = 'short'",
    "ck_tickets_sha256": "UPDATE tickets SET ticket_hash = 'short'",
    "ck_operations_kind": "UPDATE operations SET kind = 'gift'",
    "ck_operations_operation_id": "UPDATE operations SET operation_id = ''",
    "ck_grants_type": "ALTER TABLE grants DROP CONSTRAINT ck_grants_priority_of_type; "
    "UPDATE grants SET type = 'gift' WHERE type = 'admin'",
    "ck_grants_priority_of_type": "UPDATE grants SET priority = 20 WHERE type = 'admin'",
    "ck_grants_principal": "UPDATE grants SET principal = 0, balance = 0",
    "ck_grants_balance": "UPDATE grants SET balance = principal + 1",
    "ck_grants_expiry_of_type": "UPDATE grants SET expires_at = NULL WHERE type = 'free'",
    "ck_grants_expires_after_creation": "UPDATE grants SET expires_at = created_at WHERE type = 'free'",
    "ck_grants_price": "UPDATE grants SET price_credits = 0",
    "ck_grants_revoked_is_empty": "UPDATE grants SET revoked_at = now()",
    "ck_grant_mirrors_stage": "UPDATE grant_mirrors SET stage = 'lost'",
    "ck_grant_mirrors_driver": "UPDATE grant_mirrors SET driver = 'nobody'",
    "ck_grant_mirrors_confirmed_at_stripe": "UPDATE grant_mirrors SET stage = 'confirmed'",
    "ck_grant_mirrors_stuck_has_reason": "UPDATE grant_mirrors SET stage = 'stuck'",
    "ck_grant_mirrors_key": "UPDATE grant_mirrors SET key_number = 0",
    "ck_webhook_inbox_state": "UPDATE webhook_inbox SET state = 'lost', processed_at = now()",
    "ck_webhook_inbox_processed_at": "UPDATE webhook_inbox SET state = 'processed'",
    "ck_webhook_inbox_event_id": "UPDATE webhook_inbox SET event_id = ''",
    "ck_notices_kind": "UPDATE notices SET kind = 'Two Words'",
    "ck_notices_subject": "UPDATE notices SET subject = ''",
    "ck_notices_payload": "UPDATE notices SET payload = '[]'",
    "uq_notices_account_id_kind_subject": "INSERT INTO notices (account_id, kind, subject, payload) "
    "SELECT account_id, kind, subject, payload FROM notices",
    "pk_notices": "INSERT INTO notices OVERRIDING SYSTEM VALUE "
    "SELECT notice_id, account_id, kind, 'another', payload FROM notices",
    "fk_notices_account_id": "UPDATE notices SET account_id = gen_random_uuid()",
    "uq_account_profiles_external_id": "UPDATE account_profiles SET external_id = 'same'",
    "uq_account_profiles_referral_code": "UPDATE account_profiles SET referral_code = 'same'",
    "uq_account_profiles_stripe_customer_id": "UPDATE account_profiles SET stripe_customer_id = 'same'",
    "uq_account_profiles_stripe_customer_key": "UPDATE account_profiles SET stripe_customer_key = 'same'",
    "uq_grants_operation_id": "UPDATE grants SET operation_id = 'same'",
    "uq_grants_payment_id": "UPDATE grants SET payment_id = 'same'",
    "uq_grant_mirrors_operation_id": "UPDATE grant_mirrors SET operation_id = 'same'",
    "uq_grant_mirrors_stripe_grant_id": "UPDATE grant_mirrors SET stripe_grant_id = 'same'",
    "uq_grant_mirrors_idempotency_key": "UPDATE grant_mirrors SET idempotency_key = 'same'",
    "uq_operations_global_operation_id": "UPDATE operations SET operation_id = 'same' "
    "WHERE operation_id IN ('admin-one', 'admin-two')",
    "pk_accounts": "UPDATE accounts SET account_id = '00000000-0000-0000-0000-000000000000'",
    "pk_account_profiles": "UPDATE account_profiles SET account_id = '00000000-0000-0000-0000-000000000000'",
    "pk_account_tokens": "INSERT INTO account_tokens SELECT * FROM account_tokens",
    "pk_tickets": "INSERT INTO tickets SELECT * FROM tickets",
    "pk_operations": "UPDATE operations SET account_id = '00000000-0000-0000-0000-000000000000', "
    "kind = 'expire', operation_id = 'same'",
    "pk_grants": "UPDATE grants SET grant_id = '00000000-0000-0000-0000-000000000000'",
    "pk_grant_mirrors": "UPDATE grant_mirrors SET grant_id = '00000000-0000-0000-0000-000000000000'",
    "pk_webhook_inbox": "INSERT INTO webhook_inbox SELECT * FROM webhook_inbox",
    "fk_account_profiles_account_id": "UPDATE account_profiles SET account_id = gen_random_uuid()",
    "fk_account_tokens_account_id": "UPDATE account_tokens SET account_id = gen_random_uuid()",
    "fk_tickets_account_id": "UPDATE tickets SET account_id = gen_random_uuid()",
    "fk_grants_account_id": "DELETE FROM payments; DELETE FROM auto_topups; DELETE FROM notices; "
    "DELETE FROM account_profiles; DELETE FROM account_tokens; DELETE FROM tickets; DELETE FROM accounts",
    "fk_grants_account_id_operation_id": "UPDATE grants SET operation_id = 'unclaimed' "
    "WHERE operation_id = 'admin-one'",
    "fk_grant_mirrors_account_id_grant_id": "UPDATE grant_mirrors SET account_id = (SELECT account_id FROM accounts "
    "WHERE account_id <> grant_mirrors.account_id)",
}

REFUSED_REVERSALS = {
    "ck_payment_reversals_payment_id": "UPDATE payment_reversals SET payment_id = '' WHERE payment_id = 'pi_admin-one'",
    "ck_payment_reversals_cents": "UPDATE payment_reversals SET reversed_cents = 11",
    "ck_payment_reversals_credits": "UPDATE payment_reversals SET covered_credits = 6",
    "ck_payment_reversals_credits_of_cents": "UPDATE payment_reversals SET reversed_cents = 0",
    "ck_payment_reversals_frozen": "UPDATE payment_reversals SET frozen_hold = 'h'",
    "ck_payment_reversals_changes": "UPDATE payment_reversals SET changes = -1",
    "pk_payment_reversals": "UPDATE payment_reversals SET payment_id = 'same'",
    "fk_payment_reversals_account_id_grant_id": "UPDATE payment_reversals SET grant_id = gen_random_uuid()",
    "ck_rollover_sources_another": "UPDATE rollover_sources SET grant_id = source_grant_id",
    "pk_rollover_sources": "INSERT INTO rollover_sources SELECT * FROM rollover_sources",
    "fk_rollover_sources_account_id_grant_id": "UPDATE rollover_sources SET grant_id = gen_random_uuid()",
    "fk_rollover_sources_account_id_source_grant_id": "UPDATE rollover_sources SET source_grant_id = gen_random_uuid()",
}

_ENTRY = "INSERT INTO journal ({columns}) SELECT {values} FROM journal WHERE kind = 'granted' LIMIT 1"
_COLUMNS = (
    *("account_id", "seq", "kind", "operation_id", "grant_id", "credits", "balance_after", "actor", "request_id"),
    *("price_cents", "price_credits", "currency", "effective_at"),
)


def entry_with(**changed: str) -> str:
    """A copy of an entry in which these columns are something else."""
    values = ", ".join(changed.get(column, column) for column in _COLUMNS)
    return _ENTRY.format(columns=", ".join(_COLUMNS), values=values)


REFUSED_ENTRIES = {
    "ck_journal_kind": entry_with(kind="'gift'"),
    "ck_journal_grant_or_debt": entry_with(
        grant_id="NULL", price_cents="NULL", price_credits="NULL", currency="NULL", kind="'granted'"
    ),
    "ck_journal_price_of_grant": entry_with(price_cents="NULL", price_credits="NULL", currency="NULL"),
    "ck_journal_price": entry_with(currency="NULL"),
    "ck_journal_seq": entry_with(seq="0"),
    "ck_journal_sign_of_kind": entry_with(credits="0"),
    "pk_journal": "INSERT INTO journal OVERRIDING SYSTEM VALUE SELECT * FROM journal LIMIT 1",
}

REFUSED_HOLDS = {
    "ck_holds_state": "UPDATE holds SET state = 'lost', closed_at = now()",
    "ck_holds_made_by": "UPDATE holds SET made_by = 'nobody'",
    "ck_holds_credits": "UPDATE holds SET credits = 0",
    "ck_holds_closed_at": "UPDATE holds SET closed_at = now()",
    "pk_holds": "INSERT INTO holds SELECT * FROM holds",
    "ck_hold_parts_credits": "UPDATE hold_parts SET credits = 0",
    "pk_hold_parts": "INSERT INTO hold_parts SELECT * FROM hold_parts",
}

REFUSED = {**REFUSED_UPDATES, **REFUSED_REVERSALS, **REFUSED_PAYMENTS, **REFUSED_ENTRIES, **REFUSED_HOLDS}
_NO_GRANT = dict.fromkeys(("grant_id", "price_cents", "price_credits", "currency"), "NULL")
# What else some of them refuse: credits that are held, and what goes back or comes back the wrong way round.
ALSO_REFUSED = [
    ("ck_journal_sign_of_kind", entry_with(kind="'reversed'", credits="1")),
    ("ck_journal_sign_of_kind", entry_with(kind="'reinstated'", credits="-1")),
    ("ck_journal_sign_of_kind", entry_with(kind="'reversed'", credits="1", **_NO_GRANT)),
    ("ck_journal_grant_or_debt", entry_with(kind="'reinstated'", credits="1", **_NO_GRANT)),
    ("ck_payment_reversals_cents", "UPDATE payment_reversals SET frozen_cents = 6"),
    ("ck_payment_reversals_cents", "UPDATE payment_reversals SET frozen_cents = -1"),
    ("ck_payment_reversals_credits", "UPDATE payment_reversals SET covered_credits = -1"),
    *ALSO_REFUSED_PAYMENTS,
    ("ck_accounts_balance", "UPDATE accounts SET held = balance + 1"),
    ("ck_accounts_balance", "UPDATE accounts SET held = -1"),
    ("ck_accounts_debt_or_credit", "UPDATE accounts SET debt = 1, held = balance - 1"),
    ("ck_grants_balance", "UPDATE grants SET held = balance + 1"),
    ("ck_grants_balance", "UPDATE grants SET held = -1"),
    ("ck_grants_revoked_is_empty", "UPDATE grants SET revoked_at = now(), held = balance - 1"),
]
# It is there to be referred to; the primary key refuses before it could.
IMPLIED = {"uq_grants_account_id_grant_id"}


@pytest.fixture(scope="module")
async def filled(make_plain_database: MakeDatabase) -> AsyncIterator[Database]:
    """A database with two accounts and something in every table; the tests leave it as it is."""
    async with make_plain_database() as database:
        await fill(database)
        yield database


async def fill(database: Database) -> None:
    """Puts something into every table."""
    engine = database.open_engine()
    for name in ("one", "two"):
        account_id = await open_user(engine, free_credits=5, name=name)
        await grant(engine, account_id, f"admin-{name}", 10)
        await grant(engine, account_id, f"admin-{name}-again", 10)
    await engine.dispose()
    async with session(database.owner_url) as owner:
        await owner.execute(
            """
            INSERT INTO account_tokens (token_hash, account_id) SELECT sha256('t'), account_id FROM accounts LIMIT 1;
            INSERT INTO tickets SELECT sha256('t'), account_id, now() FROM accounts LIMIT 1;
            INSERT INTO webhook_inbox (event_id, type, payload) VALUES ('evt_1', 'ping', '{}');
            INSERT INTO notices (account_id, kind, subject, payload)
                SELECT account_id, 'expiry', 'g/7', '{}' FROM accounts;
            INSERT INTO operations (account_id, operation_id, kind, request, actor, request_id)
                SELECT account_id, 'revoke/x', 'revoke', '{}', '', '' FROM accounts;
            INSERT INTO holds (account_id, operation_id, credits, state, made_by, created_at)
                SELECT account_id, operation_id, 1, 'open', 'admin', now() FROM grants WHERE operation_id = 'admin-one';
            INSERT INTO hold_parts (account_id, operation_id, grant_id, credits)
                SELECT account_id, operation_id, grant_id, 1 FROM grants WHERE operation_id = 'admin-one';
            INSERT INTO payment_reversals (payment_id, account_id, grant_id, paid_cents, reversed_cents, frozen_cents,
                    reversed_credits, covered_credits, updated_at)
                SELECT 'pi_' || operation_id, account_id, grant_id, 10, 5, 0, 5, 0, now() FROM grants
                WHERE operation_id IN ('admin-one', 'admin-two');
            INSERT INTO payments (operation_id, account_id, kind, credits, amount_cents, currency, idempotency_key,
                    actor, request_id, payment_intent_id, checkout_session_id)
                SELECT 'topup-' || name, account_id, 'auto-topup', 500, 500, 'usd', 'payment-' || name, '', '',
                    'pi_topup-' || name, 'cs_' || name FROM account_profiles;
            INSERT INTO auto_topups (account_id, enabled, threshold, target, changed_by)
                SELECT account_id, true, 1, 2, '' FROM accounts;
            INSERT INTO rollover_sources SELECT account_id, a.grant_id, b.grant_id
                FROM grants AS a JOIN grants AS b USING (account_id)
                WHERE a.operation_id = 'admin-one-again' AND b.operation_id = 'admin-one';
            """
        )


@pytest.mark.parametrize("constraint", sorted(REFUSED))
async def test_a_constraint_refuses(filled: Database, constraint: str) -> None:
    async with session(filled.owner_url) as owner, owner.transaction():
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
            await owner.execute(f"{REFUSED[constraint]}; SET CONSTRAINTS ALL IMMEDIATE")
    assert refused.value.constraint_name == constraint


@pytest.mark.parametrize(("constraint", "statement"), ALSO_REFUSED)
async def test_a_constraint_refuses_that_too(filled: Database, constraint: str, statement: str) -> None:
    async with session(filled.owner_url) as owner, owner.transaction():
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
            await owner.execute(statement)
    assert refused.value.constraint_name == constraint


async def test_no_constraint_is_left_out(filled: Database) -> None:
    async with session(filled.owner_url) as owner:
        stated = await owner.fetch(
            """
            SELECT conname AS name FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'u', 'p')
            UNION SELECT indexrelid::regclass::text FROM pg_index
            JOIN pg_class ON pg_class.oid = indrelid AND relnamespace = 'public'::regnamespace WHERE indisunique
            """
        )
    assert {row["name"] for row in stated} - {"alembic_version_pkc"} == set(REFUSED) | IMPLIED


@pytest.mark.parametrize("statement", ["UPDATE journal SET actor = 'x'", "DELETE FROM journal", "TRUNCATE journal"])
@pytest.mark.parametrize("role", ["app", "owner", "superuser"])
async def test_the_journal_only_grows(filled: Database, statement: str, role: str) -> None:
    url = {"app": filled.app_url, "owner": filled.owner_url, "superuser": filled.superuser_url}[role]
    async with session(url) as someone:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await someone.execute(statement)


async def test_a_session_that_says_it_replicates_changes_no_entry_either(filled: Database) -> None:
    async with session(filled.superuser_url) as superuser:
        await superuser.execute("SET session_replication_role = replica")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await superuser.execute("DELETE FROM journal")


async def test_the_application_owns_nothing(filled: Database) -> None:
    async with session(filled.app_url) as app:
        owned = await app.fetch(
            "SELECT oid::regclass::text FROM pg_class WHERE relowner = 'grantflow_app'::regrole "
            "UNION ALL SELECT oid::regprocedure::text FROM pg_proc WHERE proowner = 'grantflow_app'::regrole "
            "UNION ALL SELECT datname FROM pg_database WHERE datdba = 'grantflow_app'::regrole "
            "UNION ALL SELECT nspname FROM pg_namespace WHERE nspowner = 'grantflow_app'::regrole"
        )
        role = await app.fetchrow("SELECT * FROM pg_roles WHERE rolname = current_user")
        memberships = await app.fetchval("SELECT count(*) FROM pg_auth_members WHERE member = current_user::regrole")
    assert owned == []
    assert memberships == 0
    assert role is not None
    assert not any(role[right] for right in ("rolsuper", "rolcreaterole", "rolcreatedb", "rolreplication"))
    assert not role["rolbypassrls"]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (x int)",
        "ALTER TABLE journal DISABLE TRIGGER append_only",
        "DROP TRIGGER append_only ON journal",
        "CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
        "SET session_replication_role = replica",
        "DELETE FROM grants",
        "DELETE FROM accounts",
        "DELETE FROM operations",
        "DELETE FROM holds",
        "UPDATE holds SET credits = 1",
        "UPDATE hold_parts SET credits = 1",
        "UPDATE payment_reversals SET account_id = gen_random_uuid()",
        "DELETE FROM payment_reversals",
        "UPDATE rollover_sources SET grant_id = gen_random_uuid()",
        "DELETE FROM rollover_sources",
        "DELETE FROM payments",
        "UPDATE payments SET operation_id = 'x'",
        "UPDATE payments SET account_id = gen_random_uuid()",
        "UPDATE payments SET kind = 'purchase'",
        "UPDATE payments SET credits = 1",
        "UPDATE payments SET amount_cents = 1",
        "UPDATE payments SET created_at = now()",
        "DELETE FROM auto_topups",
        "DELETE FROM webhook_inbox",
        "DELETE FROM notices",
        "UPDATE notices SET payload = '{}'",
        "TRUNCATE grants",
        "UPDATE operations SET answer = '{}'",
        "UPDATE grants SET principal = 1",
        "UPDATE grants SET type = 'free'",
        "UPDATE grants SET payment_id = 'x'",
        "UPDATE accounts SET kind = 'user'",
        "UPDATE accounts SET created_at = now()",
        "UPDATE account_tokens SET account_id = gen_random_uuid()",
        "SELECT * FROM alembic_version",
    ],
)
async def test_the_application_may_do_no_more_than_it_does(filled: Database, statement: str) -> None:
    async with session(filled.app_url) as app:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(statement)


async def test_the_schema_is_what_the_tables_say(filled: Database) -> None:
    assert "No new upgrade operations detected" in await run_migrations(filled.owner_url, "check")


async def test_the_way_down_and_up_again(plain_database: Database) -> None:
    await fill(plain_database)
    tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i', 'S')"
    functions = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    async with session(plain_database.owner_url) as owner:
        before = await owner.fetchval(tables), await owner.fetchval(functions)
    await run_migrations(plain_database.owner_url, "downgrade", "base")
    async with session(plain_database.owner_url) as owner:
        assert (await owner.fetchval(tables), await owner.fetchval(functions)) == (2, 0)  # Alembic's own
    await run_migrations(plain_database.owner_url)
    async with session(plain_database.owner_url) as owner:
        assert (await owner.fetchval(tables), await owner.fetchval(functions)) == before
    engine = plain_database.open_engine()
    await grant(engine, await open_user(engine, free_credits=5), "after-all", 7, GrantType.PURCHASE)
    await engine.dispose()


async def test_sessions_have_the_timeouts_that_the_ledger_relies_on(database: Database) -> None:
    engine = database.open_engine()
    async with engine.connect() as connection:
        shown = {
            name: (await connection.exec_driver_sql(f"SHOW {name}")).scalar_one()
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "enable_seqscan")
        }
    await engine.dispose()
    assert shown == {
        "statement_timeout": "10s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "15s",
        "enable_seqscan": "off",
    }
