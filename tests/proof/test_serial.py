"""The check of recorded histories lets every true history pass, and sees each anomaly that is planted in one."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proof.calls import UNAVAILABLE, Answer, Call, Heard, is_change
from tests.proof.judging import ModelLedger
from tests.proof.model import ModelAccount
from tests.proof.serial import NotSerializable, find_order
from tests.proof.world import BEGINNING, with_changes

ONE, OTHER = "one", "other"


def _start(*, credits: int = 100, debt_cap: int = 0) -> ModelLedger:
    """Two accounts with a grant each."""
    model = ModelLedger({name: ModelAccount(BEGINNING, debt_cap) for name in (ONE, OTHER)})
    for name in (ONE, OTHER):
        model.judge(Call("grant", name, f"g-{name}", credits), BEGINNING, grant_id=f"grant-{name}")
    return model


def _consume(operation_id: str, credits: int, account_id: str = ONE) -> Call:
    return Call("consume", account_id, operation_id, credits)


def _spent(account_id: str, credits: int, remaining: int) -> Answer:
    return {
        "is": "consumed",
        "replayed": False,
        "consumed": credits,
        "fromPurchased": 0,
        "allocations": [[f"grant-{account_id}", f"g-{account_id}", "admin", credits]],
        "debtIncurred": 0,
        "debt": 0,
        "remaining": remaining,
        "net": remaining,
    }


def _refused(needed: int, available: int) -> Answer:
    return {"is": "insufficient-credits", "needed": needed, "available": available, "remaining": available}


def _balance(seq: int, remaining: int) -> Answer:
    breakdown = dict.fromkeys(("free", "referral", "rollover", "purchase"), 0) | {"admin": remaining}
    numbers = {"debt": 0, "remaining": remaining, "net": remaining}
    return {"is": "balance", "seq": seq, "usage": 100 - remaining, "held": 0, "breakdown": breakdown, **numbers}


def _at(call: Call, answer: Answer, began: int, ended: int, seq: int | None = None) -> Heard:
    return Heard(call, answer, began, ended, seq)


READ = Call("balance", ONE)
TRUE = {
    "one after the other": [
        _at(_consume("a", 10), _spent(ONE, 10, 90), 0, 1, 2),
        _at(_consume("b", 20), _spent(ONE, 20, 70), 2, 3, 3),
        _at(READ, _balance(3, 70), 4, 5),
    ],
    "at once, and the second came first": [
        _at(_consume("a", 10), _spent(ONE, 10, 70), 0, 9, 3),
        _at(_consume("b", 20), _spent(ONE, 20, 80), 1, 9, 2),
    ],
    "a read between two that run": [
        _at(_consume("a", 10), _spent(ONE, 10, 90), 0, 9),
        _at(READ, _balance(2, 90), 2, 3),
        _at(READ, _balance(1, 100), 0, 1),
        _at(_consume("b", 20), _spent(ONE, 20, 70), 1, 9),
    ],
    "two want all, and one gets it": [
        _at(_consume("a", 100), _refused(100, 0), 0, 9),
        _at(_consume("b", 100), _spent(ONE, 100, 0), 1, 9, 2),
    ],
    "a repeat overtakes its first call": [
        _at(_consume("a", 10), {**_spent(ONE, 10, 90), "replayed": True}, 0, 5),
        _at(_consume("a", 10), _spent(ONE, 10, 90), 1, 9, 2),
    ],
    "somebody was not answered, and had spent": [
        _at(_consume("a", 10), {"is": UNAVAILABLE}, 0, 9, 2),
        _at(READ, _balance(2, 90), 2, 3),
    ],
    "somebody was not answered, and had not spent": [
        _at(_consume("a", 10), {"is": UNAVAILABLE}, 0, 9),
        _at(READ, _balance(1, 100), 12, 13),
    ],
}
PLANTED = {
    "a lost update": [
        _at(_consume("a", 10), _spent(ONE, 10, 90), 0, 9),
        _at(_consume("b", 10), _spent(ONE, 10, 90), 1, 9),
    ],
    "a double spend": [
        _at(_consume("a", 100), _spent(ONE, 100, 0), 0, 9),
        _at(_consume("b", 100), _spent(ONE, 100, 0), 1, 9),
    ],
    "a repeat that was done again": [
        _at(_consume("a", 10), _spent(ONE, 10, 90), 0, 1),
        _at(_consume("a", 10), _spent(ONE, 10, 80), 2, 3),
    ],
    "a stale read": [
        _at(_consume("a", 10), _spent(ONE, 10, 90), 0, 1),
        _at(READ, _balance(1, 100), 2, 3),
    ],
    "a read of what is not there yet": [
        _at(READ, _balance(2, 90), 0, 1),
        _at(_consume("a", 10), _spent(ONE, 10, 90), 2, 3),
    ],
    "a reordering against the clock": [
        _at(_consume("a", 10), _spent(ONE, 10, 70), 0, 1),
        _at(_consume("b", 20), _spent(ONE, 20, 80), 2, 3),
    ],
    "an order that is not the journal's": [
        _at(_consume("a", 10), _spent(ONE, 10, 90), 0, 9, 3),
        _at(_consume("b", 20), _spent(ONE, 20, 70), 1, 9, 2),
    ],
    "a refusal of what could be paid": [
        _at(_consume("a", 60), _refused(60, 40), 0, 9),
        _at(_consume("b", 50), _spent(ONE, 50, 50), 1, 9),
    ],
    "an acknowledged consumption that is gone": [
        _at(_consume("a", 10), _spent(ONE, 10, 90), 0, 1),
        _at(_consume("b", 20), _spent(ONE, 20, 80), 2, 3),
    ],
    "two reads that turn back": [
        _at(_consume("a", 10), _spent(ONE, 10, 90), 0, 9),
        _at(READ, _balance(2, 90), 1, 2),
        _at(READ, _balance(1, 100), 3, 4),
    ],
    "credits of another account": [
        _at(_consume("a", 10), {**_spent(OTHER, 10, 90)}, 0, 1),
    ],
    "somebody who was not answered has spent twice": [
        _at(_consume("a", 10), {"is": UNAVAILABLE}, 0, 9, 2),
        _at(READ, _balance(3, 80), 12, 13),
    ],
}


@pytest.mark.parametrize("name", TRUE)
def test_a_true_history_passes(name: str) -> None:
    find_order(_start(), TRUE[name], BEGINNING)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_anomaly_is_seen(name: str) -> None:
    with pytest.raises(NotSerializable):
        find_order(_start(), PLANTED[name], BEGINNING)


def test_write_skew_is_seen() -> None:
    """Both looked at the debt cap before either wrote: each alone is within it."""
    told = {**_spent(ONE, 60, 0), "allocations": [], "debtIncurred": 60, "debt": 60, "net": -60}
    start = _start(credits=10, debt_cap=100)
    start.judge(_consume("all", 10), BEGINNING)
    calls = [replace(_consume(name, 60), policy="debt") for name in "ab"]
    find_order(start, [_at(calls[0], told, 0, 9)], BEGINNING)
    with pytest.raises(NotSerializable):
        find_order(start, [_at(call, told, 0, 9) for call in calls], BEGINNING)


def _history(seed: int) -> list[Heard]:
    """What many callers could have heard: an order by chance, each answered some time around its place in it."""
    random, model = Random(seed), _start(debt_cap=50)
    heard: list[Heard] = []
    changes: dict[tuple[str, str], int] = {}
    for place in range(60):
        account_id, operation_id = random.choice((ONE, OTHER)), f"op-{random.randrange(40)}"
        kind = random.choice(["consume", "consume", "consume", "grant", "balance", "revoke"])
        operation_id = f"g-{account_id}" if kind == "revoke" else f"{account_id}-{operation_id}"
        call = Call(kind, account_id, operation_id, random.randrange(1, 20), random.choice(["refuse", "debt"]))
        answer = model.judge(call, BEGINNING, grant_id=f"grant-{place:03}")
        began, ended = 10 * place - random.randrange(60), 10 * place + random.randrange(60)
        heard.append(Heard(call, answer, began, ended))
        if call.kind == "revoke":
            operation_id = f"revoke/{operation_id}"
        if is_change(answer):
            changes[account_id, operation_id] = model.accounts[account_id].seq
    random.shuffle(heard)
    return with_changes(heard, changes)


@given(seed=st.integers(0, 10**6), knows_changes=st.booleans())
def test_every_order_that_could_have_been_passes(seed: int, knows_changes: bool) -> None:
    heard = _history(seed)
    found = find_order(
        _start(debt_cap=50), heard if knows_changes else [replace(each, seq=None) for each in heard], BEGINNING
    )
    assert sum(account.seq for account in found.accounts.values()) > 2


@given(seed=st.integers(0, 10**6), place=st.integers(0, 59), by=st.sampled_from([-1, 1]))
def test_one_wrong_number_is_seen(seed: int, place: int, by: int) -> None:
    heard = _history(seed)
    wrong: dict[str, Any] = dict(heard[place].answer)
    numbers = [name for name in ("remaining", "debt", "net", "needed", "revoked", "seq", "principal") if name in wrong]
    if not numbers:
        return
    wrong[numbers[seed % len(numbers)]] += by
    heard[place] = replace(heard[place], answer=wrong)
    with pytest.raises(NotSerializable):
        find_order(_start(debt_cap=50), heard, BEGINNING)
