"""Programs and files from Go modules, by the `go` tool and its module proxy."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from rich.console import Console

from local.errors import CannotObtain
from local.folders import cache_dir
from local.tools import ToolFailed, is_installed, run_tool

# Temporal takes about 5 minutes on 2 cores; a slow machine with a slow network gets a multiple of it.
_BUILD_TIMEOUT_SECONDS = 45 * 60.0
_DOWNLOAD_TIMEOUT_SECONDS = 10 * 60.0


def install(package: str, version: str, target: Path, console: Console, effort: str) -> Path | None:
    """Build a program with `go install`.

    Args:
        package: the program's package, whose last part is the program's name.
        version: such as v1.5.1.
        target: where the program goes.
        console: where progress is shown.
        effort: how long it takes, for the person who waits.

    Returns:
        The target, or None where Go is not installed.

    Raises:
        CannotObtain: if the build fails.
    """
    if not is_installed("go"):
        return None
    name = package.rsplit("/", 1)[-1]
    target.parent.mkdir(parents=True, exist_ok=True)
    # Built beside the target and moved there when it is whole, so that a cut-off build leaves no half program.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as folder:
        try:
            run_tool(
                ["go", "install", f"{package}@{version}"],
                log=cache_dir() / "logs" / f"go-install-{name}.log",
                console=console,
                doing=f"building {name} {version} with Go ({effort})",
                timeout_seconds=_BUILD_TIMEOUT_SECONDS,
                environment={"GOBIN": folder},
            )
        except ToolFailed as failed:
            raise CannotObtain(str(failed)) from failed
        os.replace(Path(folder) / name, target)
    return target


def copy_from_module(module: str, version: str, within: str, target: Path, console: Console) -> Path | None:
    """Copy one file out of a Go module.

    Args:
        module: the module's path.
        version: such as v0.203.0.
        within: the file's path in the module.
        target: where the copy goes.
        console: where progress is shown.

    Returns:
        The target, or None where Go is not installed.

    Raises:
        CannotObtain: if the module cannot be had.
    """
    if not is_installed("go"):
        return None
    with console.status(f"fetching the module {module} {version}"):
        answer = subprocess.run(
            ["go", "mod", "download", "-json", f"{module}@{version}"],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_DOWNLOAD_TIMEOUT_SECONDS,
            check=False,
        )
    if answer.returncode != 0:
        raise CannotObtain(
            f"go mod download {module}@{version} failed: {answer.stderr.strip() or answer.stdout.strip()}"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.draft")
    shutil.copyfile(Path(json.loads(answer.stdout)["Dir"]) / within, draft)
    os.replace(draft, target)
    return target
