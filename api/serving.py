"""The HTTP server, with the settings and the goodbye that the contract asks for."""

import asyncio
import logging
import socket

import uvicorn
from fastapi import FastAPI

from api.live import LiveHub

WS_BYTES_MAX = 64 * 1024
# Requests under way at the end get so long; a grant is answered within 5 s, and a card within 15.
FINISH_SECONDS = 5
GOODBYE_SECONDS = 1.0


class ApiServer(uvicorn.Server):
    """Tells every socket to come again before it closes them (1012)."""

    def __init__(self, config: uvicorn.Config, live: LiveHub) -> None:
        super().__init__(config)
        self._live = live

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Says goodbye, then does what uvicorn does."""
        for server in self.servers:
            server.close()
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                while not self._live.is_empty:
                    self._live.dismiss_all()
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pass  # those that do not listen are cut off
        await super().shutdown(sockets)


def make_server(app: FastAPI, live: LiveHub, *, host: str, port: int) -> ApiServer:
    """A server for the application; messages over 64 KiB close their socket with 1009."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        ws_max_size=WS_BYTES_MAX,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=FINISH_SECONDS,
        access_log=False,
        log_config=None,
        server_header=False,
    )
    logging.getLogger("uvicorn.error").addFilter(_tells_no_ticket)
    return ApiServer(config, live)


def _tells_no_ticket(record: logging.LogRecord) -> bool:
    """uvicorn logs the path of each WebSocket with its query, where tickets are."""
    return '"WebSocket %s"' not in str(record.msg)
