"""``python -m migrations``: brings the database to the newest revision, as the owner of its tables."""

import argparse
from pathlib import Path

from alembic import command
from alembic.config import Config

ROOT = Path(__file__).resolve().parent.parent


def alembic_config() -> Config:
    """Alembic's configuration, wherever the process was started."""
    return Config(toml_file=str(ROOT / "pyproject.toml"))


def main() -> None:
    """Applies what is missing; a second run finds nothing to do."""
    argparse.ArgumentParser(prog="python -m migrations", description=__doc__).parse_args()
    command.upgrade(alembic_config(), "head")


if __name__ == "__main__":
    main()
