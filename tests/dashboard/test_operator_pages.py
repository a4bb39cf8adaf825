"""What operators do on the dashboard: each page for each role, each act with its effect, refusals that lose nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from api.dashboard.job_words import DOES
from core.domain.findings import KINDS
from core.domain.identifiers import new_id, parse_id, public_id
from core.orchestration.jobs import LANES
from tests.dashboard.people import ROLES, Browser, browser_for, home
from tests.orchestration.test_review import charge_at_stripe, job_of, unknown_charge
from tests.support.world import World

WHY = {"reason": "ticket 7: looked at it"}
SURE = {**WHY, "confirm": "yes"}
CANARY = "<script>window.ran=1</script>\"'><img src=x onerror=window.ran=2>"

#: Every page of an operator, and who may see it. Whole: `test_no_page_is_missing` compares it with the routes.
_ALL = frozenset(ROLES)
PAGES: Mapping[str, frozenset[str]] = {
    "": _ALL,
    "/jobs": _ALL,
    "/jobs/<job>": _ALL,
    "/inbox": _ALL,
    "/inbox/<event>": _ALL,
    "/inbox/range": frozenset({"support", "admin"}),
    "/events": _ALL,
    "/events/<event>": _ALL,
    "/endpoints": _ALL,
    "/findings": _ALL,
    "/findings/<finding>": _ALL,
    "/findings/<finding>/give-back": frozenset({"finance", "admin"}),
    "/reconciliation": _ALL,
    "/reconciliation/<run>": _ALL,
    "/payouts": _ALL,
    "/payouts/<account>/<payout>": _ALL,
    "/payouts/<account>/<payout>/lines.csv": _ALL,
    "/accounts": _ALL,
    "/accounts/<account>": _ALL,
    "/routes": _ALL,
    "/routes/<version>": _ALL,
    "/reports": _ALL,
    "/reports/payments.csv": _ALL,
    "/reports/settlements.csv": _ALL,
    "/audit": frozenset({"finance", "admin"}),
    "/keys": _ALL,
    "/keys/new": frozenset({"admin"}),
    "/keys/<key>": frozenset({"admin"}),
}
ACTS: Mapping[str, frozenset[str]] = {
    "/jobs/<job>/requeue": frozenset({"support", "admin"}),
    "/jobs/<job>/resolve": frozenset({"support", "admin"}),
    "/jobs/<job>/cancel": frozenset({"support", "admin"}),
    "/inbox/range": frozenset({"support", "admin"}),
    "/inbox/<event>/replay": frozenset({"support", "admin"}),
    "/events/<event>/redeliver": frozenset({"support", "admin"}),
    "/findings/<finding>/assign": frozenset({"finance", "admin"}),
    "/findings/<finding>/resolve": frozenset({"finance", "admin"}),
    "/findings/<finding>/give-back": frozenset({"finance", "admin"}),
    "/reconciliation": frozenset({"finance", "admin"}),
    "/accounts/<account>/status": frozenset({"admin"}),
    "/routes/<version>/activate": frozenset({"admin"}),
    "/routes/rollback": frozenset({"admin"}),
    "/keys": frozenset({"admin"}),
    "/keys/<key>/rotate": frozenset({"admin"}),
    "/keys/<key>/revoke": frozenset({"admin"}),
}
#: Pages of the other room, which has tests of its own.
_OTHERS = ("/payments",)


@pytest.fixture(scope="module")
def browsers(world: World) -> dict[str, Browser]:
    return {role: browser_for(world, role) for role in ROLES}


@pytest.fixture(scope="module")
def things(world: World) -> dict[str, str]:
    """One of each, to be looked at and left alone."""
    payment = world.pay(description=CANARY, metadata={"note": CANARY}, reference="order-1")
    number = parse_id("payment", payment["id"])
    event = world.one("SELECT id FROM events WHERE payment_id = :id ORDER BY id DESC LIMIT 1", id=number)["id"]
    inbox = world.one("SELECT id FROM inbox_events ORDER BY id DESC LIMIT 1")["id"]
    run, account = new_id(), world.accounts["stripe"]
    values = {"id": str(run), "merchant": str(world.merchant_id), "account": str(account)}
    execute(
        world,
        "INSERT INTO reconciliation_runs (id, merchant_id, mode, provider_account_id, kind, status, window_from, "
        "window_until, started_by, error) VALUES (%(id)s, %(merchant)s, 'test', %(account)s, 'two_way', 'failed', "
        'app_now() - interval \'1 day\', app_now(), \'tests\', \'{"code": "list_broken", "message": "it broke"}\')',
        **values,
    )
    execute(
        world,
        "INSERT INTO payouts (provider_account_id, payout, merchant_id, mode, status, currency, paid_out, gross, fees, "
        "difference, exchanged, booked_at) VALUES (%(account)s, 'po_1', %(merchant)s, 'test', 'differs', 'USD', 9000, "
        "10000, 350, 650, %(exchanged)s, app_now())",
        **values,
        exchanged=json.dumps({"EUR": {"lines": 2, "original": 1200, "converted": 1300}}),
    )
    execute(
        world,
        "INSERT INTO routes (id, merchant_id, mode, version, status, definition, created_by, activated_at) "
        "VALUES (%(id)s, %(merchant)s, 'test', 1, 'active', %(definition)s, 'tests', app_now())",
        **values,
        definition=json.dumps(_route(account)),
    )
    return {
        "job": public_id("job", job_of(world, payment)["id"]),
        "event": public_id("event", event),
        "inbox": public_id("inbox_event", inbox),
        "finding": make_finding(world, "surplus_received", payment["id"], 5000),
        "run": public_id("reconciliation_run", run),
        "account": public_id("provider_account", account),
        "payout": "po_1",
        "version": "1",
        "key": world.test_key.split("_")[2],
        "payment": payment["id"],
    }


def _route(account: UUID) -> dict[str, Any]:
    name = public_id("provider_account", account)
    rule = {"name": "large", "when": {"currency": ["USD"], "amount": {"min": 100}}, "then": {"accounts": [name]}}
    return {"rules": [rule], "default": {"then": {"accounts": [name]}}}


def execute(world: World, statement: str, **values: Any) -> None:
    with world.owner.begin() as connection:
        connection.exec_driver_sql(statement, values)


def make_finding(world: World, kind: str, payment: str, amount: int | None = None, **values: Any) -> str:
    number = new_id()
    evidence = values.pop("evidence", {"ours": {"amount": 5000, "note": CANARY}, "theirs": {"amount": 4350}})
    row = {
        "id": str(number), "merchant": str(world.merchant_id), "kind": kind, "severity": KINDS[kind].severity,
        "payment": str(parse_id("payment", payment)), "amount": amount, "evidence": json.dumps(evidence),
        "details": json.dumps({"note": CANARY, "amount": amount}), "job": values.get("job"),
    }  # fmt: skip
    execute(
        world,
        "INSERT INTO findings (id, merchant_id, mode, kind, dedupe_key, status, severity, payment_id, job_id, amount, "
        "currency, evidence, details) VALUES (%(id)s, %(merchant)s, 'test', %(kind)s, %(id)s, 'open', %(severity)s, "
        "%(payment)s, %(job)s, %(amount)s, 'USD', %(evidence)s, %(details)s)",
        **row,
    )
    return public_id("finding", number)


def address(rule: str, things: Mapping[str, str]) -> str:
    if rule.startswith("/inbox"):
        rule = rule.replace("<event>", things["inbox"])
    return re.sub(r"<(\w+)>", lambda found: things[found[1]], rule)


def test_no_page_is_missing(world: World) -> None:
    from api.app import build_app

    own = "/dashboard/<merchant>/<mode>"
    rules = [one for one in build_app(world.api).url_map.iter_rules() if one.rule.startswith(own)]
    found = {
        (one.rule[len(own) :], method) for one in rules for method in one.methods or () if method in ("GET", "POST")
    }
    mine = {(rule, method) for rule, method in found if not rule.startswith(_OTHERS)}
    assert mine == {(rule, "GET") for rule in PAGES} | {(rule, "POST") for rule in ACTS}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_sees_its_pages_and_no_others(
    world: World, browsers: Mapping[str, Browser], things: Mapping[str, str], role: str
) -> None:
    seen = {}
    for rule in PAGES:
        answer = browsers[role].get(home(world) + address(rule, things), follow=False)
        seen[rule] = answer.status_code
        if answer.status_code == 200 and not rule.endswith(".csv"):
            check_page(answer.text)
    assert seen == {rule: 200 if role in roles else 403 for rule, roles in PAGES.items()}


def check_page(text: str) -> None:
    """What a merchant or a provider wrote is text, and the page is whole for somebody who only hears or types."""
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;img src=x onerror" in text or "onerror" not in text
    assert not re.search(r"\sstyle=|\son\w+=|javascript:", re.sub(r"&lt;.*?&gt;", "", text))
    assert len(re.findall(r"<h1[ >]", text)) == 1
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert sorted(ids) == sorted(set(ids)), "an id stands twice"
    for number in re.findall(r'aria-(?:labelledby|describedby)="([^"]+)"', text):
        assert set(number.split()) <= set(ids)
    for field in re.findall(r"<(?:input|select|textarea)\b[^>]*>", text):
        if 'type="hidden"' not in field:
            own = re.search(r'\sid="([^"]+)"', field)
            assert own is not None, field
            assert f'for="{own[1]}"' in text, field


@pytest.mark.parametrize("role", ROLES)
def test_each_act_is_refused_to_those_who_may_not(
    world: World, browsers: Mapping[str, Browser], things: Mapping[str, str], role: str
) -> None:
    browser = browsers[role]
    browser.get("/dashboard/account")
    token = {"csrf": browser.form("/dashboard/logout").fields["csrf"]}
    seen = {}
    for rule in ACTS:
        answer = browser.post(home(world) + address(rule, things), token, follow=False)
        seen[rule] = answer.status_code == 403
        # Those who may are asked for the reason, and nothing is done either way.
        assert answer.status_code in (403, 409, 422) or rule.endswith("redeliver"), rule
    assert seen == {rule: role not in roles for rule, roles in ACTS.items()}


def test_a_page_of_another_merchant_or_mode_shows_nothing_of_it(world: World, things: Mapping[str, str]) -> None:
    from core.orchestration import accounts

    other = public_id("merchant", accounts.create_merchant(world.admin, "Another"))
    browser = browser_for(world)
    for base in (f"/dashboard/{other}/test", home(world, "live")):
        for rule in PAGES:
            if "<" not in rule:
                text = browser.get(base + rule).text
                assert not any(things[name] in text for name in ("job", "inbox", "event", "finding", "run", "payment"))
            else:
                assert browser.get(base + address(rule, things)).status_code in (404, 409), rule


def test_a_payout_says_what_was_exchanged(world: World, things: Mapping[str, str]) -> None:
    browser = browser_for(world, "finance")
    browser.get(f"{home(world)}/payouts/{things['account']}/po_1")
    assert "Charged in EUR: €12.00 became $13.00, in 2 lines." in browser.text()


def test_payouts_of_one_second_are_all_on_some_page(
    world: World, things: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.dashboard.reconciliation._PAGE", 1)
    execute(
        world,
        "INSERT INTO payouts (provider_account_id, payout, merchant_id, mode, status, currency, paid_out, booked_at) "
        "SELECT id, 'po_at_once', merchant_id, mode, 'matched', 'USD', 1, app_now() FROM provider_accounts "
        "WHERE merchant_id = %(merchant)s AND mode = 'test'",
        merchant=str(world.merchant_id),
    )
    browser, seen = browser_for(world, "finance"), []
    path: str | None = f"{home(world)}/payouts"
    while path:
        text = browser.get(path).text
        seen += re.findall(r'href="[^"]*/payouts/(acc_\w+/po_\w+)"', text)
        path = next(
            (found.replace("&amp;", "&") for found in re.findall(r'href="([^"]*[?&;]after=[^"]*)"', text)), None
        )
    accounts_ = world.rows(
        "SELECT id FROM provider_accounts WHERE merchant_id = :m AND mode = 'test'", m=world.merchant_id
    )
    expected = {f"{public_id('provider_account', row['id'])}/po_at_once" for row in accounts_}
    assert expected | {f"{things['account']}/po_1"} == set(seen)
    assert len(seen) == len(set(seen))


def test_every_kind_of_job_has_its_words() -> None:
    assert set(DOES) == set(LANES)


class TestJobs:
    def test_executed_by_what_the_provider_shows(self, world: World) -> None:
        payment, job = unknown_charge(world, "reset_after")
        browser = browser_for(world, "support")
        browser.get(f"{home(world)}/jobs")
        assert public_id("job", job) in browser.text()
        browser.get(f"{home(world)}/jobs/{public_id('job', job)}")
        assert "was sent to stripe once" in browser.text()
        form = next(one for one in browser.forms() if one.fields.get("verdict") == "executed")
        wrong = browser.post(form.action, {**form.fields, **SURE, "provider_id": "pi_x", "amount": "5.00"})
        assert wrong.status_code == 422
        assert 'value="5.00"' in wrong.text
        assert 'value="pi_x"' in wrong.text
        assert "ticket 7: looked at it" in wrong.text
        again = next(one for one in browser.forms() if one.fields.get("verdict") == "executed")
        right = {**again.fields, "provider_id": charge_at_stripe(world, payment), "amount": "5000"}
        assert browser.post(again.action, right).status_code == 200
        assert "The job is succeeded." in browser.text()
        assert world.payment(payment["id"])["status"] == "succeeded"
        record = world.one("SELECT * FROM audit_log WHERE subject_id = :id AND action = 'job.resolved'", id=job)
        assert record["actor"].startswith("person:")
        assert record["details"]["reason"] == WHY["reason"]

    def test_not_executed_needs_the_box_and_the_reason(self, world: World) -> None:
        payment, job = unknown_charge(world, "reset_before")
        browser = browser_for(world, "support")
        path = f"{home(world)}/jobs/{public_id('job', job)}"
        for missing in ("confirm", "reason"):
            browser.get(path)
            form = next(one for one in browser.forms() if one.fields.get("verdict") == "not_executed")
            fields = {name: value for name, value in {**form.fields, **SURE}.items() if name != missing}
            assert browser.post(form.action, fields).status_code == 422
            assert world.payment(payment["id"])["status"] == "processing"
        form = next(one for one in browser.forms() if one.fields.get("verdict") == "not_executed")
        assert browser.post(form.action, {**form.fields, **SURE}).status_code == 200
        assert world.payment(payment["id"])["status"] == "failed"
        # Somebody else has the old page still open.
        assert browser.post(form.action, {**form.fields, **SURE}).status_code == 409
        world.settle()

    def test_asked_again_and_taken_back(self, world: World) -> None:
        payment, job = unknown_charge(world, "reset_before")
        browser = browser_for(world, "support")
        browser.get(f"{home(world)}/jobs/{public_id('job', job)}")
        browser.submit("/requeue", **WHY)
        assert "queued again" in browser.text()
        world.settle()
        assert world.payment(payment["id"])["status"] == "succeeded"
        waiting = world.create()
        browser.get(f"{home(world)}/jobs/{public_id('job', job_of(world, waiting)['id'])}")
        browser.submit("/cancel", **SURE)
        assert "nothing was sent for it" in browser.text()
        assert world.payment(waiting["id"])["status"] == "canceled"


class TestInbox:
    def test_one_and_a_range_after_a_look_at_the_number(self, world: World) -> None:
        world.pay()
        rows = world.rows("SELECT id FROM inbox_events ORDER BY id DESC LIMIT 3")
        for row in rows:
            execute(world, "UPDATE inbox_events SET status = 'parked' WHERE id = %(id)s", id=str(row["id"]))
        browser = browser_for(world, "support")
        browser.get(f"{home(world)}/inbox/{public_id('inbox_event', rows[0]['id'])}")
        browser.submit("/replay", **WHY)
        assert "will be read again" in browser.text()
        browser.get(f"{home(world)}/inbox/range?status=parked")
        assert "2 events would be read again" in browser.text()
        form = next(one for one in browser.forms() if one.method == "post" and one.action.endswith("/inbox/range"))
        assert browser.post(form.action, {**form.fields, **WHY}).status_code == 422  # the box
        assert world.rows("SELECT 1 FROM inbox_events WHERE status = 'parked'") != []
        form = next(one for one in browser.forms() if one.method == "post" and one.action.endswith("/inbox/range"))
        assert form.fields["status"] == "parked"
        browser.post(form.action, {**form.fields, **SURE})
        assert "2 events will be read again" in browser.text()
        world.settle()
        assert world.rows("SELECT 1 FROM inbox_events WHERE status = 'parked'") == []

    def test_without_a_choice_nothing_is_read_again(self, world: World) -> None:
        browser = browser_for(world, "support")
        browser.get(f"{home(world)}/inbox/range?status=nonsense")
        assert "Choose a state or an age." in browser.text()
        browser.get("/dashboard/account")
        token = browser.form("/dashboard/logout").fields
        assert browser.post(f"{home(world)}/inbox/range", {**token, **SURE}).status_code == 422


class TestFindings:
    def test_put_into_hands_and_ended(self, world: World, things: Mapping[str, str]) -> None:
        name = make_finding(world, "statement_unmatched", things["payment"], 650)
        browser = browser_for(world, "finance")
        browser.get(f"{home(world)}/findings?kind=statement_unmatched")
        browser.get(f"{home(world)}/findings/{name}")
        assert "$50.00 (5000)" in browser.text()
        browser.submit("/assign", to="Ada", **WHY)
        assert "in the hands of Ada" in browser.text()
        form = next(one for one in browser.forms() if one.fields.get("action") == "done")
        browser.post(form.action, {**form.fields, **SURE})
        row = world.one("SELECT * FROM findings WHERE id = :id", id=parse_id("finding", name))
        assert (row["status"], row["action"], row["resolution"]) == ("resolved", "done", WHY["reason"])
        assert row["resolved_by"].startswith("person:")

    def test_giving_back_shows_the_sum_behind_a_fresh_login(self, world: World, things: Mapping[str, str]) -> None:
        browser = browser_for(world, "finance")
        page = f"{home(world)}/findings/{things['finding']}"
        browser.get(page)
        # Not by the usual form, whatever it is told.
        form = browser.form("/resolve")
        refused = browser.post(form.action, {**form.fields, **SURE, "action": "refund_surplus"})
        assert (refused.status_code, "a page of its own" in browser.text()) == (409, True)
        world.advance(world.settings.session_confirm + 1)
        asked = browser.get(f"{page}/give-back", follow=False)
        assert (asked.status_code, asked.headers["Location"].split("?")[0]) == (303, "/dashboard/confirm")
        late = browser.post(f"{page}/give-back", {**form.fields, **SURE}, follow=False)
        assert late.headers["Location"].startswith("/dashboard/confirm")
        fresh = browser_for(world, "finance")
        fresh.get(f"{page}/give-back")
        assert "$50.00" in fresh.text()
        # Its payment took no money too much: the repair itself refuses, and the page keeps the reason.
        answer = fresh.submit("/give-back", **SURE)
        assert answer.status_code == 409
        assert WHY["reason"] in answer.text

    def test_an_unknown_charge_needs_a_payment_to_belong_to(self, world: World, things: Mapping[str, str]) -> None:
        name = make_finding(world, "unknown_charge", things["payment"], 5000)
        browser = browser_for(world, "finance")
        browser.get(f"{home(world)}/findings/{name}")
        form = next(one for one in browser.forms() if one.fields.get("action") == "link")
        answer = browser.post(form.action, {**form.fields, **SURE, "payment": "nothing"})
        assert answer.status_code == 422
        assert 'value="nothing"' in answer.text


class TestOthers:
    def test_a_run_is_started_and_followed(self, world: World, things: Mapping[str, str]) -> None:
        browser = browser_for(world, "finance")
        browser.get(f"{home(world)}/reconciliation")
        form = next(one for one in browser.forms() if one.method == "post" and one.action.endswith("/reconciliation"))
        chosen = {**form.fields, "account": things["account"], "kind": "two_way"}
        answer = browser.post(form.action, {**chosen, "since": "2026-13-01"})
        assert (answer.status_code, 'value="2026-13-01"' in answer.text) == (422, True)
        assert browser.post(form.action, {**chosen, "since": "1999-01-01"}).status_code == 422
        assert browser.post(form.action, chosen).status_code == 200
        assert "Two way" in browser.get(f"{home(world)}/reconciliation").text
        assert browser.post(form.action, chosen).status_code == 409  # one is under way

    def test_an_account_is_drained_and_enabled(self, world: World) -> None:
        account = world.add_account("stripe", name="stripe drained")
        browser = browser_for(world, "admin")
        page = f"{home(world)}/accounts/{public_id('provider_account', account)}"
        browser.get(page)
        assert "/webhooks/stripe/acc_" in browser.text()
        for to in ("draining", "enabled"):
            form = next(one for one in browser.forms() if one.fields.get("to") == to)
            browser.post(form.action, {**form.fields, **SURE})
            assert f"The account is {to}." in browser.text()
            status = world.one("SELECT status FROM provider_accounts WHERE id = :id", id=account)["status"]
            assert status == to

    def test_a_route_is_explained_and_rolled_back(self, world: World, things: Mapping[str, str]) -> None:
        browser = browser_for(world, "admin")
        browser.get(f"{home(world)}/routes?amount=5000&currency=USD&method=token")
        assert "ule large of route version 1 applies" in browser.text()
        browser.get(f"{home(world)}/routes?amount=5.0&currency=XXX")
        assert "Amount must be a whole number" in browser.text()
        browser.submit("/rollback", **SURE)
        assert "no route is active now" in browser.text()
        browser.get(f"{home(world)}/routes/1")
        browser.submit("/activate", **SURE)
        assert "Version 1 routes new payments from now on." in browser.text()

    def test_a_key_is_shown_once_rotated_and_revoked(self, world: World) -> None:
        browser = browser_for(world, "admin")
        browser.get(f"{home(world)}/keys/new")
        form = browser.form("/keys")
        assert browser.post(form.action, {**form.fields, "name": "Till"}).status_code == 422  # nothing ticked
        made = browser.post(form.action, {**form.fields, "name": "Till", "scope_payments:read": "yes"})
        assert made.status_code == 201
        assert made.headers["Cache-Control"] == "no-store"
        (text,) = set(re.findall(r"tg_test_\w+_\w+", made.text))
        assert world.get("/v1/payments", key=text).status_code == 200
        key = text.split("_")[2]
        assert text not in browser.get(f"{home(world)}/keys").text
        browser.get(f"{home(world)}/keys/{key}")
        rotated = browser.submit("/rotate", overlap="0", **WHY)
        (new,) = set(re.findall(r"tg_test_\w+_\w+", rotated.text))
        assert world.get("/v1/payments", key=text).status_code == 401
        browser.get(f"{home(world)}/keys/{new.split('_')[2]}")
        browser.submit("/revoke", **SURE)
        assert world.get("/v1/payments", key=new).status_code == 401

    def test_the_log_is_searched(self, world: World, things: Mapping[str, str]) -> None:
        browser = browser_for(world, "finance")
        browser.get(f"{home(world)}/audit?payment={things['payment']}")
        assert "payment.created" in browser.text()
        assert "No record is sealed yet" in browser.text()
        browser.get(f"{home(world)}/audit?action=no.such")
        assert "No such records." in browser.text()
        payment = f"payment={things['payment']}"
        browser.get(f"{home(world)}/audit?{payment}&since=2020-01-01&until=2099-12-31")
        assert "payment.created" in browser.text()
        fields = browser.form("/audit").fields
        assert (fields["since"], fields["until"]) == ("2020-01-01", "2099-12-31")
        for outside in ("until=2020-01-01", "since=2099-12-31"):
            browser.get(f"{home(world)}/audit?{payment}&{outside}")
            assert "No such records." in browser.text()
        for wrong in ("payment=pay_1", "subject=x", "since=x", "until=9999-12-31"):
            browser.get(f"{home(world)}/audit?{wrong}")
            assert browser.page is not None
            assert 'role="alert"' in browser.page.text
        other = browser.get(f"{home(world, 'live')}/audit").text
        assert things["payment"] not in other

    def test_an_event_is_sent_again(self, world: World, things: Mapping[str, str]) -> None:
        browser = browser_for(world, "support")
        page = f"{home(world)}/events/{things['event']}"
        browser.get(page)
        assert browser.submit("/redeliver").status_code == 409  # no endpoint asks for it
        body = {"url": "http://127.0.0.1:9/hook", "event_types": ["*"]}
        assert world.post("/v1/webhook_endpoints", body).status_code == 201
        browser.get(page)
        browser.submit("/redeliver")
        assert "sent again to 1 endpoint" in browser.text()

    def test_reports_never_add_currencies_and_go_into_a_file(self, world: World) -> None:
        browser = browser_for(world, "viewer")
        text = browser.get(f"{home(world)}/reports/payments.csv?by_provider=yes").text
        assert text.splitlines()[0].startswith("provider,currency,payments")
        assert "declined_soft" in text.splitlines()[0].split(",")
        empty = "since=2020-01-01&until=2020-01-02"
        nothing = browser.get(f"{home(world)}/reports/payments.csv?by_provider=yes&{empty}").text
        assert nothing.splitlines() == text.splitlines()[:1], "the same columns, whatever a window holds"
        settled = browser.get(f"{home(world)}/reports/settlements.csv?{empty}").text
        assert settled.startswith("payout,status,currency,paid_out")
        browser.get(f"{home(world)}/reports?since=2026-02-31")
        assert "A day cannot be read" in browser.text()
        browser.get(f"{home(world)}/reports?since=2026-03-01&until=2026-02-01")
        assert "must not be before" in browser.text()


def test_the_overview_says_what_waits_and_what_came(world: World, things: Mapping[str, str]) -> None:
    browser = browser_for(world, "viewer")
    page = browser.get(home(world))
    assert re.search(r"\d+ grave finding", browser.text())
    assert page.text.count("<svg") == 2 * len(set(re.findall(r'id="h-([A-Z]{3})"', page.text)))
    assert page.text.count("<title id=") == page.text.count("<desc id=") == page.text.count("<svg")
    assert "USD, last 14 days" in browser.text()
