"""A stateful stand-in for Stripe: its HTTP API as far as Grantflow uses it, signed webhooks, and test controls.

Start it with `python -m stripe_sandbox`, or build the ASGI application with `stripe_sandbox.app.create_app`.
The package imports nothing else of Grantflow, and Grantflow reaches it by HTTP alone, as it would reach Stripe.
"""
