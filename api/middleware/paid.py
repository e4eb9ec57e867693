"""An action that costs credits."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ledger.demands import ConsumeOrder, HoldOrder

T = TypeVar("T")


@dataclass(frozen=True)
class PaidAction(Generic[T]):
    """Something that an account pays for: the order says who, how much, and under which operation id. ``run`` does it,
    and may be called again after a refusal: it has one effect, however often it is called."""

    order: ConsumeOrder | HoldOrder
    run: Callable[[], Awaitable[T]]
