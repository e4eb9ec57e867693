"""Where the local stack keeps things: the cache of programs, the data, and folders that another user can reach."""

import os
import shutil
import stat
import tempfile
from pathlib import Path

from local.users import OsUser

CACHE_VARIABLE = "GRANTFLOW_CACHE_DIR"


def project_dir() -> Path:
    """Give the folder that holds the project's sources."""
    return Path(__file__).resolve().parent.parent


def cache_dir() -> Path:
    """Give the folder for programs that were downloaded or built: `GRANTFLOW_CACHE_DIR`, or `.grantflow`."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named).expanduser().resolve() if named else project_dir() / ".grantflow"


def default_data_dir() -> Path:
    """Give the data folder that is used when none is named: in the project, or where an installed program is run."""
    sources = project_dir()
    project = sources if (sources / "pyproject.toml").is_file() else Path.cwd()
    return project / ".grantflow" / "data"


def make_data_dir(data_dir: Path) -> None:
    """Make a data folder; others may pass through it to what is theirs, but not list it."""
    if not data_dir.exists():
        data_dir.mkdir(parents=True)
        data_dir.chmod(0o711)


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step, readable by its owner alone; a reader never sees half of it."""
    make_data_dir(path.parent)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def can_reach(path: Path, user: OsUser | None) -> bool:
    """Say whether a user may enter a folder, which need not exist yet, through all its parents.

    Args:
        path: an absolute path.
        user: the user who must get there; None is the one who runs this process.
    """
    if user is None:
        return True
    return all(_may_enter(folder, user) for folder in (path, *path.parents) if folder.exists())


def _may_enter(folder: Path, user: OsUser) -> bool:
    status = folder.stat()
    if status.st_uid == user.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    return bool(status.st_mode & (stat.S_IXGRP if status.st_gid == user.gid else stat.S_IXOTH))


def recorded_folder(pointer: Path, parent: Path, prefix: str) -> Path:
    """Give a folder of ours elsewhere on the disk, the same one at every call.

    A path that is made up by the system and written down cannot be guessed and occupied by somebody else.

    Args:
        pointer: the file that remembers the path.
        parent: where to make the folder, such as /var/tmp.
        prefix: how its name begins.
    """
    if pointer.is_file():
        known = Path(pointer.read_text().strip())
        if known.is_dir() and not known.is_symlink():
            return known
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    write_private(pointer, f"{folder}\n")
    return folder


def forget_recorded_folder(pointer: Path) -> None:
    """Delete a folder that `recorded_folder` made, and the file that remembers it."""
    if pointer.is_file():
        shutil.rmtree(pointer.read_text().strip(), ignore_errors=True)
        pointer.unlink()
