"""The image and the compose file, without a Docker engine: the Dockerfile's own steps, run in a folder."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from local.folders import project_dir

_SECRETS = (
    *("POSTGRES_PASSWORD", "GRANTFLOW_OWNER_PASSWORD", "GRANTFLOW_APP_PASSWORD", "TEMPORAL_DB_PASSWORD"),
    *("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "API_KEY_ENCRYPTION_SECRET", "GRANTFLOW_ADMIN_TOKEN"),
)


class Image:
    """Plays a Dockerfile's steps: a stage's root is a folder, and what would be another user or system is left out."""

    def __init__(self, root: Path) -> None:
        """Begin with an empty root."""
        self.root = root
        self.folder = root
        self.environment: dict[str, str] = {}

    def build(self) -> None:
        """Run every step of the project's Dockerfile, in order."""
        text = (project_dir() / "Dockerfile").read_text().replace("\\\n", " ")
        for line in text.splitlines():
            word, _, rest = line.partition(" ")
            if word == "WORKDIR":
                self.folder = self.inside(rest)
                self.folder.mkdir(parents=True, exist_ok=True)
            elif word == "COPY" and not rest.startswith("--from"):  # from a stage: it is here already
                self._copy(*shlex.split(rest))
            elif word == "RUN" and not rest.startswith("useradd"):
                self.run(*shlex.split(rest))
            elif word == "ENV":
                self.environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command as the image would, with its absolute paths under the root."""
        program = sys.executable if command[0] == "python" and "venv" in command else self._program(command[0])
        arguments = [str(self.inside(word)) if word.startswith("/opt/") else word for word in command[1:]]
        done = subprocess.run(
            [program, *arguments],
            cwd=self.folder,
            env={**_network(), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done

    def inside(self, path: str) -> Path:
        """Give where an absolute path of the image lies here."""
        return self.root / path.lstrip("/")

    def _program(self, name: str) -> str:
        return str(self.inside("/opt/venv/bin/python" if name == "python" else name))

    def _copy(self, *words: str) -> None:
        *sources, target = words
        for source in sources:
            origin = project_dir() / source
            assert _is_sent(source), f".dockerignore keeps {source} from the build"
            if origin.is_dir():
                shutil.copytree(origin, self.folder / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(origin, self.folder / target)


def _network() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "HTTP", "http", "SSL_"))}


def _is_sent(path: str) -> bool:
    return f"!{path}" in (project_dir() / ".dockerignore").read_text().splitlines()


def test_the_image_has_all_that_its_programs_import_and_nothing_of_the_tests(tmp_path: Path) -> None:
    image = Image(tmp_path)
    image.build()
    assert "PATH" in image.environment
    for program in ("api", "worker", "migrations"):
        assert "usage" in image.run("python", "-m", program, "--help").stdout.lower()
    installed = image.run("python", "-m", "pip", "list").stdout
    assert re.search(r"^(pytest|mypy|ruff|hypothesis|pixeltable)", installed, re.MULTILINE) is None
    assert sorted(path.name for path in image.inside("/app").iterdir() if path.name in ("local", "tests")) == []


def test_the_image_runs_as_nobody_special_and_carries_no_secret() -> None:
    text = (project_dir() / "Dockerfile").read_text()
    assert re.search(r"^USER grantflow$", text, re.MULTILINE)
    assert "HEALTHCHECK" in text
    assert [name for name in _SECRETS if name in text] == []


def test_every_secret_of_the_compose_file_must_be_given() -> None:
    text = (project_dir() / "docker-compose.yml").read_text()
    for name in _SECRETS:
        assert f"${{{name}:?" in text, name
        assert re.search(rf"\$\{{{name}(:-|-|\}})", text) is None, name


def test_every_service_that_runs_is_watched_pinned_and_restarted() -> None:
    services = yaml.safe_load((project_dir() / "docker-compose.yml").read_text())["services"]
    for name, service in services.items():
        image = service["image"]
        assert re.search(r":(\$\{[A-Z_]+:-)?[0-9]+\.[0-9]+", image), f"{name}: {image} is not pinned"
        assert "no-new-privileges:true" in service["security_opt"], name
        is_job = service["restart"] == "on-failure:5"
        assert is_job or (service["restart"] == "unless-stopped" and service["healthcheck"]["test"]), name
        for needed, how in service.get("depends_on", {}).items():
            job = services[needed]["restart"] == "on-failure:5"
            assert how["condition"] == ("service_completed_successfully" if job else "service_healthy"), (name, needed)
