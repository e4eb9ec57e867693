"""Getting the programs: the order of the ways, and one clear line where none works."""

import os
import subprocess
import sys
from pathlib import Path

from local.binaries import temporal_cli
from local.folders import project_dir


def run_setup(**environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "local.setup"],
        env={**os.environ, **environment},
        cwd=project_dir(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_named_program_comes_first(tmp_path: Path) -> None:
    named, on_path = executable(tmp_path / "named"), executable(tmp_path / "bin" / "temporal")
    done = run_setup(TEMPORAL_CLI_PATH=str(named), PATH=f"{on_path.parent}:/usr/bin:/bin")
    assert (done.returncode, f"named by TEMPORAL_CLI_PATH ({named})" in done.stderr) == (0, True), done.stderr


def test_then_the_one_on_path_then_the_cached_one(tmp_path: Path) -> None:
    on_path, cached = executable(tmp_path / "bin" / "temporal"), executable(tmp_path / "cache" / "bin" / "temporal")
    unset = {"TEMPORAL_CLI_PATH": "", "GRANTFLOW_CACHE_DIR": str(tmp_path / "cache")}
    done = run_setup(**unset, PATH=f"{on_path.parent}:/usr/bin:/bin")
    assert f"on PATH ({on_path})" in done.stderr
    done = run_setup(**unset, PATH=str(tmp_path / "empty"))
    assert f"in the cache ({cached})" in done.stderr


def test_a_name_that_is_no_program_is_wrong_usage_and_never_replaced_by_another(tmp_path: Path) -> None:
    done = run_setup(TEMPORAL_CLI_PATH=str(tmp_path / "nothing"))
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [
        f"✗ TEMPORAL_CLI_PATH names {tmp_path / 'nothing'}, which is no program that can be run"
    ]


def test_where_no_way_works_one_line_says_what_to_do(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"  # a proxy that is not there: no download, wherever this runs
    done = run_setup(
        TEMPORAL_CLI_PATH="",
        GRANTFLOW_CACHE_DIR=str(tmp_path),
        PATH=str(tmp_path / "empty"),
        HTTPS_PROXY=nowhere,
        https_proxy=nowhere,
    )
    lines = done.stderr.strip().splitlines()
    assert (done.returncode, len(lines)) == (1, 1), done.stderr
    assert lines[0].startswith("✗ cannot get temporal (")
    assert "What to do: install Go 1.24 or later" in lines[0]


def test_what_setup_got_is_a_temporal_with_a_dev_server() -> None:
    answer = subprocess.run([temporal_cli(), "--version"], capture_output=True, text=True, check=True)
    assert "Server 1." in answer.stdout
