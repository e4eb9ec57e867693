"""Java programs from Maven's repository, by the `mvn` tool."""

import os
import shlex
import shutil
from pathlib import Path
from string import Template

from rich.console import Console

from local.errors import CannotObtain
from local.folders import cache_dir, write_private
from local.tools import ToolFailed, is_installed, run_tool

_TIMEOUT_SECONDS = 15 * 60.0
_POM = Template(
    """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>grantflow</groupId>
  <artifactId>$artifact-with-dependencies</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>$group</groupId>
      <artifactId>$artifact</artifactId>
      <version>$version</version>
    </dependency>
  </dependencies>
</project>
"""
)


def install(coordinates: str, main_class: str, folder: Path, target: Path, console: Console) -> Path | None:
    """Fetch a Java program with all that it depends on, and write a script that runs it.

    Args:
        coordinates: group:artifact:version.
        main_class: the class that is run.
        folder: where the jars go; emptied first.
        target: where the script goes.
        console: where progress is shown.

    Returns:
        The target, or None where Maven or Java is not installed.

    Raises:
        CannotObtain: if Maven cannot fetch it.
    """
    if not (is_installed("mvn") and is_installed("java")):
        return None
    group, artifact, version = coordinates.split(":")
    library = folder / "lib"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pom = folder / "pom.xml"
    pom.write_text(_POM.substitute(group=group, artifact=artifact, version=version))
    try:
        run_tool(
            ["mvn", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={library}"],
            log=cache_dir() / "logs" / f"mvn-{artifact}.log",
            console=console,
            doing=f"fetching {artifact} {version} with Maven",
            timeout_seconds=_TIMEOUT_SECONDS,
            folder=folder,
        )
    except ToolFailed as failed:
        raise CannotObtain(str(failed)) from failed
    _write_script(target, library, main_class)
    return target


def _write_script(target: Path, library: Path, main_class: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.draft")
    jars = shlex.quote(f"{library}/*")
    write_private(draft, f'#!/bin/sh\nexec java -cp {jars} {main_class} "$@"\n')
    draft.chmod(0o755)
    os.replace(draft, target)
