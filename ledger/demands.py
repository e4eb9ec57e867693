"""What callers ask of the batch, and what they are answered (``ledger/consuming.py``).

In all orders, ``request_id`` is never the same for two calls; by it a call knows its own work again. ``made_by`` is the
kind of token that is used, ``admin`` or ``account``. Numbers are credits; ``debt``, ``held``, ``remaining`` and ``net``
are the account's after the operation, and ``replayed`` tells the first answer from its repeats.
"""

from dataclasses import dataclass
from datetime import datetime

from ledger.rules.burning import Drawn, OnInsufficient


@dataclass(frozen=True, slots=True)
class ConsumeOrder:
    """A demand for credits."""

    account_id: str
    operation_id: str
    credits: int
    on_insufficient: OnInsufficient = OnInsufficient.REFUSE
    description: str | None = None
    actor: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class HoldOrder:
    """Sets credits aside for ``ttl_seconds``."""

    account_id: str
    operation_id: str
    credits: int
    ttl_seconds: int
    made_by: str = "account"
    actor: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class ExtendOrder:
    """Lets a hold live ``ttl_seconds`` from now."""

    account_id: str
    operation_id: str
    ttl_seconds: int
    made_by: str = "account"
    actor: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class SettleOrder:
    """Ends a hold with what the work has really cost."""

    account_id: str
    operation_id: str
    credits: int
    made_by: str = "account"
    actor: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class ReleaseOrder:
    """Ends a hold with nothing spent."""

    account_id: str
    operation_id: str
    made_by: str = "account"
    actor: str = ""
    request_id: str = ""


HoldDemand = HoldOrder | ExtendOrder | SettleOrder | ReleaseOrder
Order = ConsumeOrder | HoldDemand


@dataclass(frozen=True, slots=True)
class Allocation:
    """What one grant paid for an operation. ``operation_id`` is the one that the grant was made under."""

    grant_id: str
    operation_id: str
    type: str
    credits: int


@dataclass(frozen=True, slots=True)
class Consumed:
    """The answer to a consumption. ``consumed`` is the sum of the allocations and ``debt_incurred``.

    ``from_purchased`` is the part from purchases and rollovers.
    """

    operation_id: str
    consumed: int
    from_purchased: int
    allocations: tuple[Allocation, ...]
    debt_incurred: int
    debt: int
    remaining: int
    net: int
    replayed: bool


@dataclass(frozen=True, slots=True)
class Held:
    """The answer to a hold and to its extension. The hold keeps ``credits`` of the grants in ``allocations`` until
    ``expires_at``; ``held`` is what all open holds of the account keep."""

    operation_id: str
    credits: int
    held: int
    state: str
    expires_at: datetime | None
    created_at: datetime
    allocations: tuple[Allocation, ...]
    debt: int
    remaining: int
    net: int
    replayed: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """The answer to a settlement. ``consumed`` is the real cost: the sum of the allocations, the hold's own first, and
    ``debt_incurred``. ``given_back`` is what the hold had kept beyond it; debt took its part first, and what was of
    grants that have expired or were revoked is gone."""

    operation_id: str
    consumed: int
    from_purchased: int
    allocations: tuple[Allocation, ...]
    debt_incurred: int
    given_back: int
    debt: int
    remaining: int
    net: int
    replayed: bool


@dataclass(frozen=True, slots=True)
class Released:
    """The answer to a release. ``given_back`` as in a settlement; nothing, where the hold had lapsed before."""

    operation_id: str
    given_back: int
    debt: int
    remaining: int
    net: int
    replayed: bool


Answer = Consumed | Held | Settled | Released
Outcome = Answer | Exception


def allocations_of(drawn: Drawn) -> tuple[Allocation, ...]:
    """Which grants gave how much."""
    return tuple(
        Allocation(str(grant.grant_id), grant.operation_id, str(grant.type), credits) for grant, credits in drawn
    )
