"""The resources of Stripe's API that the stand-in has, a module each; `ENDPOINTS` is all of them."""

from stripe_sandbox.resources import (
    charges,
    checkout_sessions,
    credit_grants,
    customers,
    disputes,
    events,
    payment_intents,
    payment_methods,
    refunds,
)

ENDPOINTS = [
    *customers.ENDPOINTS,
    *payment_methods.ENDPOINTS,
    *payment_intents.ENDPOINTS,
    *charges.ENDPOINTS,
    *refunds.ENDPOINTS,
    *disputes.ENDPOINTS,
    *checkout_sessions.ENDPOINTS,
    *credit_grants.ENDPOINTS,
    *events.ENDPOINTS,
]
