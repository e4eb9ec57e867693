"""A data folder of the local stack: what it remembers, who runs on it, and where the running stack is found."""

import shutil
from pathlib import Path

from local.errors import AlreadyInUse, WrongConfiguration
from local.folders import make_data_dir
from local.locks import FolderLock
from local.postgres_home import delete_home
from local.records import Kept, Ports, RunRecord, Secrets, StackAddress

_OURS = (
    *("logs", "temporal", "stripe"),
    *("postgres.json", "postgres.lock", "run.json", "stack.json", "supervisor.lock"),
)


class DataDir:
    """One data folder. At most one supervisor works on it, which holds `lock`."""

    def __init__(self, path: Path) -> None:
        """Name the folder, which need not exist.

        Args:
            path: absolute, or relative to the current folder.
        """
        self.path = path.expanduser().resolve()
        self.lock = FolderLock(self.path / "supervisor.lock")

    @property
    def logs(self) -> Path:
        """The folder of the parts' logs."""
        return self.path / "logs"

    def log(self, part: str) -> Path:
        """Give the log of a part."""
        return self.logs / f"{part}.log"

    def make(self) -> None:
        """Make the folder, and the one for logs, which only the owner may read."""
        make_data_dir(self.path)
        self.logs.mkdir(exist_ok=True)
        self.logs.chmod(0o700)

    def keep(self, api_port: int | None) -> Kept:
        """Give the secrets and ports of this folder; made up at the first start, kept as far as possible later.

        Args:
            api_port: the API's port if the person named one.
        """
        known = self.kept()
        kept = Kept(secrets=known.secrets, ports=known.ports.renewed(api_port))
        kept.save(self._kept_file)
        return kept

    def kept(self) -> Kept:
        """Give the secrets and ports as they are written down, or new ones."""
        return Kept.load(self._kept_file) or Kept(secrets=Secrets(), ports=Ports())

    def read_run(self) -> RunRecord | None:
        """Give what the last supervisor wrote, whether it still runs or not."""
        return RunRecord.load(self._run_file)

    def write_run(self, run: RunRecord) -> None:
        """Write down how the run goes."""
        run.save(self._run_file)

    def forget_run(self) -> None:
        """Delete what the last supervisor wrote: nothing of it runs any more."""
        self._run_file.unlink(missing_ok=True)

    def delete(self) -> None:
        """Delete the data for good, and nothing that is not ours.

        Raises:
            AlreadyInUse: if the stack runs.
            WrongConfiguration: if this is no data folder of ours.
        """
        if not self._kept_file.is_file():
            raise WrongConfiguration(f"{self.path} is no data folder of grantflow")
        if self.lock.is_held_elsewhere():
            raise AlreadyInUse(f"the stack on {self.path} is running: `grantflow stop` first")
        delete_home(self.path)
        for name in _OURS:
            path = self.path / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        if not any(self.path.iterdir()):
            self.path.rmdir()

    @property
    def _kept_file(self) -> Path:
        return self.path / "stack.json"

    @property
    def _run_file(self) -> Path:
        return self.path / "run.json"


def find_running(data_dir: Path) -> StackAddress | None:
    """Give the address of the stack that runs on a data folder, or None if none is ready there.

    Args:
        data_dir: the data folder.
    """
    run = DataDir(data_dir).read_run()
    return run.current_address() if run is not None and run.phase == "ready" and run.is_alive() else None
