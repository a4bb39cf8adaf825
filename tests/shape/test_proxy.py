"""The TLS proxy's configuration: at one with the API's limits, and read by nginx itself where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from api.errors import CODES
from core.settings import Settings
from tests.shape.reading import ROOT, Directive, compose, nginx
from tests.support.certificates import contexts

CONFIGURATION = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
DIRECTIVES = list(nginx(CONFIGURATION))
FIELDS = {name: field.default for name, field in Settings.model_fields.items()}
UNITS = {"k": 1024, "m": 1024 * 1024}


def of(name: str) -> list[Directive]:
    return [one for one in DIRECTIVES if one.name == name]


def the(name: str) -> str:
    (found,) = of(name)
    return " ".join(found.values)


def within(location: str, name: str) -> list[str]:
    return [" ".join(one.values) for one in of(name) if one.inside[-1] == f"location {location}"]


def size(text: str) -> int:
    return int(text[:-1]) * UNITS[text[-1]]


def test_the_proxy_takes_what_the_api_takes() -> None:
    general = [one.values[0] for one in of("client_max_body_size") if one.inside[-1] == "server"]
    assert [size(text) for text in general] == [FIELDS["max_body_bytes"]]
    assert [size(text) for text in within("/webhooks/", "client_max_body_size")] == [FIELDS["max_webhook_bytes"]]
    assert float(the("proxy_read_timeout")[:-1]) > FIELDS["max_wait"] + 5


def test_a_body_is_read_whole_and_in_time() -> None:
    assert the("proxy_request_buffering") == "on"
    for name in ("client_header_timeout", "client_body_timeout"):
        assert 0 < float(the(name)[:-1]) <= 15


def test_a_request_goes_to_the_next_api_when_one_is_away_but_a_long_wait_is_not_repeated() -> None:
    # With POSTs: each carries its idempotency key. A machine that vanished refuses nothing, it times out.
    assert set(the("proxy_next_upstream").split()) == {"error", "timeout", "non_idempotent"}
    assert the("proxy_next_upstream_tries") == "2"
    connecting, whole, reading = (
        float(the(name)[:-1]) for name in ("proxy_connect_timeout", "proxy_next_upstream_timeout", "proxy_read_timeout")
    )
    # Nought would mean no bound at all.
    assert 0 < connecting <= 2 < whole < reading
    assert not [one for one in of("proxy_next_upstream_timeout") if one.inside[-1] != "server"]


def test_an_address_goes_on_as_it_came_to_whichever_api_the_name_leads_to() -> None:
    assert " ".join(next(one for one in of("set") if one.values[0] == "$api").values) == "$api http://api:8000"
    # A variable alone: nginx asks for the name while it runs, and adds no path of its own.
    assert {one.values for one in of("proxy_pass")} == {("$api",)}
    assert the("resolver").startswith("127.0.0.11 valid=")
    assert not [one for one in DIRECTIVES if one.name in ("rewrite", "sub_filter", "gunzip", "upstream")]


def test_what_a_client_claims_about_itself_ends_here() -> None:
    headers = {one.values[0]: one.values[1] for one in of("proxy_set_header")}
    assert headers["X-Forwarded-For"] == "$remote_addr"
    assert headers["X-Forwarded-Proto"] == "https"
    assert headers["Forwarded"] == headers["X-Forwarded-Host"] == headers["Connection"] == ""


def test_the_api_believes_the_proxy_and_nobody_else_on_its_network() -> None:
    services = compose()["services"]
    (network,) = compose()["networks"]["outside"]["ipam"]["config"]
    address = services["proxy"]["networks"]["outside"]["ipv4_address"]
    assert services["api"]["environment"]["TOLLGATE_TRUSTED_PROXIES"] == address
    assert ip_address(address) in ip_network(network["subnet"])
    # Whom Docker gives an address of its choice, it gives one from here.
    assert ip_address(address) not in ip_network(network["ip_range"])


def test_providers_events_are_counted_apart() -> None:
    assert within("/webhooks/", "limit_conn") == ["providers 1000"]
    assert {one.values[1] for one in of("limit_conn_zone")} == {"zone=addresses:10m", "zone=providers:10m"}


def test_metrics_are_not_public() -> None:
    (answer,) = within("/metrics", "return")
    assert answer.startswith("404 ")
    assert within("/metrics", "proxy_pass") == []


def test_tls_is_new_enough_and_the_only_way_in() -> None:
    assert the("ssl_protocols") == "TLSv1.2 TLSv1.3"
    assert all(cipher.startswith("ECDHE-") for cipher in the("ssl_ciphers").split(":"))
    assert {one.values for one in of("listen")} == {("8443", "ssl", "http2"), ("127.0.0.1:8080",)}
    assert compose()["services"]["proxy"]["ports"] == ["${HTTPS_PORT:-443}:8443"]


def test_nothing_secret_is_logged() -> None:
    text = "".join(next(one for one in of("log_format") if one.values[0] == "line").values[1:])
    assert not [word for word in ("$request ", "$request_uri", "$args", "$http_", "$query") if word in f"{text} "]
    assert "crit" in the("error_log")


def test_it_writes_where_a_container_may_write() -> None:
    for one in DIRECTIVES:
        if one.name.endswith("_temp_path") or one.name == "pid":
            assert one.values[0].startswith("/tmp/")
    assert "/tmp" in compose()["services"]["proxy"]["tmpfs"]


@pytest.mark.parametrize("location", ["/metrics", "= /.malformed", "@too_large", "@too_many", "@away"])
def test_what_it_answers_itself_has_the_form_of_the_api(location: str) -> None:
    (answer,) = within(location, "return")
    status, _, body = answer.partition(" ")
    told = json.loads(body)
    assert within(location, "default_type") == ["application/problem+json"]
    assert told["status"] == int(status) == CODES[told["code"]][0]
    assert told["type"] == f"urn:tollgate:error:{told['code']}"
    assert list(told) == ["type", "title", "status", "detail", "code", "errors", "request_id"]


def test_nginx_takes_it(tmp_path: Path) -> None:
    """Where nginx is installed it judges; everywhere the braces and ends of lines are those of its language."""
    assert {one.inside[0] for one in DIRECTIVES if one.inside} == {"events", "http"}
    program = shutil.which("nginx")
    if program is None:
        return
    contexts(tmp_path, "localhost")
    pem = str(tmp_path / "localhost.pem")
    own = CONFIGURATION.replace("/etc/nginx/certs/tls.crt", pem).replace("/etc/nginx/certs/tls.key", pem)
    own = own.replace("/tmp/nginx", f"{tmp_path}/nginx")
    (tmp_path / "nginx.conf").write_text(own, encoding="utf-8")
    command = [program, "-t", "-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
