"""Vendors: Stripe and Temporal's client. No vendor type escapes from here, and no idempotency key has a default."""
