"""A lock on a folder that the kernel drops when its holder dies, however it dies."""

import fcntl
import os
from pathlib import Path

from local.errors import AlreadyInUse


class FolderLock:
    """Ownership of a folder by one process at a time."""

    def __init__(self, path: Path) -> None:
        """Name the lock file; nothing is taken yet."""
        self._path = path
        self._handle: int | None = None

    def take(self) -> None:
        """Take the lock.

        Raises:
            AlreadyInUse: if another process holds it.
        """
        if self._handle is not None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise AlreadyInUse(f"{self._path.parent} is in use by another process") from None
        self._handle = handle

    def release(self) -> None:
        """Give the lock back; does nothing if it is not held."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def is_held_elsewhere(self) -> bool:
        """Say whether another process holds the lock now."""
        if self._handle is not None or not self._path.exists():
            return False
        try:
            self.take()
        except AlreadyInUse:
            return True
        self.release()
        return False


class WaitingLock:
    """A lock between processes that waits for its turn; a context manager."""

    def __init__(self, path: Path) -> None:
        """Name the lock file."""
        self._path = path
        self._handle = -1

    def __enter__(self) -> None:
        """Wait for the lock and take it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        """Give the lock back."""
        os.close(self._handle)
