"""The resources of Stripe's API that the stand-in has, a module each; `ENDPOINTS` is all of them."""

from stripe_sandbox.resources import credit_grants, customers, events, payment_intents, payment_methods

ENDPOINTS = [
    *customers.ENDPOINTS,
    *payment_methods.ENDPOINTS,
    *payment_intents.ENDPOINTS,
    *credit_grants.ENDPOINTS,
    *events.ENDPOINTS,
]
