"""Requests a second the local Stripe and Paystack answer on one core, ledger included.

Run: `.venv/bin/python -m bench.sandbox`. The figure is requests per second of the sandbox's own processor time, so
that the load generator on the same cores does not count against it.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import psutil

CONNECTIONS = 32
SECONDS = 5.0
KEY = "sk_test_bench"
Call = Callable[[aiohttp.ClientSession, int], Awaitable[None]]


@contextmanager
def sandbox(provider: str) -> Iterator[tuple[str, psutil.Process]]:
    """The address and process of a sandbox of its own, ready."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "sandbox", provider, "--port", "0", "--data-dir", directory]
        child = subprocess.Popen([*command, "--rate-limit", "0", "--rate-limit-total", "0"])
        try:
            told = Path(directory) / "listening.json"
            while not told.exists():
                time.sleep(0.05)
            yield json.loads(told.read_text())["url"], psutil.Process(child.pid)
        finally:
            child.terminate()
            child.wait(10)


def stripe_calls(url: str) -> Call:
    form = {"amount": "1000", "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}
    form |= {"automatic_payment_methods[enabled]": "true", "automatic_payment_methods[allow_redirects]": "never"}

    async def call(session: aiohttp.ClientSession, number: int) -> None:
        headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": f"bench-{number}"}
        async with session.post(f"{url}/v1/payment_intents", data=form, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            await answer.read()

    return call


def paystack_calls(url: str) -> Call:
    headers = {"Authorization": f"Bearer {KEY}"}

    async def call(session: aiohttp.ClientSession, number: int) -> None:
        body = {"email": "ada@example.com", "amount": 500000, "currency": "NGN", "reference": f"bench-{number}"}
        if number % 2:
            address = f"{url}/transaction/verify/bench-{number - 1 - 2 * CONNECTIONS}"
            async with session.get(address, headers=headers) as answer:
                await answer.read()
        else:
            async with session.post(f"{url}/transaction/initialize", json=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
                await answer.read()

    return call


async def load(url: str, call: Call) -> int:
    """Requests answered in SECONDS over CONNECTIONS."""
    numbers = iter(range(10_000_000))
    ends = time.monotonic() + SECONDS
    async with aiohttp.ClientSession() as session:
        await session.post(f"{url}/_sandbox/accounts", json={"secret_key": KEY})
        done = 0

        async def one() -> None:
            nonlocal done
            while time.monotonic() < ends:
                await call(session, next(numbers))
                done += 1

        await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return done


def main() -> None:
    for provider, calls in (("stripe", stripe_calls), ("paystack", paystack_calls)):
        with sandbox(provider) as (url, process):
            before = sum(process.cpu_times()[:2])
            done = asyncio.run(load(url, calls(url)))
            spent = sum(process.cpu_times()[:2]) - before
        print(f"{provider:>9}  {done / SECONDS:7.0f} requests/s  {done / spent:7.0f} per core-second")


if __name__ == "__main__":
    main()
