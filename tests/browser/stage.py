"""A running installation with something on every page of the dashboard, and what must never run in all of its texts."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import psycopg2.extras
import requests

from cli.service import Service
from cli.target import core_session
from core.domain.identifiers import new_id, parse_id, public_id
from core.orchestration.context import Core
from core.persistence.database import Scope, present
from core.reconciliation import runs
from tests.support.databases import plain
from tests.support.waiting import wait_until

#: Shown as text it harms nobody; anything that runs leaves its mark on the window, anything fetched fails the test.
CANARY = "<script>window.ran=1</script>\"'><img src=x onerror=window.ran=2>"
LONG = "a-reference-that-goes-on-and-on-and-on-without-any-place-to-break-it-at-all-0123456789"
#: Findings: kind, amount, currency, what both sides say.
_FINDINGS: tuple[tuple[str, int | None, str | None, Mapping[str, Any]], ...] = (
    (
        "statement_amount_differs", 123456789, "USD",
        {"ours": {"amount": 123456789, "status": "succeeded"}, "theirs": {"amount": 5000, "note": CANARY}},
    ),
    ("surplus_received", 5000, "USD", {"ours": {"payment_status": "succeeded"}, "theirs": {"amount": 5000}}),
    ("unmatched_event", None, None, {}),
    ("refund_not_ours", 700, "JPY", {"theirs": {"amount": 700}}),
)  # fmt: skip


class Stage:
    """The service, its database, and the ids of what stands on the pages."""

    def __init__(self, service: Service, core: Core) -> None:
        self.service, self.core = service, core
        self.merchant_id = parse_id("merchant", service.seeded.merchant)
        self.scope = Scope(self.merchant_id, "test")
        self.home = f"/dashboard/{service.seeded.merchant}/test"
        self.ids: dict[str, str] = {}

    def query(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        connection = psycopg2.connect(plain(self.service.owner_database_url))
        try:
            with connection, connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                cursor.execute(sql, values)
                return [dict(row) for row in cursor.fetchall()] if cursor.description else []
        finally:
            connection.close()

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.service.test_key}", "Idempotency-Key": str(uuid4())}
        answer = requests.post(self.service.api_url + path, json=body, headers=headers, timeout=30)
        assert answer.ok, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def pay(self, **changes: Any) -> str:
        body = {
            "amount": 5000,
            "currency": "USD",
            "payment_method": {"type": "token", "token": "pm_card_visa"},
            "return_url": "https://shop.example/back",
            **changes,
        }
        return str(self.post("/v1/payments", body)["payment"]["id"])

    def at_rest(self, *payments: str) -> None:
        ids = [str(parse_id("payment", one)) for one in payments]
        query = "SELECT count(*) AS n FROM payments WHERE id = ANY(%s::uuid[]) AND status = 'processing'"
        wait_until(lambda: self.query(query, ids)[0]["n"] == 0, "the payments to end", 60, every=0.2)

    # What stands on the pages

    def fill(self) -> None:
        self._pay_many()
        self.job_in_review("job")
        self._undecided()
        for kind, amount, currency, evidence in _FINDINGS:
            self.finding(kind, amount, currency, evidence)
        self._parked()
        self._undelivered()
        self._run()
        self._payout()

    def _pay_many(self) -> None:
        """Some on each of the last ten days, in three currencies, some of them declined."""
        made = [
            self.pay(amount=amount, currency=currency, payment_method={"type": "token", "token": token})
            for amount, currency, token in (
                *((1234 * number, "USD", "pm_card_visa") for number in range(1, 15)),
                *((9000, "USD", "pm_card_chargeDeclined") for _ in range(3)),
                (98_765_432, "EUR", "pm_card_visa"),
                (400_000, "JPY", "pm_card_visa"),
            )
        ]
        canary = self.pay(
            amount=99_999_999, reference=LONG, description=CANARY, metadata={"note": CANARY, LONG[:40]: LONG}
        )
        self.ids["payment"] = canary
        self.at_rest(*made, canary)
        for number, one in enumerate(made):
            day = f"{number % 10} days"
            self.query(
                "UPDATE payments SET created_at = created_at - %s::interval WHERE id = %s", day,
                str(parse_id("payment", one)),
            )  # fmt: skip

    def job_in_review(self, name: str) -> str:
        """A look at a payment that was handed to a person, with its finding."""
        payment = parse_id("payment", self.ids["payment"])
        job = str(new_id())
        error = json.dumps({"code": "internal_error", "message": CANARY})
        self.query(
            "INSERT INTO jobs (id, merchant_id, mode, kind, lane, status, payment_id, error, attempts) "
            "SELECT %s, merchant_id, mode, 'sync_payment', 'payments', 'needs_review', id, %s, 50 FROM payments "
            "WHERE id = %s", job, error, str(payment),
        )  # fmt: skip
        self.finding("internal_error", None, None, {}, job=job)
        self.ids[name] = public_id("job", UUID(job))
        return self.ids[name]

    def _undecided(self) -> None:
        """A charge whose answer was lost and whose look-ups find nothing out."""
        url = self.service.sandbox_urls["stripe"]
        faults = [
            {"operation": "payment_intents.create", "effect": "reset_before", "times": 1000},
            {"operation": "payment_intents.list", "effect": "status_before", "status": 500, "times": 1000},
            {"operation": "payment_intents.retrieve", "effect": "status_before", "status": 500, "times": 1000},
        ]
        for fault in faults:
            requests.post(f"{url}/_sandbox/faults", json=fault, timeout=10).raise_for_status()
        payment = self.pay(amount=7777, description="An answer that was lost")
        number = str(parse_id("payment", payment))
        query = "SELECT status FROM transactions WHERE payment_id = %s"
        wait_until(lambda: self._statuses(query, number) == ["unknown"], "the doubt", 60, every=0.2)
        error = json.dumps({"code": "outcome_unknown", "message": "no look-up has found out what happened"})
        take = "UPDATE jobs SET status = 'needs_review', error = %s WHERE payment_id = %s AND kind = 'create_payment' "
        (job,) = self.query(f"{take} RETURNING id", error, number)
        self.finding("outcome_unknown", 7777, "USD", {}, job=str(job["id"]), payment=number)
        requests.delete(f"{url}/_sandbox/faults", timeout=10)
        self.ids["undecided"] = public_id("job", UUID(str(job["id"])))

    def _statuses(self, query: str, *values: Any) -> list[str]:
        return [row["status"] for row in self.query(query, *values)]

    def finding(
        self, kind: str, amount: int | None, currency: str | None, evidence: Mapping[str, Any],
        job: str | None = None, payment: str | None = None,
    ) -> str:  # fmt: skip
        from core.domain.findings import KINDS

        about = payment or str(parse_id("payment", self.ids["payment"]))
        number = new_id()
        self.query(
            "INSERT INTO findings (id, merchant_id, mode, kind, dedupe_key, status, severity, payment_id, job_id, "
            "amount, currency, details, evidence) VALUES (%s, %s, 'test', %s, %s, 'open', %s, %s, %s, %s, %s, %s, %s)",
            str(number), str(self.merchant_id), kind, str(number), KINDS[kind].severity, about, job, amount, currency,
            json.dumps({"note": CANARY, "reference": LONG}), json.dumps(evidence),
        )  # fmt: skip
        self.ids[kind] = public_id("finding", number)
        return self.ids[kind]

    def _parked(self) -> None:
        """An event whose body is kept: one that came, as if nothing of ours had fitted."""
        query = "SELECT id FROM inbox_events WHERE status IN ('applied', 'ignored') ORDER BY id LIMIT 3"
        wait_until(lambda: len(self.query(query)) == 3, "events of the provider", 60, every=0.2)
        park = "UPDATE inbox_events SET status = 'parked', kind = %s, reason = %s WHERE id = %s"
        for name, row in zip(("parked", "parked_2", "parked_3"), self.query(query), strict=True):
            self.query(park, f"charge.{CANARY}", f"nothing of ours fits {CANARY}", row["id"])
            self.ids[name] = public_id("inbox_event", UUID(str(row["id"])))

    def _undelivered(self) -> None:
        """An endpoint that nobody listens at."""
        made = self.post(
            "/v1/webhook_endpoints",
            {"url": f"http://127.0.0.1:9/{LONG}", "event_types": ["*"], "description": CANARY},
        )
        self.ids["endpoint"] = made["id"]
        self.at_rest(self.pay(description="Told to nobody"))
        (event,) = self.query("SELECT id FROM events ORDER BY id DESC LIMIT 1")
        self.ids["event"] = public_id("event", UUID(str(event["id"])))

    def _run(self) -> None:
        account = parse_id("provider_account", self.service.seeded.accounts["stripe"])
        with self.core.database.unscoped() as connection:
            now = present(connection)
        run = runs.start(
            self.core, self.scope, account, "two_way", runs.Window(now - timedelta(days=1), now), "person:tests"
        )
        self.ids["run"], self.ids["account"] = (
            public_id("reconciliation_run", run),
            public_id("provider_account", account),
        )

    def _payout(self) -> None:
        account = parse_id("provider_account", self.service.seeded.accounts["stripe"])
        own = (str(account), str(self.merchant_id))
        self.query(
            "INSERT INTO payouts (provider_account_id, payout, merchant_id, mode, status, currency, paid_out, gross, "
            "fees, refunds, difference, lines, booked_at, arrives_at) "
            "VALUES (%s, 'po_1', %s, 'test', 'differs', 'USD', 960000, 1000000, 29000, 10350, 650, 2, app_now(), "
            "app_now())", *own,
        )  # fmt: skip
        for line, net in (("txn_1", 970000), (f"txn_{LONG}", -10350)):
            self.query(
                "INSERT INTO statement_lines (provider_account_id, line_id, merchant_id, mode, kind, amount, fee, net, "
                "currency, payout, matched, booked_at) VALUES (%s, %s, %s, 'test', 'charge', %s, 0, %s, 'USD', 'po_1', "
                "'matched', app_now())", own[0], line, own[1], net, net,
            )  # fmt: skip


@contextlib.contextmanager
def staged(service: Service) -> Iterator[Stage]:
    """On a service that has been started."""
    redis = service.redis_url
    with core_session(service.owner_database_url, redis, service.key_file) as core:
        for url in service.sandbox_urls.values():
            settings = {"rate_limit": 0, "rate_limit_total": 0}
            requests.post(f"{url}/_sandbox/settings", json=settings, timeout=10).raise_for_status()
        stage = Stage(service, core)
        stage.fill()
        yield stage
