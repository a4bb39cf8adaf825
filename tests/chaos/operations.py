"""The operations that crash points are crossed with: what precedes each, the request, and what must be true after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import requests

from cli.secrets_file import ANCHOR_FILE
from cli.target import core_session
from core.domain.identifiers import parse_id
from core.domain.roles import ROLES
from core.orchestration import api_keys, scheduled
from core.settings import Settings
from core.startup.anchor import read_seal
from tests.chaos.stage import Stage
from tests.support.waiting import wait_until
from workers.configuration import RUN_SCHEDULED, make_app

STRIPE_CARD, PAYSTACK_CARD = "4242424242424242", "4084084084084081"
WINS = {"message": "winning_evidence", "customer_name": "Ada Quill", "customer_email": "ada.quill@example.com"}
#: Longer than a page is kept open, in seconds.
PAGE_IS_OVER = 25 * 3600.0


@dataclass
class Case:
    """One operation on objects of its own: what was made on the way is in `made`."""

    made: dict[str, Any] = field(default_factory=dict)

    @property
    def payment(self) -> str:
        return str(self.made["payment"])


Step = Callable[[Stage, Case], None]
#: What is not as it should be, in words.
Check = Callable[[Stage, Case], list[str]]


def nothing(stage: Stage, case: Case) -> None:
    """No step."""


@dataclass(frozen=True)
class Operation:
    """`kind` of the job in which the points are met; `nth` visit of each. `prepare` precedes the arming, `act` is what
    the process dies in, `follow` is what a customer does when all is quiet again. `alone`: no other process may be
    armed meanwhile, since visits are counted, time is moved, any payment's job would do, or another death would
    change what must come of this one. `review`: the job ends with a person, for this reason.
    `moves_time`: its case is prepared when its turn has come, after all others."""

    name: str
    kind: str
    points: tuple[str, ...]
    act: Step
    check: Check
    prepare: Step = nothing
    follow: Step = nothing
    nth: int = 1
    review: str = ""
    moves_time: bool = False
    alone: bool = False


# What really happened


@dataclass(frozen=True)
class Money:
    """A payment in the provider's ledger, in minor units."""

    charged: int
    held: int
    waiting: int
    taken: int
    refunds: tuple[int, ...]


def money(stage: Stage, payment: str) -> Money:
    charges, refunds, held = [], [], 0
    for provider in ("stripe", "paystack"):
        ledger = stage.ledger(provider)
        holds = [row for row in ledger.get("holds", []) if _mark(row) == payment]
        captured = {row["charge"] for row in holds if row["charge"]}
        own = [row for row in ledger["charges"] if _mark(row) == payment or row["id"] in captured]
        ids = {row["id"] for row in own}
        charges += own
        refunds += [row["amount"] for row in ledger["refunds"] if row["charge"] in ids and row["status"] != "failed"]
        held += sum(bool(row["held"]) for row in holds)
    return Money(
        charged=sum(row["status"] == "succeeded" for row in charges),
        held=held + sum(row["status"] == "authorized" for row in charges),
        waiting=sum(row["status"] == "pending" for row in charges),
        taken=sum(row["amount_captured"] for row in charges if row["status"] == "succeeded"),
        refunds=tuple(sorted(refunds)),
    )


def _mark(row: Mapping[str, Any]) -> Any:
    return (row["metadata"] or {}).get("tollgate_payment")


def differs(what: str, found: Any, expected: Any) -> list[str]:
    return [] if found == expected else [f"{what} is {found!r}, not {expected!r}"]


def stands(status: str, **ledger: Any) -> Check:
    """Our status, and what the ledger must say of the same payment."""

    def check(stage: Stage, case: Case) -> list[str]:
        real = money(stage, case.payment)
        wrong = differs("the payment", stage.payment(case.payment)["status"], status)
        for name, expected in ledger.items():
            wrong += differs(f"{name} in the ledger", getattr(real, name), expected)
        return wrong

    return check


# Steps


def reached(stage: Stage, payment: str, status: str) -> None:
    wait_until(lambda: stage.payment(payment)["status"] == status, f"{payment} to be {status}", 30, every=0.1)


def by_token(status: str | None = None, token: str = "pm_card_visa", **body: Any) -> Step:
    """A payment at Stripe; with `status` it is waited for."""

    def step(stage: Stage, case: Case) -> None:
        method = {"type": "token", "token": token}
        case.made["payment"] = stage.pay(payment_method=method, amount=1000, **body)["id"]
        if status is not None:
            reached(stage, case.payment, status)

    return step


def by_page(provider: str, **body: Any) -> Step:
    money_ = {"amount": 500000, "currency": "NGN"} if provider == "paystack" else {}

    def step(stage: Stage, case: Case) -> None:
        case.made["payment"] = stage.pay_by_page(provider=provider, **{**money_, **body})["id"]

    return step


def pays(card: str) -> Step:
    """The customer, on the page."""

    def step(stage: Stage, case: Case) -> None:
        url = stage.open_page(case.payment)
        answer = requests.post(url, data={"action": "pay", "card": card}, allow_redirects=False, timeout=10)
        assert answer.status_code == 303, f"the page of {case.payment} answers {answer.status_code}"

    return step


def in_turn(*steps: Step) -> Step:
    def step(stage: Stage, case: Case) -> None:
        for one in steps:
            one(stage, case)

    return step


def until(status: str) -> Step:
    return lambda stage, case: reached(stage, case.payment, status)


def page_is_open(stage: Stage, case: Case) -> None:
    stage.open_page(case.payment)


def asks(path: str, body: Mapping[str, Any] | None = None, method: str = "POST") -> Step:
    """A request about what is `made`, insisted on under one key."""

    def step(stage: Stage, case: Case) -> None:
        answer = stage.insist(path.format(**case.made), body, method=method)
        assert answer.status_code in (200, 202), f"{method} {path}: {answer.status_code} {answer.text[:300]}"

    return step


def customer(stage: Stage, case: Case) -> None:
    case.made["person"] = f"Grace {uuid4().hex[:8]}"
    body = {"email": f"{uuid4().hex[:12]}@shop.example", "name": case.made["person"]}
    answer = stage.insist("/v1/customers", body)
    assert answer.status_code == 201, answer.text
    case.made["customer"] = answer.json()["id"]


def saves(stage: Stage, case: Case) -> None:
    by_token(customer=case.made["customer"], save_payment_method=True)(stage, case)


def saved(stage: Stage, case: Case) -> None:
    in_turn(customer, saves, until("succeeded"))(stage, case)
    case.made["method"] = _method(stage, case)


def _method(stage: Stage, case: Case) -> str:
    """What the payment has left behind. News of its success may come before the answer that names the method."""

    def look() -> str | None:
        found: str | None = stage.payment(case.payment)["payment_method"]["id"]
        return found

    return str(wait_until(look, f"the method that {case.payment} saves", 30, every=0.1))


def at_stripe(stage: Stage, case: Case) -> list[dict[str, Any]]:
    """The customer objects that carry our customer's mark."""
    kept = stage.ledger("stripe")["customers"]
    return [one for one in kept if (one["metadata"] or {}).get("tollgate_customer") == case.made["customer"]]


def disputes(stage: Stage, case: Case) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stage.insist(f"/v1/payments/{case.payment}/disputes", method="GET").json()["data"]
    return found


def disputed(stage: Stage, case: Case) -> None:
    by_token("succeeded", "pm_card_createDispute")(stage, case)
    wait_until(lambda: disputes(stage, case), f"the dispute of {case.payment}", 30, every=0.1)
    case.made["dispute"] = disputes(stage, case)[0]["id"]


def time_passes(stage: Stage, case: Case) -> None:
    """The page's time ends, and the clock's tick for that comes at once instead of within a minute."""
    stage.advance(PAGE_IS_OVER)
    service = stage.service
    with core_session(service.worker_database_url, service.redis_url, service.key_file) as core:
        scheduled.close_abandoned(core)


def seals(stage: Stage, case: Case) -> None:
    """A payment's records, and the clock's tick for them at once instead of within a minute."""
    by_token("succeeded")(stage, case)
    _tick(stage, "seal")


def _tick(stage: Stage, entry: str) -> None:
    service = stage.service
    given = {"DATABASE_URL": service.worker_database_url, "REDIS_URL": service.redis_url}
    app = make_app(Settings.model_validate(given))
    with app.connection_for_write() as connection:
        app.send_task(RUN_SCHEDULED, args=[entry], queue="maintenance", connection=connection)


def is_sealed(stage: Stage, case: Case) -> list[str]:
    """Nothing waits for a seal any more, and the anchor file has seen the newest."""
    newest = "SELECT number, encode(hash, 'hex') AS hash FROM audit_seals ORDER BY number DESC LIMIT 1"

    def seen() -> bool:
        _tick(stage, "seal")  # one that a dying worker had taken is gone
        head, seals = read_seal(stage.service.data_dir / ANCHOR_FILE), stage.query(newest)
        waiting = stage.query("SELECT oldest_unsealed() AS oldest")[0]["oldest"]
        return waiting is None and head is not None and (head["number"], head["hash"]) == tuple(seals[0].values())

    wait_until(seen, "the log to be sealed, and the seal to be anchored", 30, every=1.0)
    return stands("succeeded", charged=1, taken=1000)(stage, case)


def saved_at_paystack(stage: Stage, case: Case) -> None:
    customer(stage, case)
    by_page("paystack", customer=case.made["customer"], save_payment_method=True)(stage, case)
    in_turn(pays(PAYSTACK_CARD), until("succeeded"))(stage, case)
    case.made["method"] = _method(stage, case)


def pays_with_saved(stage: Stage, case: Case) -> None:
    method = {"type": "saved", "id": case.made["method"]}
    body = {"amount": 120000, "currency": "NGN", "off_session": True}
    case.made["payment"] = stage.pay(payment_method=method, **body)["id"]


def support_asks(stage: Stage, case: Case) -> None:
    """An administrator whose role is support has the provider asked about a merchant's payment."""
    with core_session(stage.service.owner_database_url, stage.service.redis_url, stage.service.key_file) as core:
        key = api_keys.create(core, kind="admin", name="somebody at support", scopes=sorted(ROLES["support"])).text
    path = f"/admin/v1/merchants/{stage.service.seeded.merchant}/payments/{case.payment}/sync?mode=test"
    answer = stage.insist(path, bearer=key)
    assert answer.status_code == 202, f"{answer.status_code} {answer.text[:300]}"


# Checks of what is no status


def is_asked_about_once(stage: Stage, case: Case) -> list[str]:
    told = stage.query(
        "SELECT count(*) AS n FROM audit_log WHERE subject_id = %s::uuid AND action LIKE '%%asked_about'",
        _uuid(case.payment),
    )
    return stands("succeeded", charged=1, taken=1000)(stage, case) + differs("records of who asked", told[0]["n"], 1)


def is_saved(stage: Stage, case: Case) -> list[str]:
    wrong = stands("succeeded", charged=1, taken=1000)(stage, case)
    wrong += differs("customers at Stripe", len(at_stripe(stage, case)), 1)
    kept = stage.payment(case.payment)["payment_method"]["id"]
    return wrong + ([] if kept else ["no payment method was kept"])


def is_told(stage: Stage, case: Case) -> list[str]:
    return differs("the names at Stripe", [one["name"] for one in at_stripe(stage, case)], [case.made["new_name"]])


def renames(stage: Stage, case: Case) -> None:
    case.made["new_name"] = f"Ada {uuid4().hex[:8]}"
    asks("/v1/customers/{customer}", {"name": case.made["new_name"]}, "PATCH")(stage, case)


def is_forgotten(stage: Stage, case: Case) -> list[str]:
    ids = {one["id"] for one in at_stripe(stage, case)}
    left = [one["id"] for one in stage.ledger("stripe")["payment_methods"] if one["customer"] in ids]
    gone = stage.query(
        "SELECT count(*) AS n FROM payment_methods WHERE status = 'forgotten' AND payment_id = %s::uuid",
        _uuid(case.payment),
    )
    return differs("methods left at Stripe", left, []) + differs("methods forgotten here", gone[0]["n"], 1)


def _uuid(payment: str) -> str:
    return str(parse_id("payment", payment))


def one_dispute(*statuses: str, answered: bool = False) -> Check:
    def check(stage: Stage, case: Case) -> list[str]:
        found = disputes(stage, case)
        wrong = differs("the number of disputes", len(found), 1)
        wrong += [f"the dispute is {one['status']}" for one in found if one["status"] not in statuses]
        if answered:
            wrong += ["no evidence was sent" for one in found if one["evidence_sent_at"] is None]
        return wrong + stands("succeeded", charged=1)(stage, case)

    return check


def fails_over(stage: Stage, case: Case) -> None:
    """Stripe takes no connection; the page is Paystack's."""
    stage.proxies["stripe"].refuse()
    try:
        case.made["payment"] = stage.pay_by_page(amount=1000, currency="USD")["id"]
        refused = "SELECT 1 FROM transactions WHERE payment_id = %s::uuid AND status = 'not_executed'"
        wait_until(lambda: stage.query(refused, _uuid(case.payment)), "the connection to be refused", 20, every=0.05)
    finally:
        stage.proxies["stripe"].heal()


def compares(stage: Stage, case: Case) -> None:
    """A run over the last hours, once the clock's own is over."""
    now = stage.query("SELECT app_now() AS now")[0]["now"]
    seeded = stage.service.seeded
    home = f"/admin/v1/merchants/{seeded.merchant}/reconciliation/runs"
    body = {
        "provider_account": seeded.accounts["stripe"],
        "kind": "two_way",
        "since": (now - timedelta(hours=3)).isoformat(),
        "until": now.isoformat(),
    }

    def begun() -> str | None:
        try:
            answer = stage.request("POST", f"{home}?mode=test", body, key=stage.service.admin_key)
        except requests.RequestException:
            return None
        return str(answer.json()["id"]) if answer.status_code == 202 else None

    case.made["run"] = f"{home}/{wait_until(begun, 'a run to be taken', 30, every=0.1)}?mode=test"


def is_compared(stage: Stage, case: Case) -> list[str]:
    """Whole, and nothing of it counted twice."""
    run = stage.request("GET", case.made["run"], key=stage.service.admin_key).json()
    counts = run["counts"]
    wrong = differs("the run", (run["status"], run["slices_done"], run["findings"]), ("succeeded", run["slices"], 0))
    wrong += differs("charges seen", sum(counts.get(one, 0) for one in _SEEN), counts.get("theirs", 0))
    return wrong + stands("succeeded", charged=1, taken=1000)(stage, case)


_SEEN = ("agree", "open", "foreign", "unknown", "differ", "unsure")
