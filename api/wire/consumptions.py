"""Consumptions on the wire: the same fields over HTTP and over the WebSocket."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from api.wire.base import Answer, Credits, Request
from ledger.consuming import Allocation, Consumed, ConsumeOrder, OnInsufficient
from ledger.rules.limits import MAX_DESCRIPTION_LENGTH
from messages.grants import GrantType


class ConsumptionRequest(Request):
    """A demand for credits. ``onInsufficient`` says what happens to what is not covered: ``debt`` is the admin's."""

    operation_id: str
    credits: Credits
    on_insufficient: OnInsufficient = OnInsufficient.REFUSE
    description: Annotated[str, Field(max_length=MAX_DESCRIPTION_LENGTH)] | None = None

    def order(self, account_id: str, *, actor: str, request_id: str) -> ConsumeOrder:
        """The request as the ledger takes it."""
        return ConsumeOrder(
            account_id=account_id,
            operation_id=self.operation_id,
            credits=self.credits,
            on_insufficient=self.on_insufficient,
            description=self.description,
            actor=actor,
            request_id=request_id,
        )


class AllocationFields(Answer):
    """What one grant paid; ``operationId`` is the one that the grant was made under."""

    grant_id: str
    operation_id: str
    type: GrantType
    credits: int


class ConsumptionFields(Answer):
    """A consumption, in credits: ``consumed`` is the sum of the allocations and ``debtIncurred``.

    The allocations come in burn order. ``fromPurchased`` is the part from purchases and rollovers; ``debt`` and the
    balances are the account's, after it. A repeat gets the first answer with ``replayed`` true.
    """

    operation_id: str
    consumed: int
    from_purchased: int
    allocations: list[AllocationFields]
    debt_incurred: int
    debt: int
    remaining_balance: int
    net_balance: int
    replayed: bool


def allocation_fields(allocations: Iterable[Allocation]) -> list[dict[str, object]]:
    """The fields of allocations, by their Python names."""
    return [
        {
            "grant_id": each.grant_id,
            "operation_id": each.operation_id,
            "type": each.type,
            "credits": each.credits,
        }
        for each in allocations
    ]


def consumption_fields(consumed: Consumed) -> dict[str, object]:
    """The fields of a consumption, by their Python names."""
    return {
        "operation_id": consumed.operation_id,
        "consumed": consumed.consumed,
        "from_purchased": consumed.from_purchased,
        "allocations": allocation_fields(consumed.allocations),
        "debt_incurred": consumed.debt_incurred,
        "debt": consumed.debt,
        "remaining_balance": consumed.remaining,
        "net_balance": consumed.net,
        "replayed": consumed.replayed,
    }
