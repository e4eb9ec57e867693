"""Operations: the claim on an operation id, with the request that took it and the answer it got."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.rules.errors import IdempotencyConflict
from ledger.store.tables import operations


@dataclass(frozen=True)
class Operation:
    """One operation: ``request`` is the payload as it was sent, by which a repeat is told from a conflict."""

    account_id: UUID
    operation_id: str
    kind: str
    request: dict[str, Any]
    answer: dict[str, Any] | None
    actor: str
    request_id: str


async def find_operation(tx: AsyncConnection, account_id: UUID, operation_id: str) -> Operation | None:
    """What the account used the operation id for, or None. A plain read: it takes the predicate lock that
    ``ON CONFLICT DO NOTHING`` would not."""
    found = await tx.execute(
        select(operations).where(operations.c.account_id == account_id, operations.c.operation_id == operation_id)
    )
    row = found.one_or_none()
    return None if row is None else _operation(row)


async def find_grant_operation(tx: AsyncConnection, operation_id: str) -> Operation | None:
    """The grant made under this id, whichever account it went to: grants' ids are unique over all accounts."""
    found = await tx.execute(
        select(operations).where(operations.c.operation_id == operation_id, operations.c.kind == "grant")
    )
    row = found.one_or_none()
    return None if row is None else _operation(row)


async def claim(tx: AsyncConnection, operation: Operation) -> Operation | None:
    """Takes the operation id, before any effect; answers None, or what the account has used the id for before.

    It writes first and reads only where it could not: a look at a free id predicate-locks its neighbours in the
    index, and strangers would conflict. Raises IdempotencyConflict for the id of another account's grant.
    """
    taken = await tx.execute(
        insert(operations)
        .values(
            account_id=operation.account_id,
            operation_id=operation.operation_id,
            kind=operation.kind,
            request=operation.request,
            answer=operation.answer,
            actor=operation.actor,
            request_id=operation.request_id,
        )
        .on_conflict_do_nothing()
        .returning(operations.c.operation_id)
    )
    if taken.first() is not None:
        return None
    recorded = await find_operation(tx, operation.account_id, operation.operation_id)
    if recorded is None:
        raise IdempotencyConflict(operation.operation_id)
    return recorded


def refuse_other_payload(recorded: Operation, *, account_id: UUID, kind: str, request: dict[str, Any]) -> None:
    """Raises IdempotencyConflict unless the request is the one that took the operation id."""
    if (recorded.account_id, recorded.kind, recorded.request) != (account_id, kind, request):
        raise IdempotencyConflict(recorded.operation_id)


def _operation(row: Any) -> Operation:
    return Operation(
        account_id=row.account_id,
        operation_id=row.operation_id,
        kind=row.kind,
        request=row.request,
        answer=row.answer,
        actor=row.actor,
        request_id=row.request_id,
    )
