"""A TCP proxy before PostgreSQL that can cut a connection between COMMIT and its answer."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

COMMIT = b"COMMIT;"  # not the end of READ COMMITTED
# A batch commits itself: whoever binds arguments to its statement, which was given a name before, commits.
PREPARED_BATCH = re.compile(rb"(__asyncpg_stmt_[0-9a-f]+__)\x00[^\x00]*require_unchanged")


class CuttingProxy:
    """Forwards what clients and the server say; ``cut_after`` COMMITs that have been counted, it cuts.

    The server gets the COMMIT and does it; the client loses its connection before it hears so.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._batch_statements: set[bytes] = set()
        self.commits_to_let_pass: int | None = None
        self.cuts = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection, from its beginning to its end."""
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, server_writer}
        cut = asyncio.Event()
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(
                self._to_server(reader, server_writer, cut), self._to_client(server_reader, writer, cut)
            )
        for each in (writer, server_writer):
            each.close()
            self._writers.discard(each)

    def close_all(self) -> None:
        """Cuts every connection that is open."""
        for writer in self._writers:
            writer.close()

    async def _to_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: asyncio.Event) -> None:
        while said := await reader.read(65536):
            if self._commits(said) and self._is_the_one():
                cut.set()
            writer.write(said)
            await writer.drain()
        writer.close()

    async def _to_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: asyncio.Event) -> None:
        while said := await reader.read(65536):
            if cut.is_set():  # the server has answered, so it has committed; nobody hears of it
                self.cuts += 1
                writer.transport.abort()
                return
            writer.write(said)
            await writer.drain()
        writer.close()

    def _commits(self, said: bytes) -> bool:
        prepared = PREPARED_BATCH.search(said)
        if prepared:
            self._batch_statements.add(prepared[1])
            return False
        return COMMIT in said or any(b"\x00" + name + b"\x00" in said for name in self._batch_statements)

    def _is_the_one(self) -> bool:
        if self.commits_to_let_pass is None:
            return False
        self.commits_to_let_pass -= 1
        if self.commits_to_let_pass >= 0:
            return False
        self.commits_to_let_pass = None
        return True


@asynccontextmanager
async def cutting_proxy(host: str, port: int) -> AsyncIterator[tuple[CuttingProxy, int]]:
    """A proxy before ``host:port``, with the port on which it listens."""
    proxy = CuttingProxy(host, port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    try:
        yield proxy, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        proxy.close_all()
