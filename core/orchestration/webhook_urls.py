"""Which URLs an endpoint may have; what the name in it resolves to is checked at each delivery."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from core.domain.errors import FieldError, RequestRefused
from core.orchestration.addresses import refusal
from core.orchestration.egress import Target

MAX_URL = 2000
#: What receivers use. Ports below 1024 otherwise belong to protocols that are not HTTP.
_KNOWN_PORTS = frozenset({443, 8443})
_LOWEST_OTHER_PORT = 1024
_DEFAULT_PORT = {"https": 443, "http": 80}
#: White space, control characters, letters beyond ASCII, and what browsers and libraries read differently.
_UNSAFE = re.compile(r"[^\x21-\x7e]|[\\\"<>^`{|}]")
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


def read_url(text: str, allow_private: bool) -> Target:
    """The parts of an endpoint's URL. Raises RequestRefused; its message does not repeat the URL.

    `allow_private` is the development setting: http, any port, loopback and private addresses.
    """
    if not 0 < len(text) <= MAX_URL:
        raise _refused(f"must have 1 to {MAX_URL} characters")
    if _UNSAFE.search(text):
        raise _refused("holds characters that must be percent-encoded")
    parts, port = _split(text)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").rstrip(".")
    if scheme not in ("https", "http") or (scheme == "http" and not allow_private):
        raise _refused("must begin with https://")
    if "@" in parts.netloc or "#" in text:
        raise _refused("must hold neither a user name nor a fragment")
    port = _DEFAULT_PORT[scheme] if port is None else port
    if not (allow_private or port in _KNOWN_PORTS or port >= _LOWEST_OTHER_PORT):
        raise _refused("must use port 443, 8443 or one from 1024 on")
    _check_host(host, allow_private)
    query = f"?{parts.query}" if parts.query else ""
    return Target(scheme, host, port, (parts.path or "/") + query)


def _split(text: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(text)
        return parts, parts.port
    except ValueError:
        raise _refused("is not a URL") from None


def _check_host(host: str, allow_private: bool) -> None:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        if len(host) > 253 or _NAME.fullmatch(host) is None:
            raise _refused("names no host (write it in ASCII, xn--… for other letters)") from None
        return  # looked up at each delivery
    reason = refusal(host, allow_private)
    if reason is not None:
        raise _refused(f"names an address that deliveries may not go to ({reason})")


def _refused(message: str) -> RequestRefused:
    return RequestRefused(f"the URL {message}", errors=[FieldError("url", message)])
