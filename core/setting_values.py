"""What a value of a setting must look like, and what is made of it; errors say what is expected and show nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

#: Longer would outlive every provider's own patience with an open payment.
_LONGEST_DELAY = 7 * 24 * 3600.0
_POSTGRES = ("postgres", "postgresql", "postgresql+psycopg2")
_REDIS = ("redis", "rediss")
_BROKERS = (*_REDIS, "sentinel", "amqp", "amqps")
#: The part of the limits package's notation that needs no explanation.
_RATE = re.compile(r"[1-9]\d{0,8}/(second|minute|hour|day)")


@dataclass(frozen=True, slots=True)
class Unit:
    """Stands beside a type, and is printed in the list of settings."""

    name: str


def numbers(value: object) -> object:
    """`1,2.5,60` as numbers; anything that is no text is left as it is. Raises ValueError."""
    if not isinstance(value, str):
        return value
    try:
        return [float(part) for part in value.split(",")]
    except ValueError:
        raise ValueError("numbers with commas between them are expected, such as 5,30,120") from None


def growing(delays: tuple[float, ...]) -> tuple[float, ...]:
    """Raises ValueError unless there is at least one, all are positive and none is shorter than the one before."""
    if not delays:
        raise ValueError("at least one number is expected")
    if not all(0 < delay <= _LONGEST_DELAY for delay in delays):
        raise ValueError(f"each must be above 0 and at most {_LONGEST_DELAY:g} s")
    if any(after < before for before, after in pairwise(delays)):
        raise ValueError("none may be shorter than the one before")
    return delays


def upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def rate(text: str) -> str:
    """Raises ValueError."""
    if _RATE.fullmatch(text) is None:
        raise ValueError("a number, a slash and second, minute, hour or day are expected, such as 100/second")
    return text


def postgres_address(text: str) -> str:
    return _address(text, _POSTGRES, "postgresql://user:password@host/database")


def redis_address(text: str) -> str:
    return _address(text, _REDIS, "rediss://:password@host:6379/0")


def broker_address(text: str) -> str:
    return _address(text, _BROKERS, "amqps://user:password@host/vhost")


def _address(text: str, schemes: tuple[str, ...], example: str) -> str:
    scheme, separator, _ = text.partition("://")
    try:
        port_is_a_number = urlsplit(text).port != 0
    except ValueError:
        port_is_a_number = False
    if scheme not in schemes or not separator or not port_is_a_number:
        raise ValueError(f"an address like {example} is expected (a special character in a password as %XX)")
    return text


def with_authority(address: str, ca_file: Path | None) -> str:
    """A `rediss://` address that names the file of its authority, unless it names one itself: every client that
    is given the address then trusts the same one."""
    parts = urlsplit(address)
    if ca_file is None or parts.scheme != "rediss" or "ssl_ca_certs" in dict(parse_qsl(parts.query)):
        return address
    joint = "&" if parts.query else "?"
    return f"{address}{joint}ssl_ca_certs={quote(str(ca_file))}"
