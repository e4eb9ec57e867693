"""The grant flow's steps at Stripe. Each is one call, under a key that was stored before."""

from activities.failures import final_failures
from gateways.stripe.errors import StripeOutcomeUnknown, StripeRefused
from gateways.stripe.gateway import StripeGateway
from messages.customers import Customer, CustomerRequest
from messages.grant_steps import GrantStripeSteps
from messages.grants import FoundMirror, MirrorClosing, MirrorQuestion, MirrorRequest, StripeGrant, StripeGrantId

_NOT_FOUND = 404


class GrantStripe(GrantStripeSteps):
    """See :class:`messages.grant_steps.GrantStripeSteps` for what each step does."""

    def __init__(self, stripe: StripeGateway) -> None:
        self._stripe = stripe

    async def create_stripe_customer(self, request: CustomerRequest) -> Customer:
        with final_failures():
            return await self._stripe.create_customer(request)

    async def create_stripe_grant(self, request: MirrorRequest) -> StripeGrant:
        with final_failures():
            return await self._stripe.create_credit_grant(request)

    async def find_stripe_grant(self, question: MirrorQuestion) -> FoundMirror:
        with final_failures(reading=True):
            return await self._stripe.find_credit_grant(question)

    async def retrieve_stripe_grant(self, grant: StripeGrantId) -> StripeGrant:
        with final_failures(reading=True):
            return await self._stripe.retrieve_credit_grant(grant)

    async def close_stripe_grant(self, closing: MirrorClosing) -> None:
        with final_failures():
            await close_at_stripe(self._stripe, closing)


async def close_at_stripe(stripe: StripeGateway, closing: MirrorClosing) -> None:
    """Voids the credit grant; where Stripe refuses because some was applied, or fails, ends it instead.

    What counts is that it is closed in the end, whoever did it: one that was closed before refuses both calls, and
    one that Stripe does not know is closed enough.
    """
    try:
        await stripe.void_credit_grant(closing)
    except (StripeRefused, StripeOutcomeUnknown):
        try:
            await stripe.expire_credit_grant(closing)
        except (StripeRefused, StripeOutcomeUnknown):
            if not await _is_closed(stripe, StripeGrantId(closing.stripe_grant_id)):
                raise


async def _is_closed(stripe: StripeGateway, grant: StripeGrantId) -> bool:
    try:
        return (await stripe.retrieve_credit_grant(grant)).closed
    except StripeRefused as refusal:
        if refusal.status == _NOT_FOUND:
            return True
        raise
