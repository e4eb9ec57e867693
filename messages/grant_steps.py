"""The steps of the credit grant flow, as workflows see them. ``activities/`` implements them."""

from abc import abstractmethod

from temporalio import activity

from messages.customers import AccountId, Customer, CustomerRequest
from messages.grants import (
    FoundMirror,
    Grant,
    GrantId,
    GrantOrder,
    MirrorClosing,
    MirrorQuestion,
    MirrorRequest,
    PreparedMirror,
    StageChange,
    StripeGrant,
    StripeGrantId,
)
from messages.steps import Steps


class GrantLedgerSteps(Steps):
    """Steps in the ledger: each is one transaction, and each may be repeated."""

    @activity.defn
    @abstractmethod
    async def create_local_grant(self, order: GrantOrder) -> Grant:
        """Grants the credits, once for ever; a repeat answers with the grant that is there."""

    @activity.defn
    @abstractmethod
    async def prepare_mirror(self, grant: GrantId) -> PreparedMirror:
        """Moves the grant to ``stripe-pending`` and says what to tell Stripe, if there is anything to mirror."""

    @activity.defn
    @abstractmethod
    async def renew_mirror_key(self, request: MirrorRequest) -> MirrorRequest:
        """Stores the idempotency key after the one in ``request``, once, and answers with it."""

    @activity.defn
    @abstractmethod
    async def change_stage(self, change: StageChange) -> Grant:
        """Writes the stage, and what is known of Stripe's side, to the grant's row."""

    @activity.defn
    @abstractmethod
    async def spent_mirrors(self, account: AccountId) -> list[MirrorClosing]:
        """The account's mirrors whose grants have nothing left: they may be closed at Stripe."""

    @activity.defn
    @abstractmethod
    async def record_closing(self, closing: MirrorClosing) -> None:
        """Notes that the mirror is closed at Stripe."""

    @activity.defn
    @abstractmethod
    async def prepare_customer(self, account: AccountId) -> CustomerRequest:
        """What to tell Stripe about the account, under its stored idempotency key."""

    @activity.defn
    @abstractmethod
    async def renew_customer_key(self, request: CustomerRequest) -> CustomerRequest:
        """Stores the idempotency key after the one in ``request``, once, and answers with it."""

    @activity.defn
    @abstractmethod
    async def record_customer(self, customer: Customer) -> None:
        """Notes which customer the account is at Stripe."""


class GrantStripeSteps(Steps):
    """Steps at Stripe: each is one call, under a key that was stored before."""

    @activity.defn
    @abstractmethod
    async def create_stripe_customer(self, request: CustomerRequest) -> Customer:
        """Makes the account a customer at Stripe."""

    @activity.defn
    @abstractmethod
    async def create_stripe_grant(self, request: MirrorRequest) -> StripeGrant:
        """Creates the Billing Credit Grant that mirrors a local grant."""

    @activity.defn
    @abstractmethod
    async def find_stripe_grant(self, question: MirrorQuestion) -> FoundMirror:
        """Pages through the customer's credit grants for our operation id: Stripe has no search for them."""

    @activity.defn
    @abstractmethod
    async def retrieve_stripe_grant(self, grant: StripeGrantId) -> StripeGrant:
        """Asks Stripe how a credit grant stands."""

    @activity.defn
    @abstractmethod
    async def close_stripe_grant(self, closing: MirrorClosing) -> None:
        """Voids a credit grant, or expires it where some of it was applied."""
