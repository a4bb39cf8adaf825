"""`tollgate demo`: start everything, run the tour, compare the ledgers, and stay if somebody is watching."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import click

from cli.commands.up import Progress, Stopper, report, say, show, start
from cli.demo.client import Receiver, Shop, Surprise
from cli.demo.ledger import Ledgers
from cli.demo.office import Office
from cli.demo.schedule import Schedule
from cli.demo.steps import Scene
from cli.demo.table import make_console, sum_up, tell_heading, tell_step
from cli.demo.tour import run
from cli.embedded import open_directory
from cli.errors import Refused
from cli.secrets_file import Secrets
from cli.seed import credentials
from cli.service import PRIVATE_TARGETS, Service

#: For the tour, whose endpoint for events listens on this machine.
TOUR = {
    # The time-out step would otherwise wait for the 30 s a call may take in production,
    "TOLLGATE_PROVIDER_DEADLINE": "3",
    "TOLLGATE_PROVIDER_CONNECT_TIMEOUT": "2",  # a part of the whole call
    # and the steps with customers who are late for a day.
    "TOLLGATE_REDIRECT_TTL": "2",
    PRIVATE_TARGETS: "1",
}
#: For the person who goes on by hand afterwards: pages must stay open longer than the tour's.
STAY = {PRIVATE_TARGETS: "1"}
#: Seconds until every event of the tour must have reached the merchant's endpoint.
EVENT_PATIENCE = 15.0


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".tollgate") / "demo",
    show_default=True,
    help="Where the demo keeps its data and logs.",
)
@click.option("--stay/--no-stay", default=None, help="Stay up after the tour; by default only on a terminal.")
def demo(data_dir: Path, stay: bool | None) -> int:
    """Run real payments through a local Stripe and a local Paystack, and check them against their ledgers."""
    outcome = _while_up(data_dir, TOUR, _tour)
    stays = sys.stdout.isatty() and sys.stdin.isatty() if stay is None else stay
    if stays and outcome is not None:
        say("Starting again with ordinary settings, to stay")
        _while_up(data_dir, STAY, _wait)
    return 130 if outcome is None else 0 if outcome else 1


def _while_up(data_dir: Path, env: dict[str, str], act: Callable[[Service, Stopper], bool]) -> bool | None:
    """What `act` returns; None if somebody asked to stop, which ends it all."""
    progress = Progress()
    service = Service(data_dir, env=env, report=report, progress=progress)
    stopper = Stopper(service)
    stopper.install()
    try:
        start(service, progress)
    except Refused:
        if stopper.asked.is_set():
            return None
        raise
    try:
        done = act(service, stopper)
    finally:
        say("Stopping")
        service.stop()
    return None if stopper.asked.is_set() else done


def _wait(service: Service, stopper: Stopper) -> bool:
    click.echo()
    show(service, as_json=False)
    stopper.asked.wait()
    return True


def _tour(service: Service, stopper: Stopper) -> bool:
    console = make_console()
    shop, receiver = Shop(service.api_url, service.test_key), Receiver()
    schedule = Schedule({**service.environment(), "DATABASE_URL": service.worker_database_url})
    scene = Scene(shop, receiver, Ledgers(dict(service.sandbox_urls)), schedule, _office(service))
    try:
        made = shop.post("/v1/webhook_endpoints", {"url": receiver.url, "event_types": ["*"]})
        if made.status_code != 201:
            raise Refused(f"the demo's webhook endpoint was not taken: {made.text[:300]}")
        endpoint = made.json()
        receiver.secret = endpoint["secret"]
        tell_heading(console)
        steps = []
        for step in run(scene):
            steps.append(step)
            tell_step(console, len(steps), step)
            if stopper.asked.is_set():
                break
        delivered = _events_arrived(shop, receiver, scene.payments)
        lines = scene.ledgers.lines(shop.get(f"/v1/payments/{payment}") for payment in scene.payments)
        _stop_deliveries(shop, endpoint["id"])
    except (Surprise, OSError) as error:  # requests' errors are of the second kind
        raise Refused(f"the tour could not go on: {error}") from None
    finally:
        schedule.close()
        receiver.stop()
    return sum_up(console, steps, lines, delivered, receiver.forged)


def _office(service: Service) -> Office:
    secrets = Secrets(open_directory(service.data_dir), keep=False)
    keys = {provider: credentials(secrets, provider)["secret_key"] for provider in service.sandbox_urls}
    seeded = service.seeded
    where = (service.owner_database_url, dict(service.sandbox_urls), keys)
    return Office(service.api_url, seeded.admin_key, seeded.merchant, seeded.accounts, *where)


def _events_arrived(shop: Shop, receiver: Receiver, payments: list[str]) -> int:
    """How many payments' events all reached the merchant, each with a good signature."""

    def complete(payment: str) -> bool:
        return [event["type"] for event in shop.told(payment)] == receiver.types(payment)

    waited = threading.Event()
    for _ in range(int(EVENT_PATIENCE / 0.1)):
        if all(complete(payment) for payment in payments):
            break
        waited.wait(0.1)
    return sum(1 for payment in payments if complete(payment))


def _stop_deliveries(shop: Shop, endpoint: str) -> None:
    """The demo's endpoint ends with the demo; a next run makes its own."""
    shop.delete(f"/v1/webhook_endpoints/{endpoint}")
