"""Entries of the journal on the wire, in JSON and in CSV."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from api.csv_answers import Cell
from api.wire.base import Answer
from ledger.history import ENTRY_KINDS, RecordedEntry


def _known(kinds: list[str]) -> list[str]:
    if unknown := sorted(set(kinds) - set(ENTRY_KINDS)):
        raise PydanticCustomError(
            "entry_kind",
            "must be of {kinds}, not {unknown}",
            {"kinds": ", ".join(ENTRY_KINDS), "unknown": ", ".join(unknown)},
        )
    return kinds


Kinds = Annotated[
    list[str],
    Query(alias="kind", max_length=len(ENTRY_KINDS), description="Only these kinds; may be given several times."),
    AfterValidator(_known),
]


class EntryAnswer(Answer):
    """An entry of the journal. ``credits`` is signed; ``balanceAfter`` is the net balance after it, as booked.

    ``at`` is when it counts; an expiry counts from its instant, however late it was booked (``recordedAt``, by the
    wall clock). ``grantId`` is null on entries of the debt alone. ``seq`` numbers the account's change.
    """

    entry_id: str
    at: datetime
    kind: str
    operation_id: str
    grant_id: str | None
    credits: int
    balance_after: int
    grant_type: str | None
    seq: int
    actor: str
    recorded_at: datetime

    @classmethod
    def of(cls, entry: RecordedEntry) -> "EntryAnswer":
        """The entry on the wire."""
        return cls(
            entry_id=str(entry.entry_id),
            at=entry.effective_at,
            kind=entry.kind,
            operation_id=entry.operation_id,
            grant_id=None if entry.grant_id is None else str(entry.grant_id),
            credits=entry.credits,
            balance_after=entry.balance_after,
            grant_type=entry.grant_type,
            seq=entry.seq,
            actor=entry.actor,
            recorded_at=entry.recorded_at,
        )


CSV_HEADER = (
    *("entryId", "at", "kind", "operationId", "grantId", "grantType", "credits", "balanceAfter", "seq", "actor"),
    "recordedAt",
)


def csv_row(entry: RecordedEntry) -> tuple[Cell, ...]:
    """The entry in the order of CSV_HEADER."""
    return (
        *(entry.entry_id, entry.effective_at, entry.kind, entry.operation_id),
        *(None if entry.grant_id is None else str(entry.grant_id), entry.grant_type),
        *(entry.credits, entry.balance_after, entry.seq, entry.actor, entry.recorded_at),
    )


def entry_number(entry_id: int) -> int:
    """The entry in a cursor; raises ValueError for what is none."""
    if type(entry_id) is not int or not 0 <= entry_id < 2**63:
        raise ValueError("not the number of an entry")
    return entry_id
