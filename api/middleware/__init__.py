"""What a request that costs credits passes through before, and after, its action."""
