"""The listening socket: it can be closed for a while, so that a client is refused as by a machine that is down."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiohttp import web

# Few are needed at once; a full queue would look like a slow network.
_BACKLOG = 2048


class Listener:
    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._server: asyncio.Server | None = None
        self._reopening: asyncio.Task[None] | None = None

    async def open(self, handler: web.Server) -> None:
        """Raises OSError when the port is taken; port 0 becomes the one that was free."""
        self._handler = handler
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(handler, self.host, self.port, backlog=_BACKLOG)
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def refusing(self) -> bool:
        return self._server is not None and not self._server.is_serving()

    def close(self) -> None:
        if self._reopening:
            self._reopening.cancel()
        if self._server:
            self._server.close()

    def refuse(self, seconds: float) -> None:
        """Nobody listens from now on, for so many seconds; open connections end with the answer they wait for."""
        self.close()
        for connection in self._handler.connections:
            # An idle one that is only asked to end stays open, with nobody to read what is sent on it.
            idle = getattr(connection, "_waiter", None) is not None
            (connection.force_close if idle else connection.close)()
        self._reopening = asyncio.create_task(self._reopen(seconds))

    async def _reopen(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        while True:
            # Somebody may hold the port for a moment: as a source port of a connection of theirs.
            with suppress(OSError):
                await self.open(self._handler)
                return
            await asyncio.sleep(0.05)
