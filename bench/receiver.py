"""A merchant's endpoint on loopback, a process of its own: answers 204 and counts what it was sent, each message once.

`GET /` tells `{"messages": n, "posts": m}`; `GET /last` the headers and body of the last post. Run by `bench.subjects`.
"""

from __future__ import annotations

import asyncio
import json
import sys


class Endpoint(asyncio.Protocol):
    seen: set[bytes] = set()  # noqa: RUF012  (one process, one endpoint)
    posts = 0
    last: tuple[str, str] = ("", "")

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            low = head.lower()
            at = low.find(b"content-length:")
            length = int(low[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
            self._answer(head, low, body)

    def _answer(self, head: bytes, low: bytes, body: bytes) -> None:
        kind = type(self)
        if head.startswith(b"POST"):
            kind.posts += 1
            at = low.find(b"webhook-id:")
            kind.seen.add(head[at + 11 :].split(b"\r\n", 1)[0].strip() if at >= 0 else body)
            kind.last = (head.decode("latin-1"), body.decode("latin-1"))
            self._transport.write(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
            return
        told = kind.last if b" /last " in head else {"messages": len(kind.seen), "posts": kind.posts}
        text = json.dumps(told).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Endpoint, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
