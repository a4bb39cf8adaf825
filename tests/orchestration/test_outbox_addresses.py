"""Which addresses and URLs deliveries may go to."""

from __future__ import annotations

import pytest

from core.domain.errors import RequestRefused
from core.orchestration.addresses import refusal
from core.orchestration.webhook_urls import read_url

PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450:4001::64"]
PRIVATE = ["127.0.0.1", "127.8.8.8", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1"]
PRIVATE += ["::1", "fc00::1", "fd12:3456::1"]
NEVER = [
    "0.0.0.0", "0.1.2.3", "100.64.0.1", "100.100.100.200", "168.63.129.16", "169.254.169.254", "169.254.0.1",
    "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b::808:808",
    "64:ff9b:1::1", "100::1", "2001::1", "2001:10::1", "2001:db8::1", "2002:7f00:1::1", "3fff::1", "5f00::1",
    "fe80::1", "fe80::1%lo", "2606:4700::1111%eth0", "fec0::1", "ff02::1", "ff0e::1",
    "localhost", "", "1.2.3", "0x7f.0.0.1", "2130706433",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert refusal(address) is None


@pytest.mark.parametrize("address", [*PRIVATE, *NEVER])
def test_everything_that_leads_inside_is_refused(address: str) -> None:
    assert refusal(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_the_development_setting_lets_private_ones_through(address: str) -> None:
    assert refusal(address, allow_private=True) is None


@pytest.mark.parametrize("address", NEVER)
def test_the_development_setting_lets_nothing_else_through(address: str) -> None:
    assert refusal(address, allow_private=True)


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://shop.example", "shop.example", 443, "/"),
        ("https://Shop.Example./hook", "shop.example", 443, "/hook"),
        ("HTTPS://shop.example:8443/a/b?c=d&e=%20", "shop.example", 8443, "/a/b?c=d&e=%20"),
        ("https://xn--bcher-kva.example:1024/", "xn--bcher-kva.example", 1024, "/"),
        ("https://1.1.1.1/x", "1.1.1.1", 443, "/x"),
        ("https://[2606:4700::1111]:9000/x", "2606:4700::1111", 9000, "/x"),
    ],
)
def test_urls_are_read_into_what_is_connected_to(url: str, host: str, port: int, path: str) -> None:
    target = read_url(url, allow_private=False)
    assert (target.scheme, target.host, target.port, target.path) == ("https", host, port, path)


@pytest.mark.parametrize(
    "url",
    [
        "", "shop.example/hook", "//shop.example", "ftp://shop.example", "file:///etc/passwd", "http://shop.example/",
        "https://", "https:///path", "https://user@shop.example", "https://user:secret@shop.example", "https://@x.example",
        "https://shop.example/#part", "https://shop.example#", "https://shop.example:22/", "https://shop.example:80/",
        "https://shop.example:0/", "https://shop.example:70000/", "https://shop.example:port/",
        "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest", "https://[::ffff:127.0.0.1]/",
        "https://[fe80::1%25lo]/", "https://10.0.0.1:8443/", "https://shop.example/a b",
        "https://shop.example/\r\nX: y",
        "https://shop.example/\x00", "https://shop.example\\@127.0.0.1/", "https://bücher.example/",
        "https://shop..example/", "https://-/", "https://shop.example/" + "a" * 2000,
    ],
)  # fmt: skip
def test_other_urls_are_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        read_url(url, allow_private=False)
    assert refused.value.errors[0].field == "url"
    if len(url) > 10:
        assert url not in str(refused.value) + refused.value.errors[0].message


def test_the_development_setting_allows_plain_http_and_any_port() -> None:
    target = read_url("http://127.0.0.1:81/hook", allow_private=True)
    assert (target.scheme, target.host, target.port) == ("http", "127.0.0.1", 81)
