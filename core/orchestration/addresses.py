"""Which addresses a delivery may go to: the public internet, and never into our own network.

After OWASP's SSRF list and IANA's registries of special addresses (IPv4 and IPv6, November 2026).
"""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: Beyond `is_global`: older Pythons of the 3.11 line call some of these global, and others are global by the
#: registries but lead back inside. Said in words, since the reason is shown to the merchant.
_NEVER: dict[Network, str] = {
    ipaddress.ip_network(network): reason
    for network, reason in {
        "0.0.0.0/8": "unspecified",
        "100.64.0.0/10": "shared address space",
        "168.63.129.16/32": "metadata service",  # Azure's; public by the registry
        "169.254.0.0/16": "link-local",  # metadata services of most clouds
        "192.0.0.0/24": "reserved",
        "192.88.99.0/24": "reserved",
        "198.18.0.0/15": "reserved",
        "224.0.0.0/4": "multicast",
        "240.0.0.0/4": "reserved",
        "::/96": "unspecified or embedded IPv4",
        "::ffff:0:0/96": "embedded IPv4",
        "64:ff9b::/96": "embedded IPv4",  # NAT64 leads to whatever it embeds
        "64:ff9b:1::/48": "embedded IPv4",
        "100::/64": "reserved",
        "2001::/23": "reserved",  # Teredo among them, which embeds IPv4
        "2001:db8::/32": "reserved",
        "2002::/16": "embedded IPv4",  # 6to4
        "3fff::/20": "reserved",
        "5f00::/16": "reserved",
        "fe80::/10": "link-local",
        "fec0::/10": "site-local",
        "ff00::/8": "multicast",
    }.items()
}
#: What the development setting lets through, and nothing else.
_PRIVATE: tuple[Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)


def refusal(text: str, allow_private: bool = False) -> str | None:
    """Why a delivery may not go to this address; None if it may. Text that is no address is refused too."""
    try:
        # A zone id (fe80::1%eth0) names one of our own interfaces.
        address = ipaddress.ip_address(text)
    except ValueError:
        return "not an address"
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return "link-local"
    if any(address in network for network in _PRIVATE):
        return None if allow_private else "private or loopback"
    for network, reason in _NEVER.items():
        if address in network:
            return reason
    return None if address.is_global else "not public"
