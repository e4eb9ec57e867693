"""Stripe, in our words: our payloads in, our payloads or our errors out."""
