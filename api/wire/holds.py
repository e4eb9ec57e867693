"""Holds on the wire: the same fields over HTTP and over the WebSocket."""

from datetime import datetime

from api.wire.base import Answer, Credits, CreditsOrNone, Request, TtlSeconds
from api.wire.consumptions import AllocationFields, allocation_fields
from ledger.consuming import Held, Released, Settled


class HoldRequest(Request):
    """Credits to set aside for so many seconds; a day at most."""

    operation_id: str
    credits: Credits
    ttl_seconds: TtlSeconds


class OfAccount(Request):
    """Whose hold is meant: an admin says it where several accounts have a hold of the same operation id."""

    account_id: str | None = None


class ExtendRequest(OfAccount):
    """How many seconds from now the hold is to live; never shorter than it would, and a day in all at most."""

    ttl_seconds: TtlSeconds


class SettleRequest(OfAccount):
    """What the work has really cost, more or less than was held, or nothing."""

    credits: CreditsOrNone


class ReleaseRequest(OfAccount):
    """Nothing more needs to be said."""


class HoldFields(Answer):
    """A hold: it keeps ``credits`` of the grants in ``allocations``, in burn order, until ``expiresAt``.

    ``held`` is what all open holds of the account keep; it and the balances are the account's, after it. A repeat gets
    the first answer with ``replayed`` true.
    """

    operation_id: str
    credits: int
    state: str
    expires_at: datetime | None
    created_at: datetime
    allocations: list[AllocationFields]
    held: int
    debt: int
    remaining_balance: int
    net_balance: int
    replayed: bool


class SettlementFields(Answer):
    """What the hold's work has cost: ``consumed`` is the sum of the allocations and ``debtIncurred``.

    The allocations are of the hold's own credits first. ``givenBack`` is what the hold had kept beyond the cost: debt
    took its part first, and what was of grants that have expired or were revoked is gone.
    """

    operation_id: str
    consumed: int
    from_purchased: int
    allocations: list[AllocationFields]
    debt_incurred: int
    given_back: int
    debt: int
    remaining_balance: int
    net_balance: int
    replayed: bool


class ReleaseFields(Answer):
    """What the hold gave back, as in a settlement; nothing, where its time was over before."""

    operation_id: str
    given_back: int
    debt: int
    remaining_balance: int
    net_balance: int
    replayed: bool


def hold_fields(held: Held) -> dict[str, object]:
    """The fields of a hold, by their Python names."""
    return {
        "operation_id": held.operation_id,
        "credits": held.credits,
        "state": held.state,
        "expires_at": held.expires_at,
        "created_at": held.created_at,
        "allocations": allocation_fields(held.allocations),
        "held": held.held,
        **_after(held),
    }


def settlement_fields(settled: Settled) -> dict[str, object]:
    """The fields of a settlement, by their Python names."""
    return {
        "operation_id": settled.operation_id,
        "consumed": settled.consumed,
        "from_purchased": settled.from_purchased,
        "allocations": allocation_fields(settled.allocations),
        "debt_incurred": settled.debt_incurred,
        "given_back": settled.given_back,
        **_after(settled),
    }


def release_fields(released: Released) -> dict[str, object]:
    """The fields of a release, by their Python names."""
    return {"operation_id": released.operation_id, "given_back": released.given_back, **_after(released)}


def _after(answer: Held | Settled | Released) -> dict[str, object]:
    return {
        "debt": answer.debt,
        "remaining_balance": answer.remaining,
        "net_balance": answer.net,
        "replayed": answer.replayed,
    }
