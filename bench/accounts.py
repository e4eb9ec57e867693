"""How the benchmarks' accounts are named: account N is the same one for the seeds, pgbench and the callers."""

# Decimal digits are hexadecimal digits too, so that pgbench makes the id from the number by putting it at the end.
_FIRST = 700_000_000_000
_PREFIX = "00000000-0000-7000-8000-"

# What one call spends; one_call.pgbench says the same.
CREDITS_A_CALL = 7


def account_tail(number: int) -> int:
    """The last group of the account's id."""
    return _FIRST + number


def account_id(number: int) -> str:
    """The id of account ``number`` (from 0)."""
    return f"{_PREFIX}{account_tail(number)}"


def operation_id(run: int, caller: int, number: int) -> str:
    """The id of a caller's call; ``run`` is never the same for two loads on a database."""
    return f"{run}-{caller}-{number}"
