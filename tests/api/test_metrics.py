"""`/metrics`: true about the installation, cheap, for monitoring alone, and it names nobody."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import uuid4

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import FIGURES
from core.orchestration import figures
from core.orchestration.context import Core
from core.startup import clock
from tests.api.support import Merchant

TOKEN = "0123456789abcdef-of-monitoring"
#: Whatever a label may say; the values of routes and codes are those of the code.
LABELS = frozenset(
    "method route status le code provider outcome lane state kind severity mode schedule asked_by operation pool "
    "dependency version revision table".split()
)


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer asks the database anew."""
    monkeypatch.setattr(figures, "BELIEVED", 0.0)


@pytest.fixture
def fresh(make_app: Callable[..., Flask]) -> FlaskClient:
    return make_app().test_client()


def read(client: FlaskClient, **headers: str) -> dict[str, float]:
    """Every sample by its name and labels as they are printed."""
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    lines = [line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def insert(owner: Core, statement: str, **values: object) -> None:
    with owner.database.unscoped() as connection:
        connection.execute(sa.text(statement), values)


JOB = (
    "INSERT INTO jobs (id, merchant_id, mode, kind, lane, status, run_after, lease_until, worker) VALUES "
    "(:id, :merchant, 'test', 'sync_payment', 'payments', :status, app_now() - make_interval(secs => :due), "
    "CASE WHEN :status = 'running' THEN app_now() + interval '1 hour' END, CASE WHEN :status = 'running' THEN 'w' END)"
)


def test_jobs_by_lane_and_state_with_the_age_of_the_oldest(owner: Core, merchant: Merchant, fresh: FlaskClient) -> None:
    before = read(fresh)
    for status, due in (
        ("queued", 90.0),
        ("queued", 30.0),
        ("queued", -500.0),
        ("running", 0.0),
        ("needs_review", 0.0),
    ):
        insert(owner, JOB, id=uuid4(), merchant=merchant.scope.merchant_id, status=status, due=due)
    after = read(fresh)
    for state, more in {"due": 2, "waiting": 1, "running": 1, "needs_review": 1}.items():
        name = f'tollgate_jobs{{lane="payments",state="{state}"}}'
        assert after[name] - before.get(name, 0) == more, state
    assert after['tollgate_oldest_due_seconds{lane="payments"}'] == pytest.approx(90, abs=5)
    assert after['tollgate_oldest_review_seconds{lane="payments"}'] < 30
    insert(owner, "DELETE FROM jobs WHERE merchant_id = :merchant", merchant=merchant.scope.merchant_id)


def test_findings_accounts_and_the_installation(owner: Core, merchant: Merchant, fresh: FlaskClient) -> None:
    insert(
        owner,
        "INSERT INTO findings (id, merchant_id, mode, kind, dedupe_key, details, severity, status) "
        "VALUES (:id, :merchant, 'live', 'amount_mismatch', 'x', '{}', 'high', 'open')",
        id=uuid4(), merchant=merchant.scope.merchant_id,
    )  # fmt: skip
    shown = read(fresh)
    assert shown['tollgate_findings{kind="amount_mismatch",severity="high"}'] == 1
    assert shown['tollgate_provider_accounts{mode="test",provider="stripe",status="enabled"}'] >= 1
    assert shown["tollgate_paused"] == 0
    assert shown['tollgate_dependency_up{dependency="postgres"}'] == 1
    assert shown['tollgate_dependency_up{dependency="redis"}'] == 0  # none runs for these tests
    assert abs(shown["tollgate_clock_offset_seconds"]) < 1
    assert min(shown[f'tollgate_months_ahead{{table="{one}"}}'] for one in ("bodies", "events", "audit_log")) >= 5


def test_without_a_database_it_says_so_and_shows_no_old_figures(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    client = app.test_client()
    assert "tollgate_paused" in read(client)
    gate = app.extensions["tollgate"]

    def away() -> object:
        raise sa.exc.OperationalError("none", None, OSError("away"))

    object.__setattr__(gate.figures, "_database", type("Away", (), {"unscoped": staticmethod(away)})())
    shown = read(client)
    assert shown['tollgate_dependency_up{dependency="postgres"}'] == 0
    assert not [name for name in shown if name.startswith(("tollgate_jobs{", "tollgate_paused"))]


def test_figures_are_believed_for_some_seconds(core: Core, owner: Core, merchant: Merchant) -> None:
    watch = figures.Watch(core.database, believed=60)
    before = watch.look()
    insert(owner, JOB, id=uuid4(), merchant=merchant.scope.merchant_id, status="queued", due=1.0)
    assert watch.look() is before
    anew = figures.Watch(core.database, believed=60).look()
    assert {one.name for one in anew.figures} >= {"jobs", "oldest_due"}
    insert(owner, "DELETE FROM jobs WHERE merchant_id = :merchant", merchant=merchant.scope.merchant_id)


@pytest.mark.parametrize(
    ("sent", "there", "received", "ahead"),
    [(10, 10.4, 11, 0), (10, 9, 11, 1), (10, 12.5, 11, -1.5), (10, 10, 10, 0), (10, 11, 11, 0)],
)
def test_what_the_trip_took_is_nobodys_fault(sent: float, there: float, received: float, ahead: float) -> None:
    assert clock.offset(sent, there, received) == pytest.approx(ahead)


def test_this_machine_alone_reads_it_unless_a_token_is_set(make_app: Callable[..., Flask]) -> None:
    client = make_app().test_client()

    def status(peer: str, **headers: str) -> int:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.get("/metrics", headers=given, environ_base={"REMOTE_ADDR": peer}).status_code

    assert status("127.0.0.1") == status("::1") == 200
    assert status("10.0.0.7") == status("") == status("nonsense") == 401
    # A proxy on this machine asks for somebody else.
    for header in ("X_Forwarded_For", "Forwarded", "Via"):
        assert status("127.0.0.1", **{header: "for=203.0.113.9"}) == 401


def test_with_a_token_it_is_asked_of_everybody(make_app: Callable[..., Flask]) -> None:
    client = make_app(metrics_token=TOKEN).test_client()

    def status(authorization: str | None, peer: str = "10.0.0.7") -> int:
        headers = {} if authorization is None else {"Authorization": authorization}
        return client.get("/metrics", headers=headers, environ_base={"REMOTE_ADDR": peer}).status_code

    assert status(f"Bearer {TOKEN}") == status(f"bearer {TOKEN}") == 200
    assert status(None) == status(None, "127.0.0.1") == status(f"Bearer {TOKEN}x") == status(f"Basic {TOKEN}") == 401
    assert status("Bearer \xff") == status("Bearer") == 401
    refused = client.get("/metrics", environ_base={"REMOTE_ADDR": "10.0.0.7"})
    assert refused.get_json()["code"] == "unauthorized"
    assert TOKEN not in refused.text


def test_labels_name_nobody_and_their_values_are_few(owner: Core, merchant: Merchant, fresh: FlaskClient) -> None:
    merchant.get("/v1/payments/pay_01hzzzzzzzzzzzzzzzzzzzzzzz")
    fresh.post("/webhooks/nobodys/acc_01hzzzzzzzzzzzzzzzzzzzzzzz", data=b"{}")
    fresh.open("/no/such/place", method="PROPFIND")
    text = fresh.get("/metrics").text
    used = {label for family in text_string_to_metric_families(text) for one in family.samples for label in one.labels}
    assert used <= LABELS
    for secret in (
        str(merchant.scope.merchant_id),
        merchant.key.text,
        "01hzzzzz",
        "nobodys",
        "no/such/place",
        "PROPFIND",
    ):
        assert secret not in text
    assert {label for _, _, labels in FIGURES.values() for label in labels} <= LABELS


def test_every_name_and_unit_is_as_prometheus_has_them(fresh: FlaskClient) -> None:
    text = fresh.get("/metrics").text
    names = re.findall(r"^# TYPE (\S+) (\S+)$", text, flags=re.M)
    assert [name for name, kind in names if kind == "counter" and not name.endswith("_total")] == []
    assert [name for name, _ in names if not name.startswith("tollgate_")] == []
