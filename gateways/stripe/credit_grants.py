"""Billing Credit Grants: the mirror of a local grant at Stripe.

https://docs.stripe.com/billing/subscriptions/usage-based/billing-credits: they apply to metered prices only, can't be
searched, and 100 unused ones are all that a customer may have.
"""

from stripe import StripeClient
from stripe.billing import CreditGrant
from stripe.params.billing import CreditGrantCreateParams

from gateways.stripe.errors import our_errors
from messages.grants import FoundMirror, GrantType, MirrorQuestion, MirrorRequest, StripeGrant, StripeGrantId

# At Stripe lower is used first as well, and 100 is the largest: our priorities fit as they are.
_PRIORITIES = {
    GrantType.FREE: 20,
    GrantType.REFERRAL: 40,
    GrantType.ADMIN: 60,
    GrantType.ROLLOVER: 70,
    GrantType.PURCHASE: 80,
}
_PAID = frozenset({GrantType.PURCHASE, GrantType.ROLLOVER})
_PAGE = 100


async def create(client: StripeClient, request: MirrorRequest, *, metered_price: str) -> StripeGrant:
    """Creates the credit grant under the key of the request."""
    if request.stripe_customer_id is None:
        raise ValueError(f"the grant {request.operation_id} has no customer at Stripe yet")
    params: CreditGrantCreateParams = {
        "amount": {
            "type": "monetary",
            "monetary": {"value": request.amount_cents, "currency": request.currency},
        },
        "applicability_config": {"scope": {"prices": [{"id": metered_price}]}},
        "category": "paid" if request.type in _PAID else "promotional",
        "customer": request.stripe_customer_id,
        "name": f"{request.credits} {request.type} credits",
        "priority": _PRIORITIES[request.type],
        "metadata": {
            "operationId": request.operation_id,
            "accountId": request.account_id,
            "grantType": str(request.type),
            "credits": str(request.credits),
        },
    }
    if request.expires_at is not None:
        params["expires_at"] = int(request.expires_at.timestamp())
    async with our_errors():
        made = await client.v1.billing.credit_grants.create_async(params, {"idempotency_key": request.idempotency_key})
    return _as_ours(made)


async def find(client: StripeClient, question: MirrorQuestion) -> FoundMirror:
    """Pages through the customer's credit grants for the one with our operation id: Stripe has no search for them.

    One that was voided or ended does not count: it mirrors nothing any more.
    """
    async with our_errors():
        page = await client.v1.billing.credit_grants.list_async(
            {"customer": question.stripe_customer_id, "limit": _PAGE}
        )
        async for grant in page.auto_paging_iter():
            ours = _as_ours(grant)
            if ours.operation_id == question.operation_id and not ours.closed:
                return FoundMirror(ours)
    return FoundMirror(None)


async def retrieve(client: StripeClient, grant: StripeGrantId) -> StripeGrant:
    """How the credit grant stands at Stripe."""
    async with our_errors():
        found = await client.v1.billing.credit_grants.retrieve_async(grant.stripe_grant_id)
    return _as_ours(found)


def _as_ours(grant: CreditGrant) -> StripeGrant:
    metadata: dict[str, str] = grant.metadata.to_dict()
    return StripeGrant(
        stripe_grant_id=grant.id,
        operation_id=metadata.get("operationId"),
        closed=grant.voided_at is not None or _was_ended(grant),
    )


def _was_ended(grant: CreditGrant) -> bool:
    """Whether the grant was ended by a call: that sets its expiry to the instant of the change, and a grant can't be
    made or moved to expire in the past. One whose time has simply run out was a good mirror for as long as it lived.
    """
    return grant.expires_at is not None and grant.expires_at <= grant.updated
