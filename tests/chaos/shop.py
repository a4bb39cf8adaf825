"""A shop under steady load: what its customers do, one short story after another, each chosen from the seed."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from uuid import uuid4

import requests

from tests.chaos.looking import Stuck
from tests.chaos.stage import Stage

#: Stories at the same time. One that waits for a provider which is gone keeps its place.
PLACES = 64
#: Seconds a customer or a shop waits for the next step of a payment before he gives up; the payment goes on alone.
PATIENCE = 25.0
RETURN_URL = "https://shop.example/back"
PAYSTACK_CARD = "4084084084084081"
STRIPE_CARD = "4242424242424242"
FINAL = ("succeeded", "failed", "canceled")


class GaveUp(Exception):
    """The next step did not come in time: the story ends, and what was accepted must come to its end without it."""


@dataclass
class Shop:
    """Tells `rate` stories a second until it is left, open loop: a slow service does not slow its own load.

    `jobs` holds the job of every accepted request. `told` counts stories by name, `given_up` those that ended early.
    """

    stage: Stage
    rate: float
    seed: int
    weights: Mapping[str, int] = field(default_factory=dict)
    jobs: list[str] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)
    given_up: Counter[str] = field(default_factory=Counter)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Shop:
        self._pool = ThreadPoolExecutor(PLACES)
        self._thread = threading.Thread(target=self._run, name="shop", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        begun, weights = time.monotonic(), self.weights or {name: weight for name, (weight, _) in STORIES.items()}
        for number in itertools.count():
            if self._stop.wait(max(0.0, begun + number / self.rate - time.monotonic())):
                return
            dice = random.Random(f"{self.seed}-{number}")
            name = dice.choices(list(weights), list(weights.values()))[0]
            self._pool.submit(self._tell, name, dice)

    def _tell(self, name: str, dice: random.Random) -> None:
        _, story = STORIES[name]
        try:
            story(self, dice)
        except (GaveUp, Stuck, requests.RequestException):
            with self._lock:
                self.given_up[name] += 1
        with self._lock:
            self.told[name] += 1

    # What a shop does

    def pay(self, **body: Any) -> str:
        """An accepted payment's id."""
        asked = {"amount": 5000, "currency": "USD", "return_url": RETURN_URL, **body}
        payment: str = self.stage.pay(**asked)["id"]
        return payment

    def ask(self, path: str, body: Any = None) -> dict[str, Any]:
        """An operation on a payment; refused (409, 422) is an answer too, as the payment may have gone another way."""
        answer = self.stage.insist(path, body)
        if answer.status_code not in (200, 202):
            raise GaveUp(answer.text)
        found: dict[str, Any] = answer.json()
        with self._lock:
            self.jobs.append(found["job"]["id"])
        return found

    def until(self, payment_id: str, *statuses: str) -> dict[str, Any]:
        """Raises GaveUp when the payment ends otherwise, or not in time."""
        end, pause = time.monotonic() + PATIENCE, 0.2
        while time.monotonic() < end and not self._stop.is_set():
            found = self.stage.payment(payment_id)
            if found["status"] in statuses:
                return found
            if found["status"] in FINAL:
                raise GaveUp(found["status"])
            self.stage.pause(pause)
            pause = min(1.5, pause * 1.4)
        raise GaveUp(payment_id)

    def visit(self, payment_id: str, **fields: str) -> None:
        """The customer at the page the payment is waiting on."""
        found = self.until(payment_id, "requires_action")
        if found["next_action"] is None or found["next_action"]["url"] is None:
            raise GaveUp("no page")
        submit(found["next_action"]["url"], fields)


def submit(url: str, fields: Mapping[str, str]) -> None:
    session = requests.Session()
    session.trust_env = False
    with session:
        session.post(url, data=dict(fields), allow_redirects=False, timeout=10)


# The stories


def _token(shop: Shop, dice: random.Random) -> None:
    shop.pay(amount=dice.randint(100, 90000))


def _refunded(shop: Shop, dice: random.Random) -> None:
    """Two parts go back, asked for at once: the second waits for the first."""
    payment = shop.pay(amount=9000)
    shop.until(payment, "succeeded")
    for amount in (dice.randint(100, 4000), dice.randint(100, 4000)):
        shop.ask(f"/v1/payments/{payment}/refunds", {"amount": amount})


def _captured(shop: Shop, dice: random.Random) -> None:
    payment = shop.pay(capture="manual")
    shop.until(payment, "authorized")
    shop.ask(f"/v1/payments/{payment}/capture", {"amount": dice.choice([5000, 3000])})


def _captured_and_refunded(shop: Shop, dice: random.Random) -> None:
    payment = shop.pay(capture="manual")
    shop.until(payment, "authorized")
    shop.ask(f"/v1/payments/{payment}/capture", {"amount": 4000})
    shop.until(payment, "succeeded")
    shop.ask(f"/v1/payments/{payment}/refunds", {"amount": 1500})


def _voided(shop: Shop, dice: random.Random) -> None:
    payment = shop.pay(capture="manual")
    shop.until(payment, "authorized")
    shop.ask(f"/v1/payments/{payment}/cancel")


def _canceled_at_once(shop: Shop, dice: random.Random) -> None:
    payment = shop.pay()
    with suppress(GaveUp):
        shop.ask(f"/v1/payments/{payment}/cancel")


def _authenticated(shop: Shop, dice: random.Random) -> None:
    payment = shop.pay(payment_method={"type": "token", "token": "pm_card_authenticationRequired"})
    shop.visit(payment, action=dice.choice(["authorize", "authorize", "fail"]))


def _declined(shop: Shop, dice: random.Random) -> None:
    shop.pay(payment_method={"type": "token", "token": "pm_card_chargeDeclined"})


def _stripe_page(shop: Shop, dice: random.Random) -> None:
    payment = shop.stage.pay_by_page(provider="stripe")["id"]
    shop.visit(payment, action="pay", card=STRIPE_CARD)


def _naira(shop: Shop, **more: Any) -> str:
    body = {"amount": 500000, "currency": "NGN", "provider": "paystack", **more}
    payment: str = shop.stage.pay_by_page(**body)["id"]
    shop.visit(payment, action="pay", card=PAYSTACK_CARD)
    return payment


def _paystack_page(shop: Shop, dice: random.Random) -> None:
    _naira(shop)


def _paystack_refunded(shop: Shop, dice: random.Random) -> None:
    payment = _naira(shop)
    shop.until(payment, "succeeded")
    for amount in (dice.randint(5000, 200000), dice.randint(5000, 200000)):
        shop.ask(f"/v1/payments/{payment}/refunds", {"amount": amount})


def _paystack_hold(shop: Shop, dice: random.Random) -> None:
    payment = _naira(shop, amount=90000, currency="ZAR", capture="manual")
    shop.until(payment, "authorized")
    if dice.random() < 0.7:
        shop.ask(f"/v1/payments/{payment}/capture", {"amount": dice.choice([90000, 60000])})
    else:
        shop.ask(f"/v1/payments/{payment}/cancel")


def _saved_at_stripe(shop: Shop, dice: random.Random) -> None:
    customer = _customer(shop)
    payment = shop.pay(customer=customer, save_payment_method=True)
    _charge_again(shop, payment, amount=2500)


def _saved_at_paystack(shop: Shop, dice: random.Random) -> None:
    payment = _naira(shop, customer=_customer(shop), save_payment_method=True)
    _charge_again(shop, payment, amount=120000, currency="NGN")


def _customer(shop: Shop) -> str:
    answer = shop.stage.insist("/v1/customers", {"email": f"grace-{uuid4().hex[:12]}@shop.example", "name": "Grace"})
    if answer.status_code != 201:
        raise GaveUp(answer.text)
    customer: str = answer.json()["id"]
    return customer


def _charge_again(shop: Shop, payment: str, **body: Any) -> None:
    method = shop.until(payment, "succeeded")["payment_method"]["id"]
    if method is None:
        raise GaveUp("nothing was saved")
    shop.pay(payment_method={"type": "saved", "id": method}, off_session=True, **body)


def _synchronised(shop: Shop, dice: random.Random) -> None:
    payment = shop.pay()
    shop.ask(f"/v1/payments/{payment}/sync")


def _sent_twice(shop: Shop, dice: random.Random) -> None:
    """One key, two requests at the same moment."""
    key, body = str(uuid4()), {"amount": 7000, "currency": "USD", "return_url": RETURN_URL}
    with ThreadPoolExecutor(2) as pool:
        made = [one.result()["id"] for one in [pool.submit(shop.stage.pay, idempotency=key, **body) for _ in range(2)]]
    if made[0] != made[1]:
        raise AssertionError(f"one key made two payments: {made}")


Story = Callable[[Shop, random.Random], None]
#: Of a hundred stories so many are this one.
STORIES: Mapping[str, tuple[int, Story]] = {
    "card": (26, _token),
    "card, refunded in parts": (12, _refunded),
    "hold, captured": (8, _captured),
    "hold, captured, refunded": (5, _captured_and_refunded),
    "hold, voided": (5, _voided),
    "canceled at once": (3, _canceled_at_once),
    "authenticated": (4, _authenticated),
    "declined": (3, _declined),
    "Stripe's page": (6, _stripe_page),
    "Paystack's page": (7, _paystack_page),
    "Paystack's page, refunded": (5, _paystack_refunded),
    "Paystack's hold": (4, _paystack_hold),
    "saved at Stripe, charged again": (3, _saved_at_stripe),
    "saved at Paystack, charged again": (2, _saved_at_paystack),
    "synchronised": (3, _synchronised),
    "sent twice": (4, _sent_twice),
}
