"""Balances on the wire: the same fields over HTTP and over the WebSocket."""

from datetime import datetime

from api.wire.base import Answer
from ledger.balances import Balance
from messages.grants import GrantType


class BalanceFields(Answer):
    """An account's balance in credits.

    ``seq`` numbers the account's latest change, ``prevSeq`` is the one that the reader was last told; over HTTP, where
    nobody was told anything, they are the same. The breakdown has all five types; they sum to ``remainingBalance``
    plus ``held``.
    """

    account_id: str
    seq: int
    prev_seq: int
    usage: int
    remaining_balance: int
    net_balance: int
    debt: int
    held: int
    balance_breakdown: dict[GrantType, int]
    next_quota_reset: datetime


def balance_fields(balance: Balance, *, prev_seq: int) -> dict[str, object]:
    """The fields of a balance, by their Python names."""
    return {
        "account_id": balance.account_id,
        "seq": balance.seq,
        "prev_seq": prev_seq,
        "usage": balance.usage,
        "remaining_balance": balance.remaining,
        "net_balance": balance.net,
        "debt": balance.debt,
        "held": balance.held,
        "balance_breakdown": balance.breakdown,
        "next_quota_reset": balance.next_reset,
    }


def balance_answer(balance: Balance) -> BalanceFields:
    """The balance as HTTP answers it."""
    return BalanceFields.model_validate(balance_fields(balance, prev_seq=balance.seq))
