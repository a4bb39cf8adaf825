"""Who may read what is counted: whoever shows the token; without one, this machine alone."""

from __future__ import annotations

import hmac
from ipaddress import ip_address

#: A proxy says with any of these that somebody else asked, even if it runs on this machine.
FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via")


def may_read(token: str | None, authorization: str, peer: str, *, forwarded: bool) -> bool:
    """`authorization` is the header as it came, `peer` the address at the other end of the connection."""
    if token is not None:
        scheme, _, shown = authorization.partition(" ")
        right = hmac.compare_digest(shown.strip().encode("utf-8", "replace"), token.encode())
        return right and scheme.lower() == "bearer"
    if forwarded:
        return False
    try:
        return ip_address(peer).is_loopback
    except ValueError:
        return False
