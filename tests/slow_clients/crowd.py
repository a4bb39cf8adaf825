"""Clients that begin a request and do not come to an end: each holds a connection and sends a byte now and then."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

#: Seconds between two bytes: well under every time-out between two reads.
DRIP = 2.0
#: Handshakes at a time, so that a crowd comes together in seconds.
AT_ONCE = 100


@dataclass
class Held:
    """`closed` is how many seconds after its beginning the server ended it."""

    kind: str
    begun: float = field(default_factory=time.monotonic)
    closed: float | None = None


class Crowd:
    """`kinds` says how many of each: silent, header (never ends), body (never ends)."""

    def __init__(self, port: int, context: ssl.SSLContext | None, path: str, headers: str, **kinds: int) -> None:
        self.held: list[Held] = []
        self._port, self._context, self._path, self._headers = port, context, path, headers
        self._dripping = True
        self._loop = asyncio.new_event_loop()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        for kind, count in kinds.items():
            for _ in range(count):
                self._run(self._one(kind))

    def _run(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop)

    def begun(self, kind: str) -> list[Held]:
        return [one for one in self.held if one.kind == kind]

    def closed(self, kind: str) -> list[Held]:
        return [one for one in self.begun(kind) if one.closed is not None]

    def fall_silent(self) -> None:
        self._dripping = False

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _leave(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # What was aborted is closed in the next round.
        await asyncio.sleep(0.1)

    async def _one(self, kind: str) -> None:
        async with self._gate:
            # Another address of this machine than that of the clients who behave.
            reader, writer = await asyncio.open_connection(
                "127.0.0.1",
                self._port,
                ssl=self._context,
                server_hostname="localhost" if self._context else None,
                local_addr=("127.0.0.2", 0),
            )
            writer.write(self._beginning(kind))
        held = Held(kind)
        self.held.append(held)
        try:
            with contextlib.suppress(OSError):
                while not await self._ended(reader):
                    if self._dripping and kind != "silent":
                        writer.write(b"a")
                        await writer.drain()
            held.closed = time.monotonic() - held.begun
        finally:
            writer.transport.abort()

    async def _ended(self, reader: asyncio.StreamReader) -> bool:
        """Waits for the time between two bytes, or until the server answers or closes."""
        try:
            async with asyncio.timeout(DRIP):
                await reader.read(1)
        except TimeoutError:
            return False
        return True

    def _beginning(self, kind: str) -> bytes:
        head = f"POST {self._path} HTTP/1.1\r\nHost: localhost\r\n{self._headers}"
        if kind == "silent":
            return b""
        if kind == "header":
            return f"{head}X-Never: ".encode()
        return f"{head}Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n".encode() + b'{"reference": "'
