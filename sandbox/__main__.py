"""`python -m sandbox stripe --port 0 --data-dir DIR`: runs one of the two providers until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import logging
import os
import sys
from pathlib import Path
from typing import IO

from aiohttp import web

from .clock import Clock
from .faults import Faults
from .ledger import Ledger
from .listener import Listener
from .paystack.api import Paystack
from .provider import Provider
from .server import Server, serve
from .settings import Settings
from .stripe.api import Stripe
from .timers import Timers
from .webhook_sender import WebhookSender
from .world import Accounts, World

PROVIDERS: dict[str, type[Stripe] | type[Paystack]] = {"stripe": Stripe, "paystack": Paystack}
# Published by Stripe for test mode: 25 requests a second per endpoint and in all. Paystack publishes none.
RATE_LIMITS = {"stripe": 25, "paystack": 0}


def read_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("provider", choices=sorted(PROVIDERS))
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one, told in DIR/listening.json")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--public-url", help="base of page addresses; from host and port if not given")
    parser.add_argument("--latency-ms", type=float, default=0)
    parser.add_argument("--rate-limit", type=int, help="requests a second per endpoint, 0 for none")
    parser.add_argument("--rate-limit-total", type=int, help="requests a second per account, 0 for none")
    return parser.parse_args(arguments)


def lock(directory: Path) -> IO[str] | None:
    """The held lock file of a data directory, or None if another process has it."""
    directory.mkdir(parents=True, exist_ok=True)
    file = (directory / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def build(provider: Provider, settings: Settings, directory: Path, listener: Listener) -> World:
    ledger = Ledger(directory / "ledger.sqlite3")
    world = World(
        provider=provider.name,
        ledger=ledger,
        clock=Clock(float(ledger.read_meta("clock_offset") or 0)),
        settings=settings,
        accounts=Accounts(ledger),
        faults=Faults(),
        timers=Timers(provider.actions),
        webhooks=WebhookSender(provider),
        listener=listener,
        public_url="",
    )
    with ledger.transaction():
        for kind, fields in provider.later_fields.items():
            ledger.complete(kind, fields)
    world.timers.load(world)
    world.webhooks.load(world)
    return world


async def run(options: argparse.Namespace) -> None:
    provider = PROVIDERS[options.provider]()
    default = RATE_LIMITS[options.provider]
    settings = Settings(
        latency_ms=options.latency_ms,
        rate_limit=default if options.rate_limit is None else options.rate_limit,
        rate_limit_total=default if options.rate_limit_total is None else options.rate_limit_total,
    )
    listener = Listener(options.host, options.port)
    world = build(provider, settings, options.data_dir, listener)
    server = Server(world, provider)
    handler = web.Server(server.handle, access_log=None, keepalive_timeout=600)
    runner = web.ServerRunner(handler, shutdown_timeout=0.2)
    await runner.setup()
    await listener.open(handler)
    port = listener.port
    world.public_url = (options.public_url or f"http://{options.host}:{port}").rstrip("/")
    address = {"url": f"http://{options.host}:{port}", "public_url": world.public_url, "pid": os.getpid()}
    fresh = options.data_dir / "listening.json.new"
    fresh.write_text(json.dumps(address))
    fresh.replace(options.data_dir / "listening.json")
    await serve(world, provider, runner, server)


def main(arguments: list[str] | None = None) -> None:
    options = read_arguments(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        held = lock(options.data_dir)
    except OSError as error:
        sys.exit(f"Cannot use {options.data_dir}: {error.strerror or error}")
    if held is None:
        sys.exit(f"Another sandbox is using {options.data_dir}; stop it or choose another --data-dir.")
    with held:
        try:
            asyncio.run(run(options))
        except OSError as error:
            sys.exit(f"Cannot listen on {options.host}:{options.port}: {error.strerror or error}")


if __name__ == "__main__":
    main()
