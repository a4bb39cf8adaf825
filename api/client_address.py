"""Where a request comes from: the first address on its way that is not one of our own proxies.

Anybody may write `X-Forwarded-For`. Each proxy appends whom it heard, so the list is believed from its right end, and
only as far as the hops belong to `settings.trusted_proxies`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from flask import Flask, Request, g, request

from core.setting_values import Network

#: Longer lists are no way through proxies. The right end is what counts, so the rest is not even read.
_MOST_HOPS = 16
_Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Client:
    """`address` is None where the server speaks over a socket without one, or tells none."""

    address: str | None
    secure: bool


def find(
    peer: str, forwarded_for: Sequence[str], forwarded_proto: Sequence[str], scheme: str, trusted: Sequence[Network]
) -> Client:
    """`peer` is who is connected; each of the headers' values may be a list itself."""
    here = _read(peer)
    if here is None or not _is_in(here, trusted):
        return Client(_told(here), scheme == "https")
    for hop in reversed(_parts(forwarded_for)[-_MOST_HOPS:]):
        said = _read(hop)
        if said is None:
            # Whom that proxy heard is not known; what stands further left was not said by one of ours.
            break
        here = said
        if not _is_in(here, trusted):
            break
    claimed = _parts(forwarded_proto)
    return Client(_told(here), (claimed[-1].lower() if claimed else scheme) == "https")


def read(asked: Request, trusted: Sequence[Network]) -> Client:
    headers = asked.headers
    return find(
        asked.environ.get("REMOTE_ADDR") or "",
        headers.getlist("X-Forwarded-For"),
        headers.getlist("X-Forwarded-Proto"),
        asked.scheme,
        trusted,
    )


def client() -> Client:
    """Of the request under way."""
    found: Client = g.client
    return found


def current() -> str | None:
    """The client's address, for logs, limits and the `from` of audit records."""
    return client().address


def install(app: Flask, trusted: Sequence[Network]) -> None:
    """Has to come before whatever asks."""

    def remember() -> None:
        g.client = read(request, trusted)

    app.before_request(remember)


def _parts(values: Sequence[str]) -> list[str]:
    return [part for value in values for part in (one.strip() for one in value.split(",")) if part]


def _read(text: str) -> _Address | None:
    """`203.0.113.7`, `203.0.113.7:4711`, `2001:db8::1`, `[2001:db8::1]:4711`; anything else is no address."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        if found.scope_id:  # a name of the sender's own choosing
            return None
        return found.ipv4_mapped or found
    return found


def _is_in(address: _Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _told(address: _Address | None) -> str | None:
    return None if address is None else str(address)
