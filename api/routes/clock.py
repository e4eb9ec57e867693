"""The test clock: on the embedded stack alone, tests and demos move the product's clock forward."""

import logging
from datetime import datetime

import httpx
from fastapi import APIRouter

from api.auth import AsAdmin, TheParts
from api.wire.base import Answer, Request, Seconds
from gateways.stripe.sandbox_clock import tell_stand_in
from ledger.clock import advance_test_clock

router = APIRouter(prefix="/v1", tags=["test clock"])

_log = logging.getLogger(__name__)


class ClockRequest(Request):
    """How far to move the clock."""

    advance_seconds: Seconds


class ClockAnswer(Answer):
    """The product's new now, and whether the Stripe stand-in follows it already."""

    now: datetime
    stand_in_told: bool


@router.post("/test-clock")
async def move_clock(body: ClockRequest, parts: TheParts, _: AsAdmin) -> ClockAnswer:
    """Moves ledger time forward: expiry, resets and caps follow; signatures, tokens and Temporal's timers do not."""
    now = await advance_test_clock(parts.engine, body.advance_seconds)
    return ClockAnswer(now=now, stand_in_told=await _tell(parts.settings.stripe_api_base, now))


async def _tell(stand_in: str | None, now: datetime) -> bool:
    if stand_in is None:
        return False
    try:
        await tell_stand_in(stand_in, now)
    except httpx.HTTPError:
        # The clock has moved; to repeat the request would move it again. The next move tells the stand-in as well.
        _log.warning("The Stripe stand-in was not told that it is %s.", now, exc_info=True)
        return False
    return True
