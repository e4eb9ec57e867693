"""A running API: the real server on a free port of this machine, and the clients that speak to it."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine
from websockets.asyncio.client import ClientConnection, connect

from activities.delivery import InboxDelivery
from api.app import create_app
from api.background import Background
from api.live import LiveHub
from api.looking import LookDesk
from api.notices import NoticeDesk
from api.parts import ApiSettings, Parts
from api.serving import ApiServer, make_server
from api.topping_up import TopUpDesk
from ledger.consuming import Consumption
from tests.api.flows import LocalFlows
from tests.conftest import Database
from tests.store.support import session

ADMIN_TOKEN = "admin-token-of-the-tests"
WEBHOOK_SECRET = "whsec_of_the_tests"
ANSWER_SECONDS = 10.0

T = TypeVar("T")


@dataclass
class Socket:
    """A client's WebSocket, one message at a time."""

    connection: ClientConnection
    numbers: int = 0
    pushes: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, kind: str, **fields: Any) -> str:
        """Sends a message and gives its requestId."""
        self.numbers += 1
        request_id = f"r{self.numbers}"
        await self.connection.send(json.dumps({"type": kind, "requestId": request_id, **fields}))
        return request_id

    async def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Sends a message and waits for its answer; what comes unasked meanwhile is kept in ``pushes``."""
        request_id = await self.send(kind, **fields)
        while True:
            message = await self.next()
            if message.get("requestId") == request_id:
                return message
            self.pushes.append(message)

    async def next(self) -> dict[str, Any]:
        """The next message."""
        message: dict[str, Any] = json.loads(await asyncio.wait_for(self.connection.recv(), ANSWER_SECONDS))
        return message

    async def next_push(self) -> dict[str, Any]:
        """The next thing that came unasked."""
        return self.pushes.pop(0) if self.pushes else await self.next()


@dataclass
class RunningApi:
    """One API process, as far as its clients can tell."""

    database: Database
    url: str
    parts: Parts
    flows: LocalFlows
    server: ApiServer
    admin: httpx.AsyncClient

    @property
    def engine(self) -> AsyncEngine:
        """The process's own engine."""
        return self.parts.engine

    def client(self, token: str | None) -> httpx.AsyncClient:
        """An HTTP client with this token, or with none."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False, timeout=30)

    async def open_account(self, **fields: Any) -> str:
        """A new account without credits, unless told."""
        answer = await self.admin.post("/v1/accounts", json={"kind": "user", "name": "Ada", "freeCredits": 0, **fields})
        assert answer.status_code == 201, answer.text
        account_id: str = answer.json()["accountId"]
        return account_id

    async def token_of(self, account_id: str) -> str:
        """A new token of the account."""
        answer = await self.admin.post(f"/v1/accounts/{account_id}/tokens")
        token: str = answer.json()["token"]
        return token

    async def grant(self, account_id: str, credits: int = 10, **fields: Any) -> dict[str, Any]:
        """A new grant under a new id, unless told."""
        body = {"operationId": new_id(), "type": "admin", "credits": credits, **fields}
        answer = await self.admin.post(f"/v1/accounts/{account_id}/grants", json=body)
        assert answer.status_code == 201, answer.text
        granted: dict[str, Any] = answer.json()
        return granted

    @asynccontextmanager
    async def socket_with(self, *, token: str | None = None, query: str = "", **options: Any) -> AsyncIterator[Socket]:
        """An open WebSocket, with the token in its header."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        url = self.url.replace("http://", "ws://") + "/ws" + query
        async with connect(
            url, additional_headers=headers, proxy=None, compression=None, close_timeout=1, **options
        ) as opened:
            yield Socket(opened)

    @asynccontextmanager
    async def socket_of(self, account_id: str, **options: Any) -> AsyncIterator[Socket]:
        """An open WebSocket of the account."""
        async with self.socket_with(token=await self.token_of(account_id), **options) as opened:
            yield opened


def new_id() -> str:
    """An operation id that nobody has used."""
    return f"op-{uuid4()}"


@asynccontextmanager
async def running_api(
    database: Database, *, check_seconds: float = 5.0, send_buffer: int | None = None, **settings: Any
) -> AsyncIterator[RunningApi]:
    """Starts an API on the database and stops it. ``send_buffer`` bounds, in bytes, what the kernel takes for a
    client that does not read."""
    engine = database.open_engine()
    flows = LocalFlows(engine)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        if send_buffer is not None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        chosen = {"admin_token": ADMIN_TOKEN, "webhook_secret": WEBHOOK_SECRET, "public_url": url, **settings}
        background = Background()
        top_ups = TopUpDesk(engine, flows, background)
        parts = Parts(
            engine=engine,
            flows=flows,
            delivery=InboxDelivery(engine, flows),
            consumption=Consumption(engine, on_crossing=top_ups.crossed),
            live=LiveHub(engine, database.app_url, check_seconds=check_seconds),
            background=background,
            notices=NoticeDesk(engine, background),
            top_ups=top_ups,
            looks=LookDesk(engine, flows, background),
            settings=ApiSettings(**chosen),
        )
        server = make_server(create_app(parts), parts.live, host="127.0.0.1", port=0)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await until(lambda: server.started or serving.done())
        try:
            headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
            async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30) as admin:
                yield RunningApi(database, url, parts, flows, server, admin)
        finally:
            server.should_exit = True
            with contextlib.suppress(asyncio.CancelledError):
                await serving
            await engine.dispose()


async def until(holds: Callable[[], bool]) -> None:
    """Waits for something to become true."""
    async with asyncio.timeout(ANSWER_SECONDS):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


async def found(look: Callable[[], Awaitable[T | None]], *, seconds: float = ANSWER_SECONDS) -> T:
    """Looks again and again until something is found."""
    async with asyncio.timeout(seconds):
        while True:
            seen = await look()
            if seen is not None:
                return seen
            await asyncio.sleep(0.01)


async def rows(database: Database) -> dict[str, int]:
    """How many rows each table of the ledger and the inbox has: what was refused leaves none."""
    tables = ("accounts", "account_profiles", "grants", "grant_mirrors", "journal", "operations", "webhook_inbox")
    async with session(database.owner_url) as owner:
        counts = ", ".join(f"(SELECT count(*) FROM {table}) AS {table}" for table in tables)  # noqa: S608
        return dict(await owner.fetchrow(f"SELECT {counts}"))
