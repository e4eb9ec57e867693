"""The objects that the API has made, of all kinds, in one table.

A body is what the API shows; `hidden` is what Stripe knows and does not show (a card's behaviour, credit applied).
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from stripe_sandbox.database import Database, decode, encode
from stripe_sandbox.errors import Json, no_such
from stripe_sandbox.pages import Window, read_page


@dataclass(frozen=True)
class Kind:
    """A kind of object: its name in `/_sandbox/objects`, and what Stripe calls one in `No such …`."""

    name: str
    noun: str


CUSTOMERS = Kind("customers", "customer")
PAYMENT_METHODS = Kind("payment_methods", "PaymentMethod")
PAYMENT_INTENTS = Kind("payment_intents", "payment_intent")
CREDIT_GRANTS = Kind("credit_grants", "credit grant")
CHARGES = Kind("charges", "charge")
REFUNDS = Kind("refunds", "refund")
DISPUTES = Kind("disputes", "dispute")
CHECKOUT_SESSIONS = Kind("checkout_sessions", "checkout.session")
KINDS = (
    *(CUSTOMERS, PAYMENT_METHODS, PAYMENT_INTENTS, CREDIT_GRANTS),
    *(CHARGES, REFUNDS, DISPUTES, CHECKOUT_SESSIONS),
)


@dataclass(frozen=True)
class Stored:
    """One object as it is kept."""

    seq: int
    customer: str | None
    deleted: bool
    body: Json
    hidden: Json


class Objects:
    """The table of objects; callers own the transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, kind: Kind, body: Json, *, customer: str | None = None, hidden: Json | None = None) -> None:
        """Keep a new object under its `id`; `customer` is whose lists it appears in."""
        self._database.run(
            "INSERT INTO objects (kind, id, customer, created, body, hidden) "
            "VALUES (:kind, :id, :customer, :created, :body, :hidden)",
            kind=kind.name,
            id=body["id"],
            customer=customer,
            created=body["created"],
            body=encode(body),
            hidden=encode(hidden or {}),
        )

    def replace(self, body: Json, *, customer: str | None = None, hidden: Json | None = None) -> None:
        """Change the object with that `id`; `hidden` stays as it is when it is None."""
        self._database.run(
            "UPDATE objects SET body = :body, customer = :customer, hidden = coalesce(:hidden, hidden) WHERE id = :id",
            body=encode(body),
            customer=customer,
            hidden=None if hidden is None else encode(hidden),
            id=body["id"],
        )

    def delete(self, wanted: str, remains: Json) -> None:
        """Take the object out of all lists; retrieving it shows what `remains`."""
        self._database.run(
            "UPDATE objects SET deleted = 1, body = :body WHERE id = :id", body=encode(remains), id=wanted
        )

    def find(self, kind: Kind, wanted: str) -> Stored | None:
        """Return the object of that kind and id, deleted ones too."""
        row = self._database.row("SELECT * FROM objects WHERE id = :id AND kind = :kind", id=wanted, kind=kind.name)
        return None if row is None else _stored(row)

    def get(self, kind: Kind, wanted: str, *, param: str, in_path: bool) -> Stored:
        """Return a living object.

        Raises:
            ApiError: `resource_missing`; `param` and `in_path` say where the id came from.
        """
        found = self.find(kind, wanted)
        if found is None or found.deleted:
            raise no_such(kind.noun, wanted, param=param, in_path=in_path)
        return found

    def get_any(self, wanted: str) -> Json | None:
        """Return the body of an object of whichever kind."""
        row = self._database.row("SELECT body FROM objects WHERE id = :id", id=wanted)
        return None if row is None else decode(row["body"])

    def of_customer(self, kind: Kind, customer: str) -> list[Stored]:
        """Return all living objects of one customer, newest first."""
        rows = self._database.rows(
            "SELECT * FROM objects WHERE customer = :customer AND kind = :kind AND deleted = 0 ORDER BY seq DESC",
            customer=customer,
            kind=kind.name,
        )
        return [_stored(row) for row in rows]

    def all(self, kind: Kind) -> list[Stored]:
        """Return all objects of a kind, oldest first, deleted ones too."""
        rows = self._database.rows("SELECT * FROM objects WHERE kind = :kind ORDER BY seq", kind=kind.name)
        return [_stored(row) for row in rows]

    def where(self, kind: Kind, field: str, value: str) -> list[Stored]:
        """Return all living objects of a kind whose body has the value in a field, newest first."""
        rows = self._database.rows(
            "SELECT * FROM objects WHERE kind = :kind AND deleted = 0 AND json_extract(body, :field) = :value "
            "ORDER BY seq DESC",
            kind=kind.name,
            field=f"$.{field}",
            value=value,
        )
        return [_stored(row) for row in rows]

    def seq_of(self, kind: Kind, wanted: str, *, param: str) -> int:
        """Return an object's place in its lists, for a cursor; deleted ones keep theirs.

        Raises:
            ApiError: 400 `resource_missing`.
        """
        found = self.find(kind, wanted)
        if found is None:
            raise no_such(kind.noun, wanted, param=param, in_path=False)
        return found.seq

    def page(self, kind: Kind, window: Window, conditions: Mapping[str, object]) -> tuple[list[Stored], bool]:
        """Return one page of the living objects of a kind, newest first, and whether more follow.

        Args:
            kind: which.
            window: the page.
            conditions: SQL conditions with the values they name, as `{"customer = :customer": "cus_1"}`.
        """
        always: dict[str, object] = {"kind = :kind": kind.name, "deleted = 0": None}
        rows, has_more = read_page(self._database, "objects", {**always, **conditions}, window)
        return [_stored(row) for row in rows], has_more


def _stored(row: sqlite3.Row) -> Stored:
    return Stored(
        seq=row["seq"],
        customer=row["customer"],
        deleted=bool(row["deleted"]),
        body=decode(row["body"]),
        hidden=decode(row["hidden"]),
    )
