-- The yardstick: the change that one consumption makes, as one PL/pgSQL call. Installed by the schema's owner, called
-- by the application's role with its own rights, in a SERIALIZABLE transaction of its own.
--
-- It is written to be quick: the account is locked by the update that it needs anyway, grants are read in the order of
-- their index as far as they are needed, and the operation is claimed by the one insert that also carries the answer (a
-- taken id is a unique violation, and nothing has happened). It leaves out what the ledger does besides: repeats,
-- debt, and booking what has expired or lapsed. An account that needs these is refused.
CREATE SCHEMA IF NOT EXISTS bench;
GRANT USAGE ON SCHEMA bench TO grantflow_app;

CREATE OR REPLACE FUNCTION bench.consume_one(p_account uuid, p_operation text, p_credits bigint) RETURNS bigint
LANGUAGE plpgsql
AS $body$
DECLARE
    v_now timestamptz := ledger_now();
    v_left bigint := p_credits;
    v_paid bigint := 0;
    v_allocations jsonb := '[]';
    v_part bigint;
    v_seq bigint;
    v_balance bigint;
    v_remaining bigint;
    v_grant record;
BEGIN
    UPDATE accounts SET balance = balance - p_credits, usage = usage + p_credits, seq = seq + 1
    WHERE account_id = p_account AND balance - held >= p_credits AND (next_expiry IS NULL OR next_expiry > v_now)
    RETURNING seq, balance, balance - held INTO v_seq, v_balance, v_remaining;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'account % is not for the yardstick, or has too few credits', p_account;
    END IF;
    FOR v_grant IN
        SELECT grant_id, operation_id, type, balance - held AS spendable, price_cents, price_credits, currency
        FROM grants WHERE account_id = p_account AND live AND balance > held
        ORDER BY priority, expires_at, created_at, grant_id
    LOOP
        v_part := least(v_left, v_grant.spendable);
        v_left := v_left - v_part;
        UPDATE grants SET balance = balance - v_part WHERE grant_id = v_grant.grant_id;
        INSERT INTO journal (account_id, seq, kind, operation_id, grant_id, credits, balance_after, actor, request_id,
            price_cents, price_credits, currency, effective_at)
        VALUES (p_account, v_seq, 'consumed', p_operation, v_grant.grant_id, -v_part, v_balance + v_left, 'bench',
            p_operation, v_grant.price_cents, v_grant.price_credits, v_grant.currency, v_now);
        v_allocations := v_allocations
            || jsonb_build_array(jsonb_build_array(v_grant.grant_id, v_grant.operation_id, v_grant.type, v_part));
        IF v_grant.type IN ('rollover', 'purchase') THEN
            v_paid := v_paid + v_part;
        END IF;
        EXIT WHEN v_left = 0;
    END LOOP;
    IF v_left > 0 THEN
        RAISE EXCEPTION 'account % has too few live credits', p_account;
    END IF;
    INSERT INTO operations (account_id, operation_id, kind, request, answer, actor, request_id)
    VALUES (p_account, p_operation, 'consume',
        json_build_object('credits', p_credits, 'onInsufficient', 'refuse', 'description', NULL),
        json_build_object('fromPurchased', v_paid, 'allocations', v_allocations, 'debtIncurred', 0, 'debt', 0,
            'remaining', v_remaining),
        'bench', p_operation);
    RETURN v_remaining;
END
$body$;
