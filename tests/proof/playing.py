"""Makes the calls on the real ledger, by its public functions, and says in plain data what they were told."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import read_balance
from ledger.consuming import (
    Consumed,
    ConsumeOrder,
    Consumption,
    ExtendOrder,
    Held,
    HoldOrder,
    OnInsufficient,
    ReleaseOrder,
    Settled,
    SettleOrder,
)
from ledger.granting import find_grant, process_and_grant_credit
from ledger.reversing import reverse_payment
from ledger.revoking import revoke_grant
from ledger.rules.errors import InsufficientCredits, LedgerError
from ledger.sweeping import book_due
from messages.grants import GrantOrder, GrantType
from messages.reversals import ReversalTarget
from tests.proof.calls import PAID_CENTS, Answer, Call


class Player:
    """One process's way to the ledger, or one of several within a process."""

    def __init__(self, engine: AsyncEngine, consumption: Consumption) -> None:
        """``consumption`` must be running."""
        self.engine = engine
        self._consumption = consumption
        self._calls: dict[str, Callable[[Call], Awaitable[Answer]]] = {
            "grant": self._grant,
            "consume": self._consume,
            "revoke": self._revoke,
            "reverse": self._reverse,
            "hold": self._hold,
            "extend": self._extend,
            "settle": self._settle,
            "release": self._release,
            "sweep": self._sweep,
            "balance": self._balance,
        }

    async def play(self, call: Call) -> Answer:
        """Makes the call. What must not happen is an answer too: nothing in the model is told so."""
        try:
            return await self._calls[call.kind](call)
        except InsufficientCredits as no:
            numbers = {"needed": no.needed, "available": no.available, "remaining": no.remaining_balance}
            return {"is": no.code, **numbers}
        except LedgerError as no:
            return {"is": no.code}
        except Exception as error:
            return {"is": "broken", "how": repr(error)}

    async def _grant(self, call: Call) -> Answer:
        outcome = await process_and_grant_credit(
            self.engine,
            GrantOrder(
                operation_id=call.operation_id,
                account_id=call.account_id,
                type=GrantType(call.type),
                credits=call.credits,
                expires_at=None if call.expires_at is None else datetime.fromisoformat(call.expires_at),
                request_id=_request_id(),
                payment_id=call.payment_id,
            ),
        )
        grant = outcome.grant
        return {
            "is": "granted",
            "replayed": not outcome.created,
            "grantId": grant.grant_id,
            "type": str(grant.type),
            "principal": grant.principal,
            "expiresAt": _instant(grant.expires_at),
        }

    async def _consume(self, call: Call) -> Answer:
        policy = OnInsufficient(call.policy)
        order = ConsumeOrder(
            call.account_id, call.operation_id, call.credits, policy, actor="spender", request_id=_request_id()
        )
        spent = await self._consumption.consume(order)
        return {"is": "consumed", **_spent(spent)}

    async def _hold(self, call: Call) -> Answer:
        order = HoldOrder(
            *(call.account_id, call.operation_id, call.credits, call.ttl_seconds, call.made_by, "", _request_id())
        )
        return {"is": "held", **_held(await self._consumption.hold(order))}

    async def _extend(self, call: Call) -> Answer:
        order = ExtendOrder(call.account_id, call.operation_id, call.ttl_seconds, call.made_by, "", _request_id())
        return {"is": "extended", **_held(await self._consumption.extend(order))}

    async def _settle(self, call: Call) -> Answer:
        order = SettleOrder(call.account_id, call.operation_id, call.credits, call.made_by, "", _request_id())
        settled = await self._consumption.settle(order)
        return {"is": "settled", **_spent(settled), "givenBack": settled.given_back}

    async def _release(self, call: Call) -> Answer:
        order = ReleaseOrder(call.account_id, call.operation_id, call.made_by, "", _request_id())
        released = await self._consumption.release(order)
        answer = {"replayed": released.replayed, "givenBack": released.given_back}
        return {"is": "released", **answer, **_after(released)}

    async def _revoke(self, call: Call) -> Answer:
        revocation = await revoke_grant(
            self.engine, call.operation_id, reason="", actor="operator", request_id=_request_id()
        )
        return {"is": "revoked", "replayed": revocation.replayed, "revoked": revocation.revoked}

    async def _reverse(self, call: Call) -> Answer:
        target = ReversalTarget(call.payment_id or "", PAID_CENTS, call.reversed_cents, call.frozen_cents)
        reversal = await reverse_payment(self.engine, target, request_id=_request_id())
        restored = reversal.restored_operation_id
        return {
            "is": "reversed",
            "replayed": not reversal.changed,
            "changes": reversal.changes,
            "reversed": reversal.reversed_credits,
            "frozen": reversal.frozen_credits,
            "taken": reversal.taken,
            "givenBack": reversal.given_back,
            "debtIncurred": reversal.debt_incurred,
            "net": reversal.net,
            "restored": restored,
            "grantId": "" if restored is None else (await find_grant(self.engine, restored)).grant_id,
        }

    async def _sweep(self, call: Call) -> Answer:
        return {"is": "swept", "events": await book_due(self.engine, call.account_id)}

    async def _balance(self, call: Call) -> Answer:
        balance = await read_balance(self.engine, call.account_id)
        return {
            "is": "balance",
            "seq": balance.seq,
            "usage": balance.usage,
            "held": balance.held,
            "breakdown": {str(grant_type): credits for grant_type, credits in balance.breakdown.items()},
            **_after(balance),
        }


@asynccontextmanager
async def playing(engine: AsyncEngine) -> AsyncIterator[Player]:
    """A player with a committer of its own."""
    consumption = Consumption(engine)
    async with consumption.running():
        yield Player(engine, consumption)


def _request_id() -> str:
    return f"r-{uuid4()}"


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()


def _spent(spent: Consumed | Settled) -> Answer:
    return {
        "replayed": spent.replayed,
        "consumed": spent.consumed,
        "fromPurchased": spent.from_purchased,
        "allocations": _allocations(spent),
        "debtIncurred": spent.debt_incurred,
        **_after(spent),
    }


def _held(held: Held) -> Answer:
    return {
        "replayed": held.replayed,
        "credits": held.credits,
        "held": held.held,
        "state": held.state,
        "expiresAt": _instant(held.expires_at),
        "createdAt": _instant(held.created_at),
        "allocations": _allocations(held),
        **_after(held),
    }


def _allocations(spent: Any) -> list[list[Any]]:
    return [[each.grant_id, each.operation_id, each.type, each.credits] for each in spent.allocations]


def _after(answer: Any) -> Answer:
    return {"debt": answer.debt, "remaining": answer.remaining, "net": answer.net}
