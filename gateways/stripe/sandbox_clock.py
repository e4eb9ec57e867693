"""The embedded stack's Stripe stand-in follows the product's clock; Stripe itself has nothing of the kind."""

from datetime import datetime

import httpx


async def tell_stand_in(api_base: str, now: datetime) -> None:
    """Sets the stand-in's clock to ``now`` (UTC). Raises httpx.HTTPError when it does not answer."""
    async with httpx.AsyncClient(timeout=5) as client:
        answer = await client.post(f"{api_base.rstrip('/')}/_sandbox/clock", json={"now": now.isoformat()})
        answer.raise_for_status()
