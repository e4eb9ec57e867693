"""The gateways against what they are gateways to: the Stripe stand-in, stripe-mock, a real Temporal server."""
