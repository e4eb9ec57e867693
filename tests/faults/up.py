"""The stack that `grantflow up` starts, for tests that take parts of it away."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from client.errors import Refused
from client.http import GrantflowClient
from tests.conftest import ROOT

STAGE_SECONDS = 90
CREDITS = 100


@dataclass(frozen=True)
class Up:
    """A running stack, an administrator's client of it, and the stand-in's controls."""

    address: dict[str, Any]
    grantflow: GrantflowClient
    stripe: httpx.AsyncClient

    async def account(self) -> str:
        """A new organization: it has no grant but those of the test."""
        return (await self.grantflow.create_account("organization", f"Test {uuid4()}")).account_id

    async def grant(self, account_id: str, operation_id: str) -> None:
        """Grants 100 credits, repeating the request for as long as the service says that a repeat may help."""
        async with asyncio.timeout(STAGE_SECONDS):
            while True:
                try:
                    await self.grantflow.grant(account_id, operation_id=operation_id, type="purchase", credits=CREDITS)
                    return
                except Refused as no:
                    if not no.retryable:
                        raise

    async def confirmed(self, operation_id: str) -> None:
        """Waits until the grant is confirmed, and sees that Stripe has it once."""
        async with asyncio.timeout(STAGE_SECONDS):
            grant = await self.grantflow.find_grant(operation_id)
            while grant.stage != "confirmed":
                await asyncio.sleep(0.2)
                grant = await self.grantflow.find_grant(operation_id)
        grants = (await self.stripe.get("/_sandbox/objects/credit_grants")).json()["data"]
        assert [grant["metadata"].get("operationId") for grant in grants].count(operation_id) == 1

    async def stripe_behaves(self, **behaviour: object) -> None:
        """Sets how the stand-in behaves; without arguments it behaves."""
        (await self.stripe.post("/_sandbox/behaviour", json=behaviour)).raise_for_status()

    async def pid(self, part: str) -> int:
        """The part's process now."""
        status = json.loads(await _grantflow("status", "--json", "--data-dir", self.address["dataDir"]))
        return next(int(each["pid"]) for each in status["parts"] if each["name"] == part)

    async def kill(self, part: str) -> None:
        """Ends the part's process as an accident does (SIGKILL). The supervisor starts another."""
        os.kill(await self.pid(part), signal.SIGKILL)


@asynccontextmanager
async def running_stack(data_dir: Path) -> AsyncIterator[Up]:
    """The stack, started as a person starts it, and stopped in the end."""
    address = json.loads(await _grantflow("up", "--detach", "--json", "--data-dir", str(data_dir)))
    try:
        async with (
            GrantflowClient(address["apiUrl"], address["adminToken"]) as grantflow,
            httpx.AsyncClient(base_url=address["stripeUrl"], timeout=30) as controls,
        ):
            yield Up(address, grantflow, controls)
    finally:
        await _grantflow("stop", "--data-dir", str(data_dir))


async def _grantflow(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local.program", *arguments), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return output.decode()
