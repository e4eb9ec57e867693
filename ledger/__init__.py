"""The credit ledger. README.md beside this file has its words and invariants."""
