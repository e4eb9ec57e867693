"""How the process and its parts are."""

import asyncio
import logging

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.auth import TheParts
from api.parts import Parts
from ledger.transaction import WeakerIsolation, refuse_weaker_isolation

router = APIRouter(tags=["health"])

PART_ANSWERS_SECONDS = 2.0

_log = logging.getLogger(__name__)


@router.get("/healthz", response_class=PlainTextResponse)
async def healthz() -> str:
    """The process runs and answers."""
    return "ok\n"


@router.get("/readyz")
async def readyz(parts: TheParts) -> JSONResponse:
    """Whether requests can be served: 503 without the database.

    Without Temporal the API is ready and says ``degraded``: balances are read and pushed, webhooks are stored and
    wait, repeats of grants are answered; new grants get a retryable 503.
    """
    database, temporal = await asyncio.gather(_database(parts), _temporal(parts))
    database_up, temporal_up = database["status"] == "up", temporal["status"] == "up"
    listening = {"status": "up" if parts.live.is_listening else "down"}
    degraded = "ready" if temporal_up and parts.live.is_listening else "degraded"
    body = {
        "status": degraded if database_up else "unavailable",
        "parts": {"database": database, "temporal": temporal, "liveUpdates": listening},
    }
    return JSONResponse(body, status_code=200 if database_up else 503)


@router.get("/metrics")
async def metrics() -> Response:
    """Counters for Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _database(parts: Parts) -> dict[str, str]:
    try:
        async with asyncio.timeout(PART_ANSWERS_SECONDS):
            await refuse_weaker_isolation(parts.engine)
    except Exception as error:
        # A health check answers, whatever the driver raises; the log says what it was.
        _log.warning("The database is not usable: %s: %s", type(error).__name__, error)
        return {"status": "down", "reason": _reason(error)}
    return {"status": "up", "isolation": "serializable"}


async def _temporal(parts: Parts) -> dict[str, str]:
    try:
        async with asyncio.timeout(PART_ANSWERS_SECONDS):
            reachable = await parts.flows.is_reachable()
    except TimeoutError:
        reachable = False
    return {"status": "up"} if reachable else {"status": "down", "reason": "does not answer"}


def _reason(error: Exception) -> str:
    if isinstance(error, WeakerIsolation):
        return str(error)
    return f"does not answer ({type(error).__name__})"
