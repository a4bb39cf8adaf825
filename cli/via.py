"""The port at which the processes are told to find a part: its own, unless somebody puts a relay in between."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

#: Takes a part (postgres, redis, stripe, paystack, api) and its port; asked again whenever an address is told.
Via = Callable[[str, int], int]


def straight(part: str, port: int) -> int:
    return port


def through(via: Via, part: str, url: str) -> str:
    """The address as a client of `part` is told it; an empty one, or one without a port, stays as it is."""
    parts = urlsplit(url)
    if parts.port is None:
        return url
    told = via(part, parts.port)
    if told == parts.port:
        return url
    host = parts.netloc[: parts.netloc.rindex(":")]
    return urlunsplit(parts._replace(netloc=f"{host}:{told}"))
