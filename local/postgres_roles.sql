-- What an embedded server has before the migrations run. Safe to repeat. The passwords come from the caller.
DO $roles$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'grantflow_owner') THEN
        CREATE ROLE grantflow_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'grantflow_app') THEN
        CREATE ROLE grantflow_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
    END IF;
END
$roles$;
