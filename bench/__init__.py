"""The benchmarks: the ledger beside pgbench and beside the naive pattern, on one PostgreSQL, in one run."""
