"""The steps of the sweeps, as workflows see them."""

from abc import abstractmethod

from temporalio import activity

from messages.steps import Steps
from messages.sweeps import SweepReport


class SweepSteps(Steps):
    """Bounded pages of small, independent pieces of work.

    Each piece is a transaction, a vendor call and a transaction again, never a call inside a transaction;
    a page heartbeats after each piece, and what it does not reach comes again with the next tick.
    """

    @activity.defn
    @abstractmethod
    async def deliver_inbox(self) -> SweepReport:
        """Delivers the webhook events that wait in the inbox to their workflows."""

    @activity.defn
    @abstractmethod
    async def start_top_ups(self) -> SweepReport:
        """Starts top-ups of accounts below their thresholds whose trigger was lost, and has somebody carry payments on
        that have not moved for long."""

    @activity.defn
    @abstractmethod
    async def create_missing_customers(self) -> SweepReport:
        """Makes customers at Stripe of the accounts that are not known there yet."""

    @activity.defn
    @abstractmethod
    async def pump_mirrors(self) -> SweepReport:
        """Mirrors the grants that were born in another transaction, and starts a workflow for any that is late."""

    @activity.defn
    @abstractmethod
    async def close_mirrors(self) -> SweepReport:
        """Closes the mirrors whose grants are used up, expired or revoked."""


class TimeSweepSteps(Steps):
    """What time alone brings about, in the ledger alone: no vendor is asked, so an outage of one stops nothing."""

    @activity.defn
    @abstractmethod
    async def book_due(self) -> SweepReport:
        """Books what has expired in accounts that nobody touches."""

    @activity.defn
    @abstractmethod
    async def give_expiry_notices(self) -> SweepReport:
        """Notes for whom it is time to hear that credits are about to expire."""
