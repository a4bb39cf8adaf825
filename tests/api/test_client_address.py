"""Whose request it is behind proxies: only what our own proxies say is believed, and only as far as it goes."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from flask import Flask

from api.client_address import Client, find
from core.environment import WrongSettings, read
from core.setting_values import Network, networks
from core.settings import Settings
from tests.api.support import Merchant

TRUSTED: tuple[Network, ...] = tuple(networks("10.0.0.7,10.1.0.0/16,2001:db8:1::/48"))  # type: ignore[arg-type]

CASES = {
    "nobody in between": ("203.0.113.9", [], "203.0.113.9"),
    "a stranger's claim": ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
    "our proxy": ("10.0.0.7", ["198.51.100.1"], "198.51.100.1"),
    "our proxy, which was told a tale": ("10.0.0.7", ["127.0.0.1, 198.51.100.1"], "198.51.100.1"),
    "the tale names a proxy of ours": ("10.0.0.7", ["10.0.0.7, 198.51.100.1"], "198.51.100.1"),
    "two of our proxies": ("10.0.0.7", ["198.51.100.1, 10.1.2.3"], "198.51.100.1"),
    "in two headers": ("10.0.0.7", ["8.8.8.8, 198.51.100.1", "10.1.2.3"], "198.51.100.1"),
    "proxies all the way": ("10.0.0.7", ["10.1.2.4, 10.1.2.3"], "10.1.2.4"),
    "nothing was said": ("10.0.0.7", [], "10.0.0.7"),
    "words": ("10.0.0.7", ["198.51.100.1, unknown"], "10.0.0.7"),
    "words further left": ("10.0.0.7", ["unknown, 198.51.100.1"], "198.51.100.1"),
    "a name": ("10.0.0.7", ["evil.example"], "10.0.0.7"),
    "empty parts": ("10.0.0.7", [" , 198.51.100.1 ,, "], "198.51.100.1"),
    "with a port": ("10.0.0.7", ["198.51.100.1:4711"], "198.51.100.1"),
    "version 6": ("2001:db8:1::5", ["2001:db8:9::1"], "2001:db8:9::1"),
    "version 6 with a port": ("2001:db8:1::5", ["[2001:0DB8:9::1]:4711"], "2001:db8:9::1"),
    "version 4 in 6": ("::ffff:10.0.0.7", ["::ffff:198.51.100.1"], "198.51.100.1"),
    "with a scope": ("10.0.0.7", ["fe80::1%<script>"], "10.0.0.7"),
    "a socket without address": ("", ["198.51.100.1"], None),
    "a flood of hops": ("10.0.0.7", [", ".join(["198.51.100.1", *["10.1.2.3"] * 1000])], "10.1.2.3"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_first_hop_from_the_right_that_is_not_ours(case: str) -> None:
    peer, header, expected = CASES[case]
    assert find(peer, header, [], "http", TRUSTED).address == expected


def test_without_proxies_nobody_is_believed() -> None:
    assert find("10.0.0.7", ["198.51.100.1"], ["https"], "http", ()) == Client("10.0.0.7", secure=False)


@pytest.mark.parametrize(
    ("peer", "header", "scheme", "secure"),
    [
        ("10.0.0.7", ["https"], "http", True),
        ("10.0.0.7", ["HTTPS"], "http", True),
        ("10.0.0.7", ["https, http"], "http", False),
        ("10.0.0.7", ["http"], "https", False),
        ("10.0.0.7", [], "https", True),
        ("10.0.0.7", ["httpss"], "http", False),
        ("203.0.113.9", ["https"], "http", False),
    ],
)
def test_who_says_that_it_was_encrypted(peer: str, header: list[str], scheme: str, secure: bool) -> None:
    assert find(peer, [], header, scheme, TRUSTED).secure is secure


def test_it_is_logged_with_the_request(
    make_app: Callable[..., Flask], merchant: Merchant, capfd: pytest.CaptureFixture[str]
) -> None:
    app = make_app(trusted_proxies="10.0.0.7")
    for peer in ("10.0.0.7", "203.0.113.9"):
        headers = merchant.headers(X_Forwarded_For="127.0.0.1, 198.51.100.1")
        app.test_client().get("/v1/payments", headers=headers, environ_overrides={"REMOTE_ADDR": peer})
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    told = [line["client"] for line in lines if line["event"] == "request"]
    assert told == ["198.51.100.1", "203.0.113.9"]


@pytest.mark.parametrize(
    "text", ["nginx", "10.0.0.7 10.0.0.8", "10.0.0.1/16", "0.0.0.0/0", "::/0", "10.0.0.7,", "10.0.0"]
)
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(WrongSettings, match="TOLLGATE_TRUSTED_PROXIES: "):
        read(Settings, {"DATABASE_URL": "postgresql://a:b@127.0.0.1/c", "TOLLGATE_TRUSTED_PROXIES": text})
