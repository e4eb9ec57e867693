"""An action that costs credits."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class PaidAction(Generic[T]):
    """Something that the account pays ``credits`` for. ``run`` does it, and may be called again after a refusal: it
    has one effect, however often it is called, and ``operation_id`` is its name."""

    account_id: str
    operation_id: str
    credits: int
    request_id: str
    run: Callable[[], Awaitable[T]]
