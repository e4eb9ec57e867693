"""The ledger beside a naive model: machines, recorded histories, and known-bad mutants that must be caught."""
