"""Events and their deliveries, written in the transaction of what happened."""

import secrets
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass

from stripe_sandbox.behaviour import BehaviourControl
from stripe_sandbox.clock import Clock
from stripe_sandbox.database import Database, decode, encode
from stripe_sandbox.errors import Json
from stripe_sandbox.ids import new_id
from stripe_sandbox.pages import Window, read_page

SHUFFLE_SECONDS = 1.0
# An event is delivered once the endpoint has accepted any of its copies.
DELIVERED = "EXISTS (SELECT 1 FROM deliveries WHERE event_id = events.id AND state = 'delivered')"
NOT_DELIVERED = f"NOT {DELIVERED}"


@dataclass(frozen=True)
class Cause:
    """What an event came of: a request, or nothing that has one (a dashboard action, the passing of time)."""

    request_id: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True)
class Delivery:
    """One event on its way to the endpoint; instants are wall time in Unix seconds."""

    seq: int
    event_id: str
    planned_at: float
    attempts: int


class Outbox:
    """The tables of events and deliveries; callers own the transaction of `record` and `resend`."""

    def __init__(self, database: Database, clock: Clock, behaviour: BehaviourControl, api_version: str) -> None:
        self._database = database
        self._clock = clock
        self._behaviour = behaviour
        self._api_version = api_version

    def record(self, kind: str, subject: Json, cause: Cause, *, before: Json | None = None) -> str:
        """Record that something happened and plan its delivery.

        Args:
            kind: the event's type.
            subject: the object as it is now.
            cause: the request that did it.
            before: the object as it was, for an update.

        Returns:
            The event's id.
        """
        data: Json = {"object": subject}
        if before is not None:
            data["previous_attributes"] = {key: before.get(key) for key in subject if before.get(key) != subject[key]}
        event: Json = {
            "id": new_id("evt_1"),
            "object": "event",
            "api_version": self._api_version,
            "created": self._clock.now(),
            "data": data,
            "livemode": False,
            "request": {"id": cause.request_id, "idempotency_key": cause.idempotency_key},
            "type": kind,
        }
        self._database.run(
            "INSERT INTO events (id, type, created, body) VALUES (:id, :type, :created, :body)",
            id=event["id"],
            type=kind,
            created=event["created"],
            body=encode(event),
        )
        self._plan(str(event["id"]))
        return str(event["id"])

    def _plan(self, event_id: str) -> None:
        behaviour = self._behaviour.current
        if self._behaviour.drops_next_event():
            self._add_delivery(event_id, "dropped", time.time())
            return
        for _ in range(1 + behaviour.duplicate_webhooks):
            late = secrets.SystemRandom().uniform(0, SHUFFLE_SECONDS) if behaviour.shuffle_webhooks else 0
            self._add_delivery(event_id, "pending", time.time() + behaviour.webhook_delay_ms / 1000 + late)

    def resend(self, event_id: str) -> None:
        """Post an event once more, now, whatever became of it before."""
        self._add_delivery(event_id, "pending", time.time())

    def _add_delivery(self, event_id: str, state: str, due_at: float) -> None:
        self._database.run(
            "INSERT INTO deliveries (event_id, state, planned_at, due_at) VALUES (:event, :state, :due_at, :due_at)",
            event=event_id,
            state=state,
            due_at=due_at,
        )

    def due(self, now: float, most: int) -> list[Delivery]:
        """Return the pending deliveries whose time has come, in order."""
        rows = self._database.rows(
            "SELECT * FROM deliveries WHERE state = 'pending' AND due_at <= :now ORDER BY due_at, seq LIMIT :most",
            now=now,
            most=most,
        )
        return [Delivery(row["seq"], row["event_id"], row["planned_at"], row["attempts"]) for row in rows]

    def next_due_at(self, now: float) -> float | None:
        """Return when the next delivery that is not yet due will be."""
        row = self._database.row(
            "SELECT min(due_at) AS due_at FROM deliveries WHERE state = 'pending' AND due_at > :now", now=now
        )
        return None if row is None else row["due_at"]

    def pending_count(self) -> int:
        """Return how many deliveries are still to be made."""
        row = self._database.row("SELECT count(*) AS n FROM deliveries WHERE state = 'pending'")
        return 0 if row is None else int(row["n"])

    def settle(self, delivery: Delivery, answer: str, *, state: str, due_at: float | None = None) -> None:
        """Note how an attempt went: `delivered`, `failed` for good, or `pending` again at `due_at`."""
        self._database.run(
            "UPDATE deliveries SET state = :state, attempts = attempts + 1, last_answer = :answer, "
            "due_at = coalesce(:due_at, due_at) WHERE seq = :seq",
            state=state,
            answer=answer,
            due_at=due_at,
            seq=delivery.seq,
        )

    def find(self, event_id: str) -> Json | None:
        """Return an event as the API shows it now."""
        row = self._database.row("SELECT * FROM events WHERE id = :id", id=event_id)
        return None if row is None else self._shown(row)

    def seq_of(self, event_id: str) -> int | None:
        """Return an event's place in the list."""
        row = self._database.row("SELECT seq FROM events WHERE id = :id", id=event_id)
        return None if row is None else int(row["seq"])

    def page(self, window: Window, conditions: Mapping[str, object]) -> tuple[list[Json], bool]:
        """Return one page of events, newest first, and whether more follow."""
        rows, has_more = read_page(self._database, "events", conditions, window)
        return [self._shown(row) for row in rows], has_more

    def all_events(self) -> list[Json]:
        """Return all events, oldest first."""
        return [self._shown(row) for row in self._database.rows("SELECT * FROM events ORDER BY seq")]

    def all_deliveries(self) -> list[Json]:
        """Return all deliveries, oldest first, as the test controls show them."""
        rows = self._database.rows("SELECT * FROM deliveries ORDER BY seq")
        return [
            {
                "eventId": row["event_id"],
                "state": row["state"],
                "attempts": row["attempts"],
                "dueAt": row["due_at"],
                "lastAnswer": row["last_answer"],
            }
            for row in rows
        ]

    def _shown(self, row: sqlite3.Row) -> Json:
        event: Json = decode(row["body"])
        # One endpoint: what counts is whether it has heard of the event, not how many copies are planned.
        heard = self._database.row(
            "SELECT 1 FROM deliveries WHERE event_id = :id AND state = 'delivered' LIMIT 1", id=row["id"]
        )
        return {**event, "pending_webhooks": 1 if heard is None else 0}
