"""Nobody listens for a while: clients see ECONNREFUSED, also those that kept a connection open."""

from __future__ import annotations

import errno
import socket

import pytest
import requests


def knock(url):
    """The errno of a new connection, 0 when somebody listens."""
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as one:
        return one.connect_ex((host, int(port)))


@pytest.mark.parametrize("provider", ["stripe", "paystack"])
def test_at_once(run_sandbox, provider, eventually):
    sandbox = run_sandbox(provider)
    shown = sandbox.door("POST", "faults", effect="refuse", ms=500, provider=provider)
    assert (shown["fired"], shown["times"]) == (1, 0)
    assert knock(sandbox.url) == errno.ECONNREFUSED
    with pytest.raises(requests.ConnectionError) as seen:
        sandbox.http.get(sandbox.url + "/_sandbox/health", timeout=5)
    assert type(seen.value.args[0].reason).__name__ == "NewConnectionError"
    eventually(lambda: knock(sandbox.url) == 0)
    assert sandbox.door("GET", "health")["status"] == "ok"


def test_connections_that_idle_are_ended(run_sandbox):
    sandbox = run_sandbox("stripe")
    assert sandbox.door("GET", "health")["status"] == "ok"
    host, port = sandbox.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as idle:
        idle.sendall(b"GET /_sandbox/health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in idle.recv(4096)
        sandbox.door("POST", "faults", effect="refuse", ms=500)
        left = idle.recv(4096)
        while left:  # the rest of an answer; then the end
            left = idle.recv(4096)


def test_after_the_call_it_names(run_sandbox, new_integration, eventually):
    sandbox = run_sandbox("paystack")
    integration = new_integration(sandbox)
    integration.fault("refuse", operation="transaction.initialize", ms=400)
    assert integration.call("GET", "/balance")[0] == 200
    started = integration.initialize(reference="r1")
    assert knock(sandbox.url) == errno.ECONNREFUSED
    with pytest.raises(requests.ConnectionError):
        integration.verify("r1")
    eventually(lambda: knock(sandbox.url) == 0)
    assert integration.verify("r1")["status"] == "abandoned"
    assert started["reference"] == "r1"


def test_it_stops_while_nobody_listens(run_sandbox):
    sandbox = run_sandbox("stripe")
    sandbox.door("POST", "faults", effect="refuse", ms=60_000)
    assert sandbox.stop() == ""
