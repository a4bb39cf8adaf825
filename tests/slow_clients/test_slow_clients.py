"""A thousand clients that never end their requests, and the others who are served meanwhile.

`make slow-clients`, with Debian's nginx. Without the proxy a few of them are enough to stop the API, which the last
test shows.
"""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles
from uuid import uuid4

import pytest
import requests

from tests.slow_clients.crowd import Crowd
from tests.slow_clients.proxy import Proxy
from tests.support.waiting import wait_until
from tests.support.world import World

#: Seconds of normal requests beside the crowd: longer than the proxy's time-outs.
WATCHED = 25.0
#: Seconds in which those requests are answered even on a busy machine; alone they take some 20 ms.
ANSWERED = 5.0
#: What deploy/nginx.conf gives a header, and a pause within a body, and what a busy machine adds.
TIMEOUT, LATE = 10.0, 10.0


@pytest.fixture(scope="module", autouse=True)
def room_for_sockets() -> Iterator[None]:
    """For this process and what it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Shop:
    """A client that behaves: one payment after the other, each timed."""

    def __init__(self, world: World, url: str, authority: Path | None) -> None:
        self._world, self._url = world, url
        self._http = requests.Session()
        # An authority that the environment names would come before ours.
        self._http.trust_env = False
        if authority is not None:
            self._http.verify = str(authority)
        self.times: list[float] = []

    def pay(self) -> None:
        begun = time.monotonic()
        headers = {"Authorization": f"Bearer {self._world.test_key}", "Idempotency-Key": str(uuid4())}
        body = self._world.payment_body()
        answer = self._http.post(f"{self._url}/v1/payments", json=body, headers=headers, timeout=ANSWERED)
        assert answer.status_code == 202, answer.text
        self.times.append(time.monotonic() - begun)

    def pay_for(self, seconds: float) -> float:
        """The time within which 95 of a hundred were answered."""
        self.times.clear()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.pay()
        return quantiles(self.times, n=20)[-1]


def test_a_thousand_half_sent_requests_stop_nobody(world: World, proxy: Proxy) -> None:
    shop = Shop(world, proxy.url, proxy.authority)
    before = shop.pay_for(5)
    bearer = f"Authorization: Bearer {world.test_key}\r\n"
    crowd = Crowd(proxy.port, proxy.trusting(), "/v1/payments", bearer, silent=100, header=400, body=500)
    try:
        wait_until(lambda: len(crowd.held) >= 1000, "the crowd to be there", 60)
        during = shop.pay_for(WATCHED)
        sys.stdout.write(
            f"\nslow clients: 95 % of payments within {before * 1000:.0f} ms alone, {during * 1000:.0f} ms beside a "
            f"thousand; {len(shop.times)} payments, the slowest {max(shop.times) * 1000:.0f} ms\n"
        )
        assert max(shop.times) < ANSWERED
        # A header has to be there in time, however it drips; a body may take as long as it comes.
        for kind in ("silent", "header"):
            wait_until(lambda kind=kind: len(crowd.closed(kind)) == len(crowd.begun(kind)), f"{kind} to be ended", 20)  # type: ignore[misc]
            assert max(one.closed or 0 for one in crowd.begun(kind)) < TIMEOUT + LATE
        assert len(crowd.closed("body")) < 50
        crowd.fall_silent()
        wait_until(lambda: len(crowd.closed("body")) == 500, "silent bodies to be ended", TIMEOUT + LATE)
    finally:
        crowd.close()
    shop.pay()


def test_without_the_proxy_they_would(world: World, api_port: int) -> None:
    """Nobody's half-sent bodies hold the sixteen threads of two processes. (A merchant's would hold twelve.)"""
    shop = Shop(world, f"http://127.0.0.1:{api_port}", None)
    shop.pay()
    crowd = Crowd(api_port, None, "/webhooks/stripe/acc_01hzzzzzzzzzzzzzzzzzzzzzzz", "", body=40)
    try:
        wait_until(lambda: len(crowd.held) == 40, "the crowd to be there", 30)
        with pytest.raises(requests.ReadTimeout):
            shop.pay_for(10)
    finally:
        crowd.close()
    with contextlib.suppress(requests.RequestException):
        shop.pay()
