"""The grant flow's steps at Stripe. Each is one call, under a key that was stored before."""

from activities.failures import final_failures
from gateways.stripe.errors import StripeRefused
from gateways.stripe.gateway import StripeGateway
from messages.customers import Customer, CustomerRequest
from messages.grant_steps import GrantStripeSteps
from messages.grants import FoundMirror, MirrorClosing, MirrorQuestion, MirrorRequest, StripeGrant, StripeGrantId


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
    """Voids the credit grant; where Stripe refuses because some was applied, ends it instead.

    One that is closed already, or unknown to Stripe, is closed enough: the refusal of both calls says so.
    """
    try:
        await stripe.void_credit_grant(closing)
    except StripeRefused:
        try:
            await stripe.expire_credit_grant(closing)
        except StripeRefused:
            current = await stripe.retrieve_credit_grant(_id_of(closing))
            if not current.closed:
                raise


def _id_of(closing: MirrorClosing) -> StripeGrantId:
    return StripeGrantId(closing.stripe_grant_id)
