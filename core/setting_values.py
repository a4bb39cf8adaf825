"""What a value of a setting must look like, and what is made of it; errors say what is expected and show nothing."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

#: Longer would outlive every provider's own patience with an open payment.
_LONGEST_DELAY = 7 * 24 * 3600.0
_POSTGRES = ("postgres", "postgresql", "postgresql+psycopg2")
_REDIS = ("redis", "rediss")
_BROKERS = (*_REDIS, "sentinel", "amqp", "amqps")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,200}=*")
_RATE = re.compile(r"([1-9]\d{0,8})/(second|minute|hour|day)(?:,([1-9]\d{0,8}))?")
_PERIODS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


Network = IPv4Network | IPv6Network


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


def networks(value: object) -> object:
    """`10.0.0.7,192.168.4.0/24` as networks; anything that is no text is left as it is. Raises ValueError."""
    if not isinstance(value, str):
        return value
    try:
        found = [ip_network(part.strip()) for part in value.split(",")]
    except ValueError:
        raise ValueError(
            "addresses or networks with commas between them are expected, such as 10.0.0.7,192.168.4.0/24"
        ) from None
    if any(network.prefixlen == 0 for network in found):
        raise ValueError("the whole of the internet is no proxy: everybody could claim any address")
    return found


def origins(value: object) -> object:
    """`https://shop.example,https://a.example:8443` as they stand; other than text is left. Raises ValueError."""
    if not isinstance(value, str):
        return value
    found = [part.strip() for part in value.split(",")]
    if not all(_is_origin(one) for one in found):
        raise ValueError(
            "origins with commas between them are expected, such as https://shop.example,https://shop.example:8443, "
            "each as browsers write it; `*` and `null` would be everybody"
        )
    return found


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    host = parts.hostname or ""
    written = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
    local = host in ("localhost", "127.0.0.1")
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    wildcard = "*" in host
    return bool(host) and not wildcard and text == written and port != usual and (parts.scheme == "https" or local)


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


def sealing_keys(text: str) -> str:
    """JSON; what is in it is read where keys are. Raises ValueError, which shows nothing of it."""
    try:
        fits = isinstance(json.loads(text), dict)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("the JSON text of a key file is expected (`tollgate keys make-file`)")
    return text


def rate(text: str) -> str:
    """Raises ValueError."""
    if _RATE.fullmatch(text) is None:
        raise ValueError(
            "a number, a slash and second, minute, hour or day are expected, such as 100/second; after a comma how "
            "many may come at once, if not as many"
        )
    return text


def parse_rate(text: str) -> tuple[int, int, int | None]:
    """(how many, in how many seconds, how many at once) of a text that `rate` has let pass."""
    found = _RATE.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return int(found[1]), _PERIODS[found[2]], int(found[3]) if found[3] else None


def double(text: str) -> str:
    """Twice a rate."""
    count, _, rest = text.partition("/")
    period, _, burst = rest.partition(",")
    return f"{int(count) * 2}/{period}" + (f",{int(burst) * 2}" if burst else "")


def postgres_address(text: str) -> str:
    return _address(text, _POSTGRES, "postgresql://user:password@host/database")


def redis_address(text: str) -> str:
    return _address(text, _REDIS, "rediss://:password@host:6379/0")


def broker_address(text: str) -> str:
    return _address(text, _BROKERS, "amqps://user:password@host/vhost")


def bearer_token(text: str) -> str:
    """What may follow `Bearer` (RFC 6750), long enough not to be guessed. Raises ValueError."""
    if _TOKEN.fullmatch(text) is None:
        raise ValueError("16 to 200 letters and digits are expected, such as the output of `openssl rand -hex 24`")
    return text


def web_address(text: str) -> str:
    """Without a slash at its end. Raises ValueError."""
    found = _address(text, ("https", "http"), "https://pay.example").rstrip("/")
    parts = urlsplit(found)
    if not parts.hostname or parts.username is not None or parts.query or parts.fragment:
        raise ValueError("an address like https://pay.example is expected, without user, query or fragment")
    return found


def listening_address(text: str) -> str:
    """Raises ValueError."""
    host, port = listening_at(text)
    if not host or not 0 < port < 65536:
        raise ValueError("a host and a port are expected, such as 127.0.0.1:9464")
    return text


def listening_at(text: str) -> tuple[str, int]:
    """Host and port of an address to listen on; port 0 where none can be read."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port) if port.isascii() and port.isdigit() else 0


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
