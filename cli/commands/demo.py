"""`tollgate demo`: start everything, run the tour, compare the ledgers, and stay if somebody is watching."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from cli.commands.up import Progress, Stopper, report, say, show, start
from cli.demo.client import Receiver, Shop, Surprise
from cli.demo.ledger import Ledgers, Line
from cli.demo.tour import Step, Tour
from cli.errors import Refused
from cli.service import PRIVATE_TARGETS, Service

#: The tour's time-out step would otherwise wait for the 30 s a call may take in production, and its endpoint for
#: events listens on this machine.
ENVIRONMENT = {
    "TOLLGATE_PROVIDER_DEADLINE": "3",
    "TOLLGATE_PROVIDER_CONNECT_TIMEOUT": "2",  # a part of the whole call
    PRIVATE_TARGETS: "1",
}
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
    progress = Progress()
    service = Service(data_dir, env=ENVIRONMENT, report=report, progress=progress)
    stopper = Stopper(service)
    stopper.install()
    try:
        start(service, progress)
    except Refused:
        if stopper.asked.is_set():
            return 130
        raise
    try:
        as_expected = _tour(service)
        stays = sys.stdout.isatty() and sys.stdin.isatty() if stay is None else stay
        if stays and not stopper.asked.is_set():
            click.echo()
            show(service, as_json=False)
            stopper.asked.wait()
    finally:
        say("Stopping")
        service.stop()
    return 0 if as_expected else 1


def _tour(service: Service) -> bool:
    # A narrow terminal wraps a line; rich would cut what the table says.
    console = Console(highlight=False, width=max(Console().width, 120))
    shop, receiver = Shop(service.api_url, service.test_key), Receiver()
    ledgers = Ledgers(dict(service.sandbox_urls))
    try:
        made = shop.post("/v1/webhook_endpoints", {"url": receiver.url, "event_types": ["*"]})
        if made.status_code != 201:
            raise Refused(f"the demo's webhook endpoint was not taken: {made.text[:300]}")
        endpoint = made.json()
        receiver.secret = endpoint["secret"]
        tour = Tour(shop, receiver, ledgers)
        console.print(f"\n {'#':>1}  {'step':<47}  {'statuses':<41}  {'time':>9}", style="bold", soft_wrap=True)
        steps = [_told(console, number, step) for number, step in enumerate(tour.run(), 1)]
        delivered = _events_arrived(shop, receiver, tour.payments)
        lines = [ledgers.line(shop.get(f"/v1/payments/{payment}")) for payment in tour.payments]
        _stop_deliveries(shop, endpoint["id"])
    except Surprise as error:
        raise Refused(f"the tour could not go on: {error}") from None
    finally:
        receiver.stop()
    return _sum_up(console, steps, lines, delivered, receiver.forged)


def _told(console: Console, number: int, step: Step) -> Step:
    """Each line as it happens: the tour takes some seconds."""
    verdict = "as expected" if step.passed else "NOT as expected"
    way = " → ".join(step.statuses)
    line = f"{number:>2}  {step.title:<47}  {way:<41}  {step.milliseconds:>6} ms  {verdict}"
    console.print(line, style=None if step.passed else "red", soft_wrap=True, markup=False)
    if not step.passed:
        console.print(f"    {step.wrong}", style="red", soft_wrap=True, markup=False)
    return step


def _events_arrived(shop: Shop, receiver: Receiver, payments: list[str]) -> int:
    """How many payments' events all reached the merchant, each with a good signature."""

    def complete(payment: str) -> bool:
        told = shop.get("/v1/events", payment=payment, limit=100)["data"]
        return {event["type"] for event in told} == set(receiver.types(payment))

    waited = threading.Event()
    for _ in range(int(EVENT_PATIENCE / 0.1)):
        if all(complete(payment) for payment in payments):
            break
        waited.wait(0.1)
    return sum(1 for payment in payments if complete(payment))


def _stop_deliveries(shop: Shop, endpoint: str) -> None:
    """The demo's endpoint ends with the demo; a next run makes its own."""
    shop.delete(f"/v1/webhook_endpoints/{endpoint}")


_SUMS = ("captured", "theirs", "refunded", "charges")


def _sum_up(console: Console, steps: list[Step], lines: list[Line], delivered: int, forged: int) -> bool:
    table = Table(title="Our books beside the providers' ledgers, in minor units", box=None, title_justify="left")
    for heading in ("payment", "provider", "captured", "theirs", "refunded", "theirs", "charges", ""):
        table.add_column(heading, justify="right" if heading in _SUMS else "left", no_wrap=True)
    for line in lines:
        table.add_row(
            line.payment,
            line.provider,
            str(line.ours[0]),
            str(line.theirs[0]),
            str(line.ours[1]),
            str(line.theirs[1]),
            str(line.charges),
            "equal" if line.agrees else "DIFFERENT",
        )
    console.print()
    console.print(table)
    signed = delivered == len(lines) and forged == 0
    console.print(f"Events delivered to the merchant with a valid signature: {delivered} of {len(lines)} payments")
    results = [step.passed for step in steps] + [line.agrees for line in lines] + [signed]
    console.print(f"\n{sum(results)} of {len(results)} as expected", style="bold", soft_wrap=True)
    return all(results)
