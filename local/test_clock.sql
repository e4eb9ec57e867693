-- A clock of the product that tests and the demo can move, on the embedded stack alone: there `ledger_now()`, which
-- the migrations make plain `now()`, is ahead of it by an offset. Run as the owner, after the migrations; safe to repeat.
CREATE TABLE IF NOT EXISTS test_clock (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- At most ten years of 366 days in all, and never backwards.
    offset_seconds bigint NOT NULL DEFAULT 0 CHECK (offset_seconds BETWEEN 0 AND 316224000)
);
INSERT INTO test_clock DEFAULT VALUES ON CONFLICT DO NOTHING;

CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz
LANGUAGE sql STABLE
AS $body$
    SELECT now() + make_interval(secs => (SELECT offset_seconds FROM test_clock WHERE only_row))
$body$;

CREATE OR REPLACE FUNCTION advance_test_clock(seconds bigint) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $body$
BEGIN
    IF seconds IS NULL OR seconds <= 0 THEN
        RAISE EXCEPTION 'the test clock only moves forward' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE test_clock SET offset_seconds = offset_seconds + seconds WHERE only_row;
    RETURN ledger_now();
EXCEPTION
    WHEN check_violation OR numeric_value_out_of_range THEN
        RAISE EXCEPTION 'the test clock moves at most ten years in all' USING ERRCODE = 'invalid_parameter_value';
END
$body$;

REVOKE ALL ON FUNCTION advance_test_clock(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION advance_test_clock(bigint) TO grantflow_app;
REVOKE ALL ON test_clock FROM PUBLIC;
GRANT SELECT ON test_clock TO grantflow_app;
