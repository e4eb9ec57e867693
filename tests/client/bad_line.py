"""A line between client and service that loses what it is told to lose."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import urlsplit


class Fault(Enum):
    """What happens to one connection."""

    REFUSED = "cut before anything was heard"
    ANSWER_LOST = "cut after the service has answered, before the client hears it"


@dataclass
class BadLine:
    """``faults`` are used up one after another, one for each connection; then the line is good."""

    url: str
    faults: deque[Fault] = field(default_factory=deque)
    connections: int = 0
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """Cuts what is connected now."""
        for writer in self.writers:
            writer.transport.abort()


@asynccontextmanager
async def bad_line(service_url: str) -> AsyncIterator[BadLine]:
    """Opens a line on a free port of this machine."""
    service = urlsplit(service_url)
    tasks: set[asyncio.Task[None]] = set()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        line.connections += 1
        line.writers.add(writer)
        fault = line.faults.popleft() if line.faults else None
        try:
            if fault is not Fault.REFUSED:
                there = await asyncio.open_connection(service.hostname, service.port)
                await _forward(reader, writer, *there, lose_answer=fault is Fault.ANSWER_LOST)
        finally:
            line.writers.discard(writer)
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    line = BadLine(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield line
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _forward(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    service_reader: asyncio.StreamReader,
    service_writer: asyncio.StreamWriter,
    *,
    lose_answer: bool,
) -> None:
    there = asyncio.create_task(_copy(reader, service_writer))
    back = asyncio.create_task(service_reader.read(1) if lose_answer else _copy(service_reader, writer))
    try:
        await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (there, back):
            task.cancel()
        await asyncio.gather(there, back, return_exceptions=True)
        service_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
