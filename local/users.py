"""The operating system's user that PostgreSQL runs as, since it refuses to run as root."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass

# The name that the wheel itself uses, so that both agree about who owns a data folder.
_NAME = "pgserver"
_FALLBACK = "nobody"
_ROOT = 0


@dataclass(frozen=True)
class OsUser:
    """A user of the operating system that a child process is started as."""

    name: str
    uid: int
    gid: int


def unprivileged_user() -> OsUser | None:
    """Give the user to run PostgreSQL as, or None when this process is not root and may run it itself.

    Creates the user `pgserver` on its first call as root; where that is not possible it is `nobody`.
    """
    if os.geteuid() != _ROOT:
        return None
    return _look_up(_NAME) or _create() or _look_up(_FALLBACK)


def _create() -> OsUser | None:
    useradd = shutil.which("useradd")
    if useradd is None:
        return None
    subprocess.run(
        [useradd, "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", _NAME],
        capture_output=True,
        check=False,  # two processes may try at once: whether the user is there now is what counts
    )
    return _look_up(_NAME)


def _look_up(name: str) -> OsUser | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return OsUser(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)
