"""The stack for requests that cost credits, in the contract's order.

Who asks is known before (``api/auth.py``, ``api/socket/door.py``), and the balance check is the ledger's own refusal in
the action itself: nothing is read twice. Each middleware goes on with ``action.run``, answers instead of it, or raises.
"""

from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from api.middleware.auto_topup import auto_topup
from api.middleware.paid import PaidAction
from api.parts import Parts

T = TypeVar("T")


class Middleware(Protocol):
    """One layer of the stack."""

    async def __call__(self, parts: Parts, action: PaidAction[T], /) -> T: ...


# The first is the outermost.
STACK: tuple[Middleware, ...] = (auto_topup,)


async def perform(parts: Parts, action: PaidAction[T]) -> T:
    """Does the action inside the stack. Raises what a middleware or the action does."""
    for middleware in reversed(STACK):
        action = replace(action, run=partial(middleware, parts, action))
    return await action.run()
