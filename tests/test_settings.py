"""The environment is read once, by a process that starts; a wrong value is one line."""

import asyncio
import os
import sys

import pytest

from tests.conftest import ROOT

_NEEDED = {
    "GRANTFLOW_DATABASE_URL": "postgresql://nobody@127.0.0.1/none",
    "STRIPE_SECRET_KEY": "sk_test_1",
    "STRIPE_WEBHOOK_SECRET": "whsec_1",
    "GRANTFLOW_ADMIN_TOKEN": "x" * 16,
}


async def notice_days(value: str) -> tuple[int | None, str]:
    """A process that starts with this value: its exit code, and what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from settings import load_settings; print(load_settings().expiry_notice_days)",
        cwd=ROOT,
        env={**os.environ, **_NEEDED, "GRANTFLOW_EXPIRY_NOTICE_DAYS": value},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode().strip()


@pytest.mark.parametrize(("value", "days"), [("", "(30, 7, 1)"), ("14, 2", "(14, 2)"), ("5", "(5,)")])
async def test_days_of_notices(value: str, days: str) -> None:
    assert await notice_days(value) == (0, days)


@pytest.mark.parametrize("value", ["0", "-1", "7,7", "7,", "soon", "1000", "1.5"])
async def test_days_that_are_none(value: str) -> None:
    code, line = await notice_days(value)
    assert code == 2
    assert line.startswith("GRANTFLOW_EXPIRY_NOTICE_DAYS: must be different whole numbers from 1 to 999")
    assert "\n" not in line
