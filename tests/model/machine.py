"""The model: requests, customers, workers that die, mail in any order, time and faults, as a machine of rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import requests
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.model import dashboard, settling
from tests.model.books import METHODS, Asked, Books, Payment
from tests.model.oracle import check_step, money_of, read_ledgers
from tests.model.shop import PROVIDERS, Death, Shop, Violation
from tests.model.stand import Stand

MOST_PAYMENTS = 3
#: A little more than one, in seconds.
DAY = 25 * 3600
AMOUNTS = (5000, 90000, 120000)
#: Seconds: short of and past a lease, a look-up's delay, "not found counts", its repetition, a refund's, hours, a day.
JUMPS = (2, 7, 45, 61, 700, 4000, 6 * 3600, DAY)
#: Where a worker dies; what is between two of these is one commit or one call.
DEATHS: Mapping[str, tuple[str, ...]] = {
    "payments": (
        "job.claimed",
        "job.announcing",
        "job.announced",
        "call.sending",
        "call.answered",
        "job.settling",
        "job.settled",
    ),
    "webhooks": ("job.claimed", "inbox.applying", "inbox.applied"),
}
PLACES = [(lane, point) for lane, points in DEATHS.items() for point in points]
#: Where a worker stops, and for how many seconds: no transaction of its own is open there, so that others can go on.
#: What is on its way is allowed for (`not_found_after`), and Stripe keeps a key for a day.
STALLS = (
    ("job.announced", 7),
    ("job.announced", 700),
    ("job.announced", DAY),
    ("call.sending", 7),
    ("call.answered", 7),
    ("call.answered", 700),
    ("job.settled", 7),
    ("job.settled", 700),
    ("job.settled", DAY),
)
ACCEPT_DEATHS = (None, None, None, "accept.written", "accept.committed", "accept.hinted")
INBOX_DEATHS = (None, None, None, "inbox.verified", "inbox.stored", "inbox.hinted")
FAULTS: tuple[Mapping[str, Any], ...] = (
    {"effect": "timeout_before"},
    {"effect": "timeout_after"},
    {"effect": "reset_before"},
    {"effect": "reset_after"},
    {"effect": "status_before", "status": 500},
    {"effect": "status_after", "status": 500},
    {"effect": "status_before", "status": 429},
    {"effect": "cut_body"},
    {"effect": "nonsense"},
    {"effect": "wrong_amount"},
    {"effect": "wrong_currency"},
)
#: What somebody types or presses on a provider's page; a page that does not know it shows itself again.
PRESSED: tuple[Mapping[str, str], ...] = (
    {"action": "pay", "card": "4242424242424242"},
    {"action": "pay", "card": "4084084084084081"},
    {"action": "pay", "card": "4000002760003184"},
    {"action": "pay", "card": "5192602720584796"},
    {"action": "decline"},
    {"action": "authorize"},
    {"action": "fail"},
    {"action": "back"},
    {"action": "cancel"},
)

#: Cards that pay, on each provider's page.
CARDS: Mapping[str, str] = {"stripe": "4242424242424242", "paystack": "4084084084084081"}

number = st.integers(0, 11)


class Machine(RuleBasedStateMachine):
    """Each example is a merchant of its own. `stand` is set by `bound_to`."""

    stand: ClassVar[Stand]

    def __init__(self) -> None:
        super().__init__()
        self.shop: Shop = self.stand.open_shop()
        self.books = Books()
        self.keys = 0

    # Requests

    @precondition(lambda self: len(self.books.payments) < MOST_PAYMENTS)
    @rule(method=st.sampled_from(sorted(METHODS)), amount=st.sampled_from(AMOUNTS), dies=st.sampled_from(ACCEPT_DEATHS))
    def create(self, method: str, amount: int, dies: str | None) -> None:
        self._create(method, {**METHODS[method], "amount": amount}, dies)

    @precondition(lambda self: len(self.books.payments) < MOST_PAYMENTS)
    @rule(method=st.sampled_from(sorted(METHODS)), amount=st.sampled_from(AMOUNTS), mail=st.booleans())
    def pay(self, method: str, amount: int, mail: bool) -> None:
        """A payment that goes well as far as its way allows; the rest of an example is what happens to it."""
        self.create(method, amount, None)
        self.shop.work_all()
        payment = self.books.payments[-1]
        self.holds()
        if payment.pages:
            self._finish(payment)
            self.sync(len(self.books.payments) - 1, None)
            self.shop.work_all()
        if mail:
            self.deliver_all_mail()

    @precondition(lambda self: self._saved() and len(self.books.payments) < MOST_PAYMENTS)
    @rule(which=number, dies=st.sampled_from(ACCEPT_DEATHS))
    def create_with_saved(self, which: int, dies: str | None) -> None:
        found = self._saved()
        old = found[which % len(found)].seen
        method = {"type": "saved", "id": old["payment_method"]["id"]}
        self._create("saved", {"amount": 5000, "currency": old["currency"], "payment_method": method}, dies)

    def _saved(self) -> list[Payment]:
        return [one for one in self.books.payments if (one.seen.get("payment_method") or {}).get("id")]

    def _create(self, method: str, body: dict[str, Any], dies: str | None) -> None:
        asked = self._ask("/v1/payments", body, dies)
        if asked is None:
            raise Violation(f"a payment by {method} was refused")
        made = Payment(asked.answer["payment"]["id"], method, body["amount"])
        self.books.payments.append(made)

    @precondition(lambda self: self.books.payments)
    @rule(which=number, part=st.sampled_from((None, 1000, 2500, 10**9)), dies=st.sampled_from(ACCEPT_DEATHS))
    def capture(self, which: int, part: int | None, dies: str | None) -> None:
        payment = self._payment(which, "authorized")
        asked = self._ask(f"{payment.path}/capture", {} if part is None else {"amount": part}, dies)
        if asked is not None and (part or 0) > payment.amount:
            raise Violation(f"a capture of {part} was accepted for {payment.amount}")

    @precondition(lambda self: self.books.payments)
    @rule(which=number, dies=st.sampled_from(ACCEPT_DEATHS))
    def cancel(self, which: int, dies: str | None) -> None:
        self._ask(f"{self._payment(which).path}/cancel", {}, dies)

    @precondition(lambda self: self.books.payments)
    @rule(which=number, part=st.sampled_from((None, 1000, 2500, 4000, 10**9)), dies=st.sampled_from(ACCEPT_DEATHS))
    def refund(self, which: int, part: int | None, dies: str | None) -> None:
        payment = self._payment(which, "succeeded")
        asked = self._ask(f"{payment.path}/refunds", {} if part is None else {"amount": part}, dies)
        if asked is not None:
            refund = asked.answer["refund"]
            payment.refunds[refund["id"]] = refund["amount"]
            if refund["amount"] > payment.amount:
                raise Violation(f"a refund of {refund['amount']} was accepted for {payment.amount}")

    @precondition(lambda self: self.books.payments)
    @rule(which=number, dies=st.sampled_from(ACCEPT_DEATHS))
    def sync(self, which: int, dies: str | None) -> None:
        self._ask(f"{self._payment(which).path}/sync", {}, dies)

    @precondition(lambda self: self.books.asked)
    @rule(which=number)
    def ask_again(self, which: int) -> None:
        """The same request under its key gets the same answer, whatever has happened meanwhile."""
        asked = self.books.asked[which % len(self.books.asked)]
        answer = self.shop.send("POST", asked.path, asked.body, asked.key)
        if answer.status_code != 202 or answer.json() != asked.answer:
            raise Violation(f"asked again, {asked.path} answered {answer.status_code}: {answer.text[:300]}")

    @precondition(lambda self: self.books.asked)
    @rule(which=number)
    def ask_something_else_under_the_key(self, which: int) -> None:
        asked = self.books.asked[which % len(self.books.asked)]
        body = {**METHODS["card"], "amount": 4242}
        answer = self.shop.send("POST", "/v1/payments", body, asked.key)
        if answer.status_code != 422:
            raise Violation(f"another body under a key in use was answered {answer.status_code}")

    def _payment(self, which: int, wanted: str | None = None) -> Payment:
        """Of those that are in a status, if any is; one time in four of all, to be refused."""
        fitting = [payment for payment in self.books.payments if payment.status == wanted]
        found = fitting if fitting and which % 4 else self.books.payments
        return found[which % len(found)]

    def _ask(self, path: str, body: Mapping[str, Any], dies: str | None) -> Asked | None:
        self.keys += 1
        key = f"request-{self.keys}"
        answer = self.shop.ask(path, body, key, Death(dies) if dies else None)
        if answer.status_code == 202:
            asked = Asked(path, body, key, answer.json())
            self.books.asked.append(asked)
            return asked
        if answer.status_code not in (409, 422):
            raise Violation(f"{path} answered {answer.status_code}: {answer.text[:300]}")
        return None

    # Customers, and the merchant at the provider's dashboard

    @precondition(lambda self: any(payment.pages for payment in self.books.payments))
    @rule(which=number, page=number, pressed=st.sampled_from(PRESSED))
    def customer(self, which: int, page: int, pressed: Mapping[str, str]) -> None:
        """Also on a page of before, also when the payment has long ended."""
        begun = [payment for payment in self.books.payments if payment.pages]
        payment = begun[which % len(begun)]
        url = payment.pages[page % len(payment.pages)]
        answer = requests.post(url, data=dict(pressed), allow_redirects=False, timeout=10)
        onwards = answer.headers.get("Location", "")
        boxes = [self.shop.world.sandboxes[name].url for name in PROVIDERS]
        if onwards.startswith(tuple(boxes)) and onwards not in payment.pages:
            payment.pages.append(onwards)

    @precondition(lambda self: any(payment.pages for payment in self.books.payments))
    @rule(which=number)
    def customer_finishes(self, which: int) -> None:
        begun = [payment for payment in self.books.payments if payment.pages]
        self._finish(begun[which % len(begun)])

    def _finish(self, payment: Payment) -> None:
        page = payment.pages[-1]
        pressed = (
            {"action": "authorize"} if "/authenticate/" in page else {"action": "pay", "card": CARDS[payment.provider]}
        )
        requests.post(page, data=pressed, allow_redirects=False, timeout=10)

    @precondition(lambda self: self.books.payments)
    @rule(which=number, amount=st.sampled_from((1000, 5000)))
    def refund_at_the_dashboard(self, which: int, amount: int) -> None:
        payment = self._payment(which, "succeeded")
        if dashboard.refund(self.shop, payment, amount):
            payment.dashboard_refunds += amount
            payment.touched = True

    @precondition(lambda self: self.books.payments)
    @rule(which=number)
    def cancel_at_the_dashboard(self, which: int) -> None:
        payment = self._payment(which)
        if dashboard.cancel(self.shop, payment):
            payment.touched = True

    # Mail of the providers

    @rule()
    def collect_mail(self) -> None:
        self.shop.collect()

    @precondition(lambda self: self.shop.held)
    @rule(which=number, keep=st.booleans(), dies=st.sampled_from(INBOX_DEATHS))
    def deliver(self, which: int, keep: bool, dies: str | None) -> None:
        """Any letter first; one that is kept comes again."""
        place = which % len(self.shop.held)
        letter = self.shop.held[place]
        self.shop.deliver(letter, Death(dies) if dies else None)
        if not keep and dies is None:
            self.shop.held.pop(place)

    @rule()
    def deliver_all_mail(self) -> None:
        self.shop.deliver_all()
        self.shop.work_all()

    @precondition(lambda self: self.shop.held)
    @rule(which=number)
    def lose_mail(self, which: int) -> None:
        self.shop.held.pop(which % len(self.shop.held))

    # Workers

    @rule(lane=st.sampled_from(sorted(DEATHS)), limit=st.integers(1, 5))
    def work(self, lane: str, limit: int) -> None:
        self.shop.work(lane, limit)

    @rule()
    def work_all(self) -> None:
        self.shop.work_all()

    @precondition(lambda self: self.books.payments)
    @rule(which=number, place=st.sampled_from(PLACES), nth=st.sampled_from((1, 1, 1, 2)))
    def crash(self, which: int, place: tuple[str, str], nth: int) -> None:
        self._find_work(place[0], which)
        self.shop.crash(place[0], Death(place[1], nth))

    @precondition(lambda self: self.books.payments)
    @rule(which=number, stop=st.sampled_from(STALLS))
    def stall(self, which: int, stop: tuple[str, int]) -> None:
        self._find_work("payments", which)
        self.shop.stall("payments", *stop)

    def _find_work(self, lane: str, which: int) -> None:
        """Something of the lane is due; if nothing is, something is asked for that suits a payment as it stands."""
        if self.shop.is_due(lane):
            return
        if lane == "webhooks":
            self.shop.collect()
            if self.shop.held:
                self.deliver(which, False, None)
            return
        status = self._payment(which).status
        if status == "authorized":
            self.capture(which, None, None) if which % 2 else self.cancel(which, None)
        elif status == "succeeded" and which % 3:
            self.refund(which, 1000, None)
        else:
            self.sync(which, None)

    # Time and trouble

    @rule(seconds=st.sampled_from(JUMPS))
    def advance(self, seconds: int) -> None:
        self.shop.advance(seconds)

    @rule()
    def tick(self) -> None:
        self.shop.tick()

    @rule(
        provider=st.sampled_from(PROVIDERS),
        method=st.sampled_from(("POST", "POST", "GET")),
        fault=st.sampled_from(FAULTS),
        times=st.sampled_from((1, 1, 1, 2, 5)),
    )
    def arm(self, provider: str, method: str, fault: Mapping[str, Any], times: int) -> None:
        self.shop.arm(provider, {**fault, "method": method, "times": times})

    @precondition(lambda self: self.books.payments)
    @rule(which=number, method=st.sampled_from(("POST", "POST", "GET")), fault=st.sampled_from(FAULTS))
    def work_in_trouble(self, which: int, method: str, fault: Mapping[str, Any]) -> None:
        self.shop.arm(self._payment(which).provider, {**fault, "method": method})
        self._find_work("payments", which)
        self.shop.work("payments", 1)

    @rule(provider=st.sampled_from(PROVIDERS))
    def go_away(self, provider: str) -> None:
        self.shop.go_away(provider)

    @rule()
    def lift(self) -> None:
        self.shop.lift()

    # What must hold

    @invariant()
    def holds(self) -> None:
        if self.books.payments:
            ledgers = read_ledgers(self.shop)
            for payment in self.books.payments:
                check_step(self.shop, payment, money_of(ledgers, payment.id))

    def teardown(self) -> None:
        settling.settle(self.shop, self.books)


def bound_to(stand: Stand) -> type[Machine]:
    return type("BoundMachine", (Machine,), {"stand": stand})
