"""Records what several processes are told at once, and judges it."""

import asyncio
import json
import sys
from datetime import timedelta

from tests.conftest import ROOT
from tests.proof.calls import Call, Heard
from tests.proof.serial import find_order
from tests.proof.world import World, read_changes, with_changes

PROCESSES, ACCOUNTS = 3, 2


async def record(app_url: str, accounts: list[str], *, seed: int, calls: int) -> list[Heard]:
    """What the callers of all processes were told; each caller makes that many calls."""
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.proof.caller", app_url, str(PROCESSES * seed + number), str(calls)),
            *accounts,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        for number in range(PROCESSES)
    ]
    printed = [await process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0] * PROCESSES
    return [_heard(line) for output, _ in printed for line in output.decode().splitlines()]


def _heard(line: str) -> Heard:
    fields = json.loads(line)
    return Heard(Call(**fields.pop("call")), **fields)


async def record_and_judge(world: World, app_url: str, *, seed: int, calls: int, rounds: int) -> int:
    """Some rounds on new accounts of a world, between which time passes: grants expire and holds lapse unseen.

    Answers how many calls an order was found for. Raises NotSerializable, or what differs in the end.
    """
    await world.begin()
    accounts = [await world.open_account(debt_cap=80) for _ in range(ACCOUNTS)]
    for account_id in accounts:
        expires_at = (world.now + timedelta(hours=2)).isoformat()
        await world.play(Call("grant", account_id, f"{account_id}-first", 300, type="free", expires_at=expires_at))
        await world.play(Call("grant", account_id, f"{account_id}-second", 400, type="purchase"))
    judged = 0
    for number in range(rounds):
        before = {account_id: account.seq for account_id, account in world.model.accounts.items()}
        heard = await record(app_url, accounts, seed=rounds * seed + number, calls=calls)
        changes = await read_changes(world.owner, after=before)
        world.model = find_order(world.model, with_changes(heard, changes), world.now)
        await world.check()
        await world.set_clock(world.now + timedelta(minutes=50))
        judged += len(heard)
    return judged
