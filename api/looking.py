"""Reasons to look at Stripe that come from the API: the owner is back from Stripe's page, or asks how it stands.

A webhook tells of a payment sooner, where it comes. Where it is lost, whoever asks has the payment's workflow ask
Stripe now, and not only after its next pause. What is found then, the next question sees.
"""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from api.background import CAN_WAIT_MAX, Background
from gateways.temporal.flows import FlowRefused, FlowUnavailable
from ledger.paying import read_payment
from ledger.rules.errors import LedgerError
from messages.payments import Payment, PaymentEvent, PaymentState

_log = logging.getLogger(__name__)

# Each look is about twenty events of a workflow's history, which has room for 50,000 of them, and the id of a payment
# that waits for a day can be guessed by anybody: the older it is, the longer it is quiet after a look.
QUIET_SECONDS = 5.0
LONGEST_QUIET_SECONDS = 120.0
QUIET_PART_OF_AGE = 0.05
# So many payments at once are looked at for whoever asks; of any more, their workflows take care alone.
PAYMENTS_MAX = 1000


class LookFlows(Protocol):
    """What the desk needs of Temporal."""

    async def payment_changed(self, payment: Payment, event: PaymentEvent, *, failed: bool = False) -> None: ...


class LookDesk:
    """The looks that this process asks for, one for each payment within some seconds.

    ``_quiet`` has the payments that were looked at just now, and whether somebody has asked again since: then there is
    one more look when the quiet is over, since it may have been paid a moment after the last one.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        flows: LookFlows,
        background: Background,
        *,
        quiet_seconds: float = QUIET_SECONDS,
        payments_max: int = PAYMENTS_MAX,
    ) -> None:
        self._engine = engine
        self._flows = flows
        self._background = background
        self._quiet_seconds = quiet_seconds
        self._payments_max = payments_max
        self._quiet: dict[str, bool] = {}

    def asked(self, payment: Payment) -> None:
        """Hears that somebody wants to know how the payment stands. Returns at once and never raises."""
        if payment.state is not PaymentState.REQUIRES_ACTION:
            return
        operation_id = payment.operation_id
        if operation_id in self._quiet:
            self._quiet[operation_id] = True
        elif len(self._quiet) < self._payments_max:
            self._look(operation_id)

    def _look(self, operation_id: str) -> None:
        self._quiet[operation_id] = False
        if not self._background.start(self._look_and_be_quiet(operation_id), behind=CAN_WAIT_MAX):
            del self._quiet[operation_id]

    async def _look_and_be_quiet(self, operation_id: str) -> None:
        quiet = self._quiet_seconds
        try:
            payment = await read_payment(self._engine, operation_id)
            if payment.state is PaymentState.REQUIRES_ACTION:
                age = datetime.now(UTC) - payment.created_at
                quiet = quiet_seconds_at(age, at_least=self._quiet_seconds)
                await self._flows.payment_changed(payment, PaymentEvent(event_id="somebody-asks"))
        except (FlowUnavailable, FlowRefused, LedgerError) as error:
            _log.warning("Whether %s was paid is asked of Stripe later: %s", operation_id, error)
        finally:
            asyncio.get_running_loop().call_later(quiet, self._quiet_is_over, operation_id)

    def _quiet_is_over(self, operation_id: str) -> None:
        if self._quiet.pop(operation_id, False):
            self._look(operation_id)


def quiet_seconds_at(age: timedelta, *, at_least: float = QUIET_SECONDS) -> float:
    """How long it is quiet after a look at a payment of this age."""
    return min(max(at_least, QUIET_PART_OF_AGE * age.total_seconds()), LONGEST_QUIET_SECONDS)
