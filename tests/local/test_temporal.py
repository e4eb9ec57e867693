"""The Temporal dev server: real, with our search attributes, and with a memory."""

import os
import signal
import subprocess
from pathlib import Path

import httpx

from local.binaries import temporal_cli
from local.temporal import SEARCH_ATTRIBUTES, TemporalDevServer


def ask(server: TemporalDevServer, *command: str) -> "subprocess.CompletedProcess[str]":
    argv = [str(temporal_cli()), *command, "--address", server.address]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)


async def test_it_knows_our_search_attributes_shows_its_page_and_remembers_after_a_sigkill(tmp_path: Path) -> None:
    server = TemporalDevServer(tmp_path)
    await server.start()
    try:
        listed = ask(server, "operator", "search-attribute", "list").stdout.split()
        assert set(SEARCH_ATTRIBUTES) <= set(listed)
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(server.ui_url)).status_code == 200
        of = ("--type", "Waits", "--task-queue", "nobody", "--workflow-id", "kept")
        started = ask(server, "workflow", "start", *of, "--search-attribute", 'GrantStage="stuck"')
        assert started.returncode == 0, started.stderr

        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await server.stop()
        await server.start()

        described = ask(server, "workflow", "describe", "--workflow-id", "kept")
        assert (described.returncode, "stuck" in described.stdout) == (0, True), described.stderr
    finally:
        await server.stop()
