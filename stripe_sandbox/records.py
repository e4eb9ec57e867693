"""What the API remembers of requests: the log that tests read, and the answers kept under idempotency keys."""

from dataclasses import dataclass

from stripe_sandbox.clock import Clock
from stripe_sandbox.database import Database, decode, encode
from stripe_sandbox.errors import Json

REQUESTS_MAX = 10_000
# Stripe forgets keys once they are at least 24 hours old.
KEY_AGE_MAX_SECONDS = 24 * 60 * 60


@dataclass(frozen=True)
class KeptAnswer:
    """The first answer to a request with an idempotency key."""

    endpoint: str
    form: str
    request_id: str
    status: int
    body: Json


class IdempotencyRecords:
    """Answers by idempotency key, for 24 hours of the stand-in's clock."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def find(self, key: str) -> KeptAnswer | None:
        """Return the answer kept under the key, if it is not forgotten yet."""
        self._database.run("DELETE FROM idempotency WHERE created <= :old", old=self._clock.now() - KEY_AGE_MAX_SECONDS)
        row = self._database.row("SELECT * FROM idempotency WHERE key = :key", key=key)
        if row is None:
            return None
        return KeptAnswer(row["endpoint"], row["form"], row["request_id"], row["status"], decode(row["body"]))

    def keep(self, key: str, answer: KeptAnswer) -> None:
        """Keep the first answer under its key, in the caller's transaction."""
        self._database.run(
            "INSERT INTO idempotency (key, endpoint, form, request_id, status, body, created) "
            "VALUES (:key, :endpoint, :form, :request_id, :status, :body, :created)",
            key=key,
            endpoint=answer.endpoint,
            form=answer.form,
            request_id=answer.request_id,
            status=answer.status,
            body=encode(answer.body),
            created=self._clock.now(),
        )

    def all(self) -> list[Json]:
        """Return all kept answers, oldest first, as the test controls show them."""
        rows = self._database.rows("SELECT * FROM idempotency ORDER BY created, key")
        return [
            {"key": row["key"], "endpoint": row["endpoint"], "status": row["status"], "created": row["created"]}
            for row in rows
        ]


class RequestLog:
    """The latest 10,000 API requests, whatever was answered."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def arrived(self, request_id: str, method: str, path: str, key: str | None, form: Json, at: str) -> None:
        """Note a request before it is looked at."""
        with self._database.transaction():
            self._database.run(
                "INSERT INTO requests (id, method, path, idempotency_key, form, at) "
                "VALUES (:id, :method, :path, :key, :form, :at)",
                id=request_id,
                method=method,
                path=path,
                key=key,
                form=encode(form),
                at=at,
            )
            self._database.run(
                "DELETE FROM requests WHERE seq <= (SELECT max(seq) FROM requests) - :most", most=REQUESTS_MAX
            )

    def answered(self, request_id: str, status: int, *, replayed: bool) -> None:
        """Note the answer; a request whose connection was cut never gets one."""
        self._database.run(
            "UPDATE requests SET status = :status, replayed = :replayed WHERE id = :id",
            status=status,
            replayed=int(replayed),
            id=request_id,
        )

    def all(self) -> list[Json]:
        """Return the requests, oldest first, as the test controls show them."""
        rows = self._database.rows("SELECT * FROM requests ORDER BY seq")
        return [
            {
                "id": row["id"],
                "method": row["method"],
                "path": row["path"],
                "idempotencyKey": row["idempotency_key"],
                "status": row["status"],
                "replayed": bool(row["replayed"]),
                "form": decode(row["form"]),
                "at": row["at"],
            }
            for row in rows
        ]

    def clear(self) -> None:
        """Forget all requests."""
        self._database.run("DELETE FROM requests")
