"""SQL in an open transaction. Nothing here begins, commits or rolls back: ``ledger.transaction`` does."""
