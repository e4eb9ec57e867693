"""The command itself, on a server of its own: a quick run of a few rows."""

import asyncio
import json
import sys
from pathlib import Path

from bench.__main__ import ROWS
from tests.conftest import ROOT


async def run(*arguments: str) -> tuple[int, str, str]:
    """The exit code, and what was written to both streams."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_quick_run_measures_and_writes_the_rows_that_were_asked_for(tmp_path: Path) -> None:
    wanted = ["spread-64", "memory"]
    folders = ("--output", str(tmp_path / "out"), "--data-dir", str(tmp_path / "data"))
    code, out, err = await run("bench", "--quick", "--json", *folders, "--rows", *wanted)
    assert code == 0, err
    results = json.loads(out)
    assert results == json.loads((tmp_path / "out" / "results.json").read_text())
    assert [row["name"] for row in results["rows"]] == wanted
    assert all(row["ours"] > 0 and row["baseline"] > 0 and row["rounds"] == 1 for row in results["rows"])
    postgres = results["machine"]["postgres"]
    assert (postgres["fsync"], postgres["synchronous_commit"], postgres["full_page_writes"]) == ("on", "on", "on")
    assert results["rows"][1]["met"], "call 10,001 was not refused"
    assert "round 1/1 · pgbench spread" in err


async def test_grantflow_bench_is_the_same_command() -> None:
    code, _, err = await run("local.program", "bench", "no-such-row")
    assert code == 2
    assert all(name in err for name in ROWS)
