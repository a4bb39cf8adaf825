"""An open-loop load generator, a process of its own: it never waits for the server before it sends the next request.

Started by `bench.generator`; reads one JSON plan from standard input and writes one JSON report to standard output.
A latency is counted from the moment a request was due, so that waiting for a slow server is not left out of it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
import time
from collections import Counter, deque
from itertools import cycle, islice
from typing import Any

#: Seconds an answer may take after the last request was due; what has not come then counts as status 0.
PATIENCE = 20.0


class Connection(asyncio.Protocol):
    """One kept-alive connection with at most one request under way."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.transport: asyncio.Transport | None = None
        self.due = 0.0
        self.busy = False
        self._buffer = b""
        self._whole = -1
        self._closes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, due: float, request: bytes) -> None:
        self.due, self.busy, self._buffer, self._whole = due, True, b"", -1
        if self.transport is not None:
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if self._whole < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            self._closes = b"connection: close" in head
            self._whole = end + 4 + length
        if len(self._buffer) >= self._whole:
            self.busy = False
            self.load.answered(int(self._buffer[9:12]), self.due)
            if self._closes and self.transport is not None:
                self.transport.close()
            else:
                self.load.free(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self.busy:
            self.busy = False
            if not self.load.closing:
                self.load.answered(0, self.due)
        self.load.lost()


class Load:
    def __init__(self, plan: dict[str, Any]) -> None:
        self.host, self.port = plan["host"], plan["port"]
        self.seconds, self.rate, self.final_rate = plan["seconds"], plan["rate"], plan["final_rate"]
        self.ends = self.seconds
        self.connections = plan["connections"]
        texts = [text.encode("latin-1") for text in plan["requests"]]
        self.requests = cycle(texts) if plan["repeat"] else iter(texts)
        self.made: list[Connection] = []
        self.idle: deque[Connection] = deque()
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.late: list[float] = []
        self.sent = 0
        self.most_waiting = 0
        self.closing = False
        self.begun = self.ended = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    # What a connection tells

    def answered(self, status: int, due: float) -> None:
        self.statuses[status] += 1
        self.ended = time.perf_counter()
        self.latencies.append(self.ended - due)

    def free(self, connection: Connection) -> None:
        if self.waiting:
            due, request = self.waiting.popleft()
            connection.send(due, request)
        elif not self.rate and not self.closing and (request := next(self.requests, b"")):
            self.sent += 1
            connection.send(time.perf_counter(), request)
        else:
            self.idle.append(connection)

    def lost(self) -> None:
        if not self.closing:
            task = asyncio.get_running_loop().create_task(self._connect())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(50):
            try:
                _, connection = await loop.create_connection(lambda: Connection(self), self.host, self.port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                self.made.append(connection)
                self.free(connection)
                return

    # The schedule

    def end_early(self) -> None:
        """Told so by the watcher: nothing more is due."""
        self.ends = time.perf_counter() - self.begun

    def _due(self, number: int) -> float:
        """Seconds after the begin at which a request is due; the rate may rise evenly over the time."""
        slope = (self.final_rate - self.rate) / self.seconds
        if not slope:
            return float(number / self.rate)
        root: float = (self.rate**2 + 2 * slope * number) ** 0.5
        return (root - self.rate) / slope

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        number, due = 0, 0.0
        while due < self.ends:
            now = time.perf_counter() - self.begun
            while due <= now and due < self.ends:
                if not (request := next(self.requests, b"")):
                    return
                self.late.append(now - due)
                self._start(self.begun + due, request)
                number += 1
                due = self._due(number)
            pause = loop.create_future()
            loop.call_at(loop.time() + max(0.0, self.begun + due - time.perf_counter()), pause.set_result, None)
            await pause

    def _start(self, due: float, request: bytes) -> None:
        self.sent += 1
        if self.idle:
            self.idle.popleft().send(due, request)
        else:
            self.waiting.append((due, request))
            self.most_waiting = max(self.most_waiting, len(self.waiting))

    async def run(self) -> dict[str, Any]:
        await asyncio.gather(*(self._connect() for _ in range(self.connections if self.rate else 0)))
        cpu, began = time.process_time(), time.time()
        self.begun = self.ended = time.perf_counter()
        print(json.dumps({"began": began}), flush=True)
        if self.rate:
            await self._open()
        else:
            await asyncio.gather(*(self._connect() for _ in range(self.connections)))
            while time.perf_counter() - self.begun < self.ends and len(self.idle) < self.connections:
                await asyncio.sleep(0.02)
            self.closing = True
        await self._settled()
        await self._close()
        unanswered = self.sent - sum(self.statuses.values())
        if unanswered:
            self.statuses[0] += unanswered
        return self._report(began, time.process_time() - cpu)

    async def _settled(self) -> None:
        patient_until = time.perf_counter() + PATIENCE
        while sum(self.statuses.values()) < self.sent and time.perf_counter() < patient_until:
            await asyncio.sleep(0.005)

    async def _close(self) -> None:
        self.closing = True
        for connection in self.made:
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0.01)

    def _report(self, began: float, cpu: float) -> dict[str, Any]:
        return {
            "began": began,
            "sent": self.sent,
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "seconds": self.ended - self.begun,
            "latencies": sorted(round(one * 1000, 3) for one in self.latencies),
            "late": sorted(round(one * 1000, 3) for one in islice(self.late, 200_000)),
            "most_waiting": self.most_waiting,
            "cpu": cpu,
        }


def main() -> None:
    plan = json.loads(sys.stdin.readline())
    gc.disable()  # a collection would delay what is due; the process ends with its run
    print(json.dumps(asyncio.run(_run(plan))), flush=True)


async def _run(plan: dict[str, Any]) -> dict[str, Any]:
    load = Load(plan)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, load.end_early)
    return await load.run()


if __name__ == "__main__":
    main()
