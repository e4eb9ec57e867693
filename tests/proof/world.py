"""The ledger on a real database beside the model of it: every call goes to both, and both must say the same."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg

from ledger.opening import Opening, open_account
from ledger.transaction import open_engine
from settings import asyncpg_url
from tests.proof.calls import UNAVAILABLE, Answer, Call, Heard, is_change
from tests.proof.clock import freeze_clock, set_clock
from tests.proof.judging import ModelLedger
from tests.proof.model import ModelAccount, ModelEntry
from tests.proof.playing import Player, playing
from tests.proof.serial import find_order
from tests.store.books import wrong_books

PLAYERS = 3
# A month's end, so that the resets have a day to be clamped to.
BEGINNING = datetime(2027, 1, 31, 12, tzinfo=UTC)

_JOURNAL = """
SELECT j.account_id::text, j.seq, j.operation_id, j.kind, g.operation_id AS grant, j.credits, j.effective_at,
    j::text AS whole
FROM journal j LEFT JOIN grants g ON g.account_id = j.account_id AND g.grant_id = j.grant_id
WHERE j.account_id = ANY ($1::uuid[]) ORDER BY j.entry_id
"""

_CHANGES = """
SELECT account_id::text, operation_id, min(seq) AS seq FROM journal
WHERE account_id = ANY ($1::uuid[]) GROUP BY account_id, operation_id
"""


class World:
    """Accounts that exist in the ledger and in the model. Several players call the ledger, each with a committer of
    its own, as processes have."""

    def __init__(self, owner: asyncpg.Connection, players: Sequence[Player]) -> None:
        self.owner = owner
        self.players = players
        self.model = ModelLedger()
        self.now = BEGINNING
        # How often which call was told what.
        self.told: Counter[str] = Counter()
        self._journal: list[str] = []

    async def begin(self) -> None:
        """A new world: no accounts, the clock at its beginning. What was there before is left alone."""
        self.model = ModelLedger()
        self._journal = []
        await self.set_clock(BEGINNING)

    async def set_clock(self, now: datetime) -> None:
        """Lets it be ``now``."""
        await set_clock(self.owner, now)
        self.now = now

    async def open_account(self, *, debt_cap: int) -> str:
        """A new account without credits."""
        engine = self.players[0].engine
        account_id = (await open_account(engine, Opening(kind="user", name="Ada", free_credits=0))).account.account_id
        await self.owner.execute("UPDATE accounts SET debt_cap = $2 WHERE account_id = $1", account_id, debt_cap)
        self.model.accounts[account_id] = ModelAccount(self.now, debt_cap)
        return account_id

    async def play(self, call: Call) -> Answer:
        """One call, and nobody else's meanwhile."""
        told = await self._play(call, self.players[0])
        expected = self.model.judge(call, self.now, grant_id=told.get("grantId", ""))
        assert told == expected, f"{call}\nwas told      {told}\nthe model says {expected}"
        return told

    @property
    def calls(self) -> int:
        """How many calls were made, not counting the reads of every check."""
        return self.told.total()

    async def _play(self, call: Call, player: Player) -> Answer:
        heard = await hear(player, call)
        self._count([heard])
        return heard.answer

    def _count(self, heard: Sequence[Heard]) -> None:
        for each in heard:
            again = " again" if each.answer.get("replayed") else ""
            self.told[f"{each.call.kind}: {each.answer['is']}{again}"] += 1

    async def play_in_one_batch(self, calls: Sequence[Call]) -> None:
        """Calls that one process takes together: each is judged in its turn. Ids must differ."""
        told = await asyncio.gather(*(self._play(call, self.players[0]) for call in calls))
        expected = [self.model.judge(call, self.now) for call in calls]
        assert told == expected, f"{calls}\nwere told      {told}\nthe model says {expected}"

    async def play_at_once(self, calls: Sequence[Call]) -> None:
        """Calls that come to all processes at once; an order of them must explain what they are told."""
        before = {account_id: account.seq for account_id, account in self.model.accounts.items()}
        heard = await asyncio.gather(
            *(hear(self.players[place % len(self.players)], call) for place, call in enumerate(calls))
        )
        self._count(heard)
        changes = await read_changes(self.owner, after=before)
        self.model = find_order(self.model, with_changes(heard, changes), self.now)

    async def check(self) -> None:
        """Balances, journal and books, of all accounts."""
        for account_id in self.model.accounts:
            told = await self.players[0].play(Call("balance", account_id))
            expected = self.model.judge(Call("balance", account_id), self.now)
            assert told == expected, f"{account_id}\nhas           {told}\nthe model has {expected}"
        accounts = list(self.model.accounts)
        assert await wrong_books(self.owner, accounts) == []
        rows = await self.owner.fetch(_JOURNAL, accounts)
        journal = [row["whole"] for row in rows]
        assert journal[: len(self._journal)] == self._journal, "the journal only grows"
        self._journal = journal
        for account_id, account in self.model.accounts.items():
            booked = Counter(_entry(row) for row in rows if row["account_id"] == account_id)
            assert booked == Counter(account.entries), (
                f"booked too much: {booked - Counter(account.entries)}\nmissing: {Counter(account.entries) - booked}"
            )


async def hear(player: Player, call: Call) -> Heard:
    """Makes the call and writes down when it ran. All processes of a machine share this clock."""
    began = time.monotonic_ns()
    answer = await player.play(call)
    return Heard(call, answer, began, time.monotonic_ns())


async def read_changes(owner: asyncpg.Connection, *, after: Mapping[str, int]) -> dict[tuple[str, str], int]:
    """Which change of its account the journal names for an operation; of these accounts, after these changes."""
    rows = await owner.fetch(_CHANGES, list(after))
    changes = {(row["account_id"], row["operation_id"]): row["seq"] for row in rows}
    return {key: seq for key, seq in changes.items() if seq > after[key[0]]}


def with_changes(heard: Sequence[Heard], changes: dict[tuple[str, str], int]) -> list[Heard]:
    """The same, each with the change that the journal names for it. A refusal and a repeat are none."""
    accepted = {_key(each) for each in heard if is_change(each.answer)}
    return [
        replace(each, seq=changes.get(_key(each)))
        if is_change(each.answer) or (each.answer["is"] == UNAVAILABLE and _key(each) not in accepted)
        else each
        for each in heard
    ]


def _key(heard: Heard) -> tuple[str, str]:
    call = heard.call
    if call.kind == "reverse":
        return call.account_id, f"reversal-{call.payment_id}-{heard.answer.get('changes')}"
    prefix = f"{call.kind}/" if call.kind in ("revoke", "settle", "release") else ""
    return call.account_id, prefix + call.operation_id


def _entry(row: Any) -> ModelEntry:
    return ModelEntry(
        row["seq"], row["operation_id"], row["kind"], row["grant"], row["credits"], row["effective_at"].astimezone(UTC)
    )


@asynccontextmanager
async def open_world(app_url: str, owner_url: str) -> AsyncIterator[World]:
    """A world on a database of its own; its clock is made to stand still."""
    async with AsyncExitStack() as resources:
        owner = await asyncpg.connect(owner_url)
        resources.push_async_callback(owner.close, timeout=5)
        await freeze_clock(owner)
        engine = open_engine(asyncpg_url(app_url), pool_size=3 * PLAYERS)
        resources.push_async_callback(engine.dispose)
        players = [await resources.enter_async_context(playing(engine)) for _ in range(PLAYERS)]
        yield World(owner, players)
