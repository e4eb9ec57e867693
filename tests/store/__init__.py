"""The ledger on real PostgreSQL."""
