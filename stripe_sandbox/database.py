"""The stand-in's file: everything that must survive a SIGKILL.

One connection, used by the event loop's thread alone and never across an `await`: a statement takes microseconds, so
a thread pool would cost more than it saves, and no request ever sees another's half.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    customer TEXT,
    created INTEGER NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)),
    body TEXT NOT NULL,
    hidden TEXT NOT NULL
);
CREATE INDEX objects_by_kind ON objects (kind, seq);
CREATE INDEX objects_by_customer ON objects (customer, kind, seq);

CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    created INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE TABLE deliveries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL REFERENCES events (id),
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dropped', 'failed')),
    planned_at REAL NOT NULL,
    due_at REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    last_answer TEXT
);
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state = 'pending';
CREATE INDEX deliveries_by_event ON deliveries (event_id);

CREATE TABLE idempotency (
    key TEXT PRIMARY KEY,
    endpoint TEXT NOT NULL,
    form TEXT NOT NULL,
    request_id TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    created INTEGER NOT NULL
);
CREATE INDEX idempotency_by_age ON idempotency (created);
CREATE TABLE requests (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    idempotency_key TEXT,
    status INTEGER,
    replayed INTEGER NOT NULL DEFAULT 0,
    form TEXT NOT NULL,
    at TEXT NOT NULL
);
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class WrongVersion(Exception):
    """The data folder was written by another version of the stand-in."""


class Database:
    """The SQLite file `stripe.sqlite3` in the data folder.

    Args:
        folder: created when missing.

    Raises:
        WrongVersion: the file's schema is not this program's.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "stripe.sqlite3"
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        # WAL with NORMAL loses nothing when the process is killed; only a power cut may take the last commits.
        self._connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;"
        )
        self._make_schema(path)

    def _make_schema(self, path: Path) -> None:
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        if version == 0:
            self._connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif version != SCHEMA_VERSION:
            self.close()
            message = (
                f"{path} has schema {version}, this stand-in needs {SCHEMA_VERSION}: delete the file to begin anew"
            )
            raise WrongVersion(message)

    def close(self) -> None:
        """Close the file; nothing may be read or written afterwards."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all that is written inside, or nothing of it. Transactions don't nest."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def run(self, statement: str, **values: Any) -> int:
        """Run one writing statement and return how many rows it touched."""
        return self._connection.execute(statement, values).rowcount

    def rows(self, statement: str, **values: Any) -> list[sqlite3.Row]:
        """Return all rows of one reading statement."""
        return self._connection.execute(statement, values).fetchall()

    def row(self, statement: str, **values: Any) -> sqlite3.Row | None:
        """Return the first row of one reading statement, if there is any."""
        found: sqlite3.Row | None = self._connection.execute(statement, values).fetchone()
        return found

    def setting(self, name: str) -> str | None:
        """Return what was last remembered under the name."""
        found = self.row("SELECT value FROM settings WHERE name = :name", name=name)
        return None if found is None else str(found["value"])

    def remember(self, name: str, value: str) -> None:
        """Keep one value under the name."""
        self.run(
            "INSERT INTO settings (name, value) VALUES (:name, :value) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            name=name,
            value=value,
        )


def encode(value: Any) -> str:
    """Return JSON as it is kept in the file."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def decode(text: str) -> Any:
    """Return what `encode` was given."""
    return json.loads(text)
