"""Routes over HTTP: versions by the Admin API, and what they do to payments by the Payment API."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from core.domain.identifiers import parse_id, public_id
from core.domain.outcomes import Decline, DeclineCategory, Declined, NotExecuted, NotExecutedReason
from core.domain.outcomes import Facts as ProviderFacts
from core.orchestration import accounts, execute, provider_manager, routes, routing
from core.orchestration.health import Health
from core.orchestration.review import Person
from core.persistence import pipeline
from core.persistence.database import Scope
from tests.support.world import World

WHY = {"reason": "a test"}


@pytest.fixture(scope="module")
def second(world: World) -> str:
    """Another account at Stripe."""
    return public_id("provider_account", world.add_account("stripe", name="stripe.second"))


@pytest.fixture
def admin(world: World) -> str:
    """A test's own, for an administrator's key may ask only so often."""
    return world.make_key("admin")


class Office:
    """An administrator of one merchant's routes."""

    def __init__(self, world: World, key: str, scope: Scope | None = None) -> None:
        self.world, self.key, self.scope = world, key, scope or world.scope
        merchant = public_id("merchant", self.scope.merchant_id)
        self.home = f"/admin/v1/merchants/{merchant}/routes"

    def ask(self, path: str = "", body: Any = None, method: str = "POST", status: int = 200) -> Any:
        url = f"{self.home}{path}?mode={self.scope.mode}"
        answer = self.world.request(method, url, key=self.key, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def get(self, path: str = "", status: int = 200) -> Any:
        return self.ask(path, method="GET", status=status)

    def draft(self, definition: Any, status: int = 201) -> Any:
        return self.ask("", {"definition": definition, **WHY}, status=status)

    def activate(self, version: int, status: int = 200, **more: Any) -> Any:
        return self.ask(f"/{version}/activate", {**WHY, **more}, status=status)

    def put(self, definition: Any) -> int:
        """Drafted and active."""
        version: int = self.draft(definition)["version"]
        self.activate(version)
        return version

    def explain(self, **body: Any) -> Any:
        return self.ask("/explain", body)


@pytest.fixture
def office(world: World, admin: str) -> Iterator[Office]:
    """Without an active route before and afterwards."""
    found = Office(world, admin)
    yield found
    with world.owner.begin() as connection:
        connection.execute(sa.text("UPDATE routes SET status = 'retired' WHERE status = 'active'"))
        connection.execute(sa.text("UPDATE provider_accounts SET status = 'enabled'"))


@pytest.fixture
def names(world: World, second: str) -> dict[str, str]:
    return {
        "stripe": public_id("provider_account", world.accounts["stripe"]),
        "paystack": public_id("provider_account", world.accounts["paystack"]),
        "second": second,
    }


def to(*accounts_: str, **more: Any) -> dict[str, Any]:
    return {"then": {"accounts": list(accounts_)}, **more}


def rule(name: str, when: dict[str, Any], *accounts_: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "when": when, **to(*accounts_, **more)}


def called(world: World, account: str) -> str:
    """The account's name for people, which no other of the merchant bears here."""
    query = "SELECT name FROM provider_accounts WHERE id = :id"
    return str(world.one(query, id=parse_id("provider_account", account))["name"])


def kept(world: World, payment: Any) -> Any:
    return world.one("SELECT route FROM payments WHERE id = :id", id=parse_id("payment", payment["id"]))["route"]


def in_words(world: World, payment: Any) -> tuple[str, list[str]]:
    found = world.get(f"/v1/payments/{payment['id']}/timeline").json()["data"]
    entry = next(one for one in found if one["kind"] == "route.decided")
    return entry["summary"], entry["details"]["in_words"]


def page(world: World, status: int = 202, **changes: Any) -> Any:
    """A redirect payment that is accepted, and not carried out yet."""
    answer = world.post("/v1/payments", world.redirect_body(**changes))
    assert answer.status_code == status, answer.text
    return answer.json()["payment"] if status == 202 else answer.json()


class TestRules:
    def test_the_first_rule_that_applies_sends_it_and_says_so(
        self, world: World, office: Office, names: dict[str, str]
    ) -> None:
        naira = rule("naira", {"currency": ["NGN"], "country": ["NG"]}, names["paystack"])
        big = rule("big", {"currency": ["USD"], "amount": {"min": 100_000}}, names["second"])
        version = office.put({"rules": [naira, big], "default": to(names["stripe"], names["paystack"])})

        dollars = page(world)
        assert dollars["provider"] is None
        assert in_words(world, dollars)[0] == f"To be routed by the default of route version {version}"
        large = page(world, amount=100_000)
        nigerian = page(world, amount=500_000, currency="NGN", country="NG")
        foreign = page(world, amount=500_000, currency="NGN")
        world.settle()
        found = {
            name: world.payment(one["id"])["provider_account"]
            for name, one in (("dollars", dollars), ("large", large), ("nigerian", nigerian), ("foreign", foreign))
        }
        assert found == {
            "dollars": names["stripe"],
            "large": names["second"],
            "nigerian": names["paystack"],
            "foreign": names["stripe"],
        }
        summary, words = in_words(world, large)
        assert summary.startswith(f"Routed to stripe by rule big of route version {version}; left out: ")
        assert words[:3] == [
            "Rule naira does not apply: the currency is USD, not NGN; the payment names no country.",
            f"Rule big of route version {version} applies.",
            f"In this order: {called(world, names['second'])}.",
        ]
        assert (
            f"{called(world, names['second'])} (stripe) can carry it and was chosen; its circuit is closed" in words[3]
        )
        unnamed = f"rule big of route version {version} does not name it"
        assert f"{called(world, names['stripe'])} (stripe) is left out: {unnamed}." in words
        stored = kept(world, nigerian)
        assert (stored["version"], stored["rule"], stored["order"]) == (version, "naira", [names["paystack"]])
        assert all("health" in one for one in stored["candidates"])

    def test_by_customer_and_metadata_of_both(self, world: World, office: Office, names: dict[str, str]) -> None:
        gold = world.post("/v1/customers", {"email": "gold@example.com", "metadata": {"tier": "gold"}}).json()["id"]
        plain = world.post("/v1/customers", {"email": "plain@example.com"}).json()["id"]
        office.put(
            {
                "rules": [
                    rule("one", {"customer": [plain], "metadata": {"plan": ["pro"]}}, names["paystack"]),
                    rule("gold", {"customer_metadata": {"tier": ["gold"]}}, names["second"]),
                ],
                "default": to(names["stripe"]),
            }
        )
        asked = {
            "gold": page(world, customer=gold),
            "one": page(world, customer=plain, metadata={"plan": "pro"}, amount=500_000, currency="NGN"),
            "default": page(world, customer=plain, metadata={"plan": "free"}),
        }
        assert {name: kept(world, one)["rule"] for name, one in asked.items()} == {name: name for name in asked}

    def test_nobody_can_carry_it_and_each_says_why(self, world: World, office: Office, names: dict[str, str]) -> None:
        version = office.put({"rules": [rule("naira", {"currency": ["NGN"]}, names["paystack"])]})
        before = world.count()
        answer = world.post("/v1/payments", world.payment_body(amount=500_000, currency="NGN"))
        assert answer.status_code == 422
        assert answer.json()["code"] == "capability_unsupported"
        unnamed = f"rule naira of route version {version} does not name it"
        assert [one["message"] for one in answer.json()["errors"]] == [
            "paystack: does not take payment method token",
            f"stripe {names['stripe']}: {unnamed}",
            f"stripe {names['second']}: {unnamed}",
        ]
        assert world.count() == before

    def test_a_provider_that_is_asked_for_is_heeded(self, world: World, office: Office, names: dict[str, str]) -> None:
        office.put({"default": to(names["paystack"], names["second"])})
        free, pinned = page(world, amount=500_000, currency="NGN"), page(world, provider="stripe")
        world.settle()
        assert world.payment(free["id"])["provider_account"] == names["paystack"]
        assert world.payment(pinned["id"])["provider_account"] == names["second"]
        office.put({"default": to(names["paystack"])})
        unnamed = page(world, provider="stripe")
        world.settle()
        assert world.payment(unnamed["id"])["provider_account"] == names["stripe"]

    def test_a_saved_method_stays_with_its_account(self, world: World, office: Office, names: dict[str, str]) -> None:
        token, person = {"type": "token", "token": "pm_card_visa"}, {"email": "ada@example.com"}
        first = world.pay(payment_method=token, save_payment_method=True, customer=person, provider="stripe")
        office.put({"default": to(names["second"])})
        again = world.pay(payment_method={"type": "saved", "id": first["payment_method"]["id"]})
        assert (again["status"], again["provider_account"]) == ("succeeded", names["stripe"])

    def test_it_is_carried_out_by_the_route_it_was_accepted_under(
        self, world: World, office: Office, names: dict[str, str]
    ) -> None:
        before = page(world)
        office.put({"default": to(names["second"])})
        between = page(world)
        office.put({"default": to(names["stripe"])})
        world.settle()
        assert world.payment(before["id"])["provider_account"] == names["stripe"]
        assert kept(world, before).get("version") is None
        assert world.payment(between["id"])["provider_account"] == names["second"]

    def test_reports_tell_routes_apart(self, world: World, office: Office, names: dict[str, str], admin: str) -> None:
        version = office.put({"rules": [rule("cards", {"method": ["token"]}, names["stripe"])]})
        world.pay()
        today = world.one("SELECT (app_now() AT TIME ZONE 'UTC')::date AS day")["day"]
        query = f"mode=test&since={today}&until={today}&by=route"
        home = office.home.replace("/routes", "/reports/payments")
        lines = world.get(f"{home}?{query}", key=admin).json()["data"]
        assert [(one["payments"], one["succeeded"]) for one in lines if one["route"] == f"v{version}:cards"] == [(1, 1)]


class TestWeights:
    def test_payments_are_shared_and_each_stays_with_what_it_drew(
        self, world: World, office: Office, names: dict[str, str]
    ) -> None:
        shared = {"weights": {names["stripe"]: 50, names["second"]: 50}}
        office.put({"rules": [{"name": "pages", "when": {"method": ["redirect"]}, "then": shared}]})
        made = [page(world) for _ in range(16)]
        drawn = {one["id"]: kept(world, one)["order"] for one in made}
        assert len(Counter(order[0] for order in drawn.values())) == 2  # all to one: once in 32768 runs
        world.settle()
        for payment in made:
            found = world.payment(payment["id"])
            assert found["provider_account"] == drawn[payment["id"]][0]
            explained = office.explain(payment=payment["id"])
            assert [one["account"] for one in explained["accounts"] if one["eligible"]] == drawn[payment["id"]]
        one = made[0]
        summary, words = in_words(world, one)
        assert "which gives its account 50 of 100 payments" in summary
        assert any("drawn by the payment's id" in line for line in words)

    def test_those_of_a_drained_account_go_to_the_rest_and_no_others_move(
        self, world: World, office: Office, names: dict[str, str]
    ) -> None:
        shared = {"weights": {names["stripe"]: 50, names["second"]: 50}}
        office.put({"rules": [{"name": "pages", "when": {"method": ["redirect"]}, "then": shared}]})
        made = [page(world) for _ in range(6)]
        with world.owner.begin() as connection:
            connection.execute(
                sa.text("UPDATE provider_accounts SET status = 'draining' WHERE id = :id"),
                {"id": parse_id("provider_account", names["second"])},
            )
        world.settle()
        assert {world.payment(one["id"])["provider_account"] for one in made} == {names["stripe"]}


@contextmanager
def cut_off(world: World, name: str) -> Iterator[None]:
    """Connections to the account are refused meanwhile."""

    def turn(address: str) -> None:
        with world.owner.begin() as connection:
            update = "UPDATE provider_accounts SET api_base = %s WHERE id = %s"
            connection.exec_driver_sql(update, (address, str(world.accounts[name])))
        for core in (world.worker, world.api):
            provider_manager.forget(core, world.accounts[name])

    turn("http://127.0.0.1:9")
    try:
        yield
    finally:
        turn(world.sandboxes[name].url)


REFUSED = NotExecuted(NotExecutedReason.CONNECTION, "refused")


class TestFailover:
    def test_it_goes_on_in_the_order_of_the_rule_and_no_further(
        self, world: World, office: Office, names: dict[str, str]
    ) -> None:
        office.put({"default": to(names["paystack"], names["stripe"])})
        with cut_off(world, "paystack"):
            payment = page(world, amount=500_000, currency="NGN")
            world.settle()
        assert world.payment(payment["id"])["provider_account"] == names["stripe"]
        assert [row["provider"] for row in world.transactions(payment["id"])] == ["paystack", "stripe"]
        assert kept(world, payment)["order"] == [names["paystack"], names["stripe"]]

    def test_an_account_that_no_rule_names_takes_nothing_over(
        self, world: World, office: Office, names: dict[str, str]
    ) -> None:
        office.put({"default": to(names["paystack"])})
        with cut_off(world, "paystack"):
            payment = page(world, amount=500_000, currency="NGN")
            world.work()
            assert [row["provider"] for row in world.transactions(payment["id"])] == ["paystack"]
        world.advance(60)
        world.settle()
        assert world.payment(payment["id"])["provider_account"] == names["paystack"]
        assert world.payment(payment["id"])["status"] == "requires_action"

    def test_an_account_whose_circuit_is_open_comes_last(
        self, world: World, office: Office, names: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        office.put({"default": to(names["paystack"], names["stripe"])})
        down = Health(clock=lambda: 1000.0)
        account = parse_id("provider_account", names["paystack"])
        core = replace(world.worker, health=down)
        monkeypatch.setattr(world, "worker", core)
        opened = _Opened(account, world.scope)
        for _ in range(20):
            down.observe(core, opened, "start", REFUSED, 5)  # type: ignore[arg-type]
        redirected = page(world, amount=500_000, currency="NGN")
        world.work()
        found = world.payment(redirected["id"])
        assert found["provider_account"] == names["stripe"]
        assert [row["provider"] for row in world.transactions(redirected["id"])] == ["stripe"]
        assert any("its circuit is open" in line for line in in_words(world, redirected)[1])

    @pytest.mark.parametrize(("after", "tried"), [("next", 2), ("stop", 1)])
    def test_a_soft_decline_goes_on_where_the_rule_says_so(
        self,
        world: World,
        office: Office,
        names: dict[str, str],
        monkeypatch: pytest.MonkeyPatch,
        after: str,
        tried: int,
    ) -> None:
        office.put({"default": to(names["paystack"], names["stripe"], on_soft_decline=after)})
        payment = page(world, amount=500_000, currency="NGN")
        said = Declined(ProviderFacts(), Decline("insufficient_funds", DeclineCategory.SOFT, "No money."))
        perform, first = execute._perform, world.accounts["paystack"]

        def no_from_the_first(step: Any) -> Any:
            return said if step.account.account_id == first else perform(step)

        with monkeypatch.context() as patched:
            patched.setattr(execute, "_perform", no_from_the_first)
            world.work()
        assert len(world.transactions(payment["id"])) == tried
        assert world.payment(payment["id"])["status"] == ("requires_action" if after == "next" else "failed")


class _Opened:
    """As much of an opened account as health looks at."""

    def __init__(self, account_id: UUID, scope: Scope) -> None:
        self.account_id, self.scope = account_id, scope


class TestVersions:
    def test_drafted_changed_activated_and_taken_back(
        self, world: World, office: Office, names: dict[str, str]
    ) -> None:
        first = office.draft({"default": to(names["stripe"])})
        assert (first["status"], first["valid"], first["created_by"][:4]) == ("draft", True, "key:")
        number = first["version"]
        changed = office.ask(
            f"/{number}", {"definition": {"default": to(names["second"])}, "note": "n", **WHY}, "PATCH"
        )
        assert (changed["definition"], changed["note"]) == ({"default": to(names["second"])}, "n")
        active = office.activate(number, replaces=0)
        assert (active["status"], active["activated_by"][:4]) == ("active", "key:")
        office.ask(f"/{number}", {"note": "late", **WHY}, "PATCH", status=409)
        office.activate(number, status=409)

        second = office.put({"default": to(names["stripe"])})
        third = office.put({"default": to(names["paystack"])})
        assert [one["status"] for one in office.get()["data"][:3]] == ["active", "retired", "retired"]
        back = office.ask("/rollback", WHY)
        assert (back["retired"], back["active"]["version"]) == (third, second)
        assert office.ask("/rollback", {**WHY, "to": third})["active"]["version"] == third
        assert office.ask("/rollback", {**WHY, "replaces": third})["active"]["version"] == second
        assert office.ask("/rollback", WHY)["active"]["version"] == number
        assert office.activate(third)["version"] == third
        office.ask("/rollback", {**WHY, "to": 9999}, status=404)
        office.ask("/rollback", {**WHY, "to": office.draft({"default": to(names["stripe"])})["version"]}, status=409)

    def test_before_the_first_there_is_the_accounts_own_priority(
        self, world: World, admin: str, names: dict[str, str]
    ) -> None:
        scope = Scope(accounts.create_merchant(world.admin, "Shop without a route"), "test")
        account = public_id("provider_account", world.add_account("stripe", scope, name=f"stripe.{uuid4().hex}"))
        mine = Office(world, admin, scope)
        assert mine.get()["data"] == []
        mine.ask("/rollback", WHY, status=409)
        mine.put({"default": to(account)})
        assert mine.ask("/rollback", WHY) == {"retired": 1, "active": None}
        explained = mine.explain(sample={"amount": 5000, "currency": "USD"})
        assert explained["words"][0] == "No route was active: accounts are tried by their own priority."
        assert [one["share"] for one in explained["accounts"]] == [1.0]

    def test_who_when_and_what_is_in_the_audit_log(self, world: World, office: Office, names: dict[str, str]) -> None:
        before = office.put({"default": to(names["stripe"])})
        number = office.put({"default": to(names["second"])})
        query = (
            "SELECT action, actor, from_status, to_status, details, after FROM audit_log WHERE subject_kind = 'route' "
            "ORDER BY number DESC LIMIT 3"
        )
        activated, retired, drafted = world.rows(query)
        assert (activated["action"], activated["from_status"], activated["to_status"]) == (
            "route.activated",
            "draft",
            "active",
        )
        assert activated["details"]["reason"] == "a test"
        assert (activated["details"]["version"], activated["details"]["replaces"]) == (number, before)
        assert activated["details"]["definition"] == {"default": to(names["second"])}
        assert (retired["from_status"], retired["to_status"]) == ("active", "retired")
        assert drafted["action"] == "route.drafted"
        assert drafted["after"]["definition"] == {"default": to(names["second"])}
        assert {one["actor"] for one in (activated, retired, drafted)} == {activated["actor"]}
        assert activated["actor"].startswith("key:")

    def test_of_two_activations_at_once_one_is_active_and_both_are_told(
        self, world: World, office: Office, names: dict[str, str]
    ) -> None:
        versions = [office.draft({"default": to(names["stripe"])})["version"] for _ in range(6)]
        start, answers = threading.Barrier(len(versions)), {}

        def act(version: int) -> None:
            start.wait()
            url = f"{office.home}/{version}/activate?mode=test"
            answers[version] = world.request("POST", url, key=office.key, json={**WHY, "replaces": 0}).status_code

        threads = [threading.Thread(target=act, args=(one,)) for one in versions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(answers.values()) == [200] + [409] * 5, answers
        winner = next(version for version, status in answers.items() if status == 200)
        active = [one["version"] for one in office.get()["data"] if one["status"] == "active"]
        assert active == [winner]

    def test_drafts_at_once_are_numbered_one_after_the_other(
        self, world: World, office: Office, names: dict[str, str]
    ) -> None:
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda: found.append(office.draft({"default": to(names["stripe"])})["version"]))
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(found) == list(range(min(found), min(found) + 6))


class TestBadInput:
    @pytest.mark.parametrize(
        ("definition", "field", "words"),
        [
            ({"default": to("acc_00000000000000000000000000")}, "default.then", "no account of this merchant"),
            (
                {"rules": [rule("r", {"currency": ["USD"], "amount": {"min": 9, "max": 8}}, "stripe")]},
                "rules[0].when.amount",
                "no amount lies between",
            ),
            ({"rules": [rule("r", {"currency": ["XXX"]}, "stripe")]}, "rules[0].when.currency", "'XXX' is not"),
            ({"default": {"then": {"weights": {"stripe": 60, "second": 30}}}}, "default.then.weights", "add up to 90"),
            (
                {"rules": [rule("r", {"currency": ["JPY"]}, "paystack")]},
                "rules[0].then",
                "paystack cannot take JPY in such amounts: nothing could ever match",
            ),
            (
                {"rules": [rule("r", {"method": ["token"]}, "paystack")]},
                "rules[0].then",
                "paystack cannot take payment method token: nothing could ever match",
            ),
            (
                {"rules": [rule("r", {"currency": ["USD"], "amount": {"max": 10}}, "stripe")]},
                "rules[0].then",
                "stripe cannot take USD in such amounts",
            ),
        ],
    )
    def test_is_told_at_its_place_and_nothing_is_kept(
        self, world: World, office: Office, names: dict[str, str], definition: Any, field: str, words: str
    ) -> None:
        definition = _named(definition, names)
        before = world.rows("SELECT count(*) AS n FROM routes")
        refused = office.draft(definition, status=422)
        assert any(one["field"] == field and words in one["message"] for one in refused["errors"]), refused
        assert world.rows("SELECT count(*) AS n FROM routes") == before
        checked = office.ask("/validate", {"definition": definition})
        assert not checked["valid"]
        assert checked["errors"] == refused["errors"]

    @pytest.mark.parametrize(
        ("definition", "field"),
        [
            ({"rules": [{"name": "R", "then": {"accounts": ["acc"]}}]}, "definition.rules[0].name"),
            ({"rules": [rule("r", {"weather": []}, "stripe")]}, "definition.rules[0].when.weather"),
            ({"default": {"then": {"weights": {"stripe": 1.5}}}}, "definition.default.then.weights"),
            ({"default": {"then": {"accounts": []}}}, "definition.default.then.accounts"),
        ],
    )
    def test_what_has_not_even_the_form_is_refused_by_the_gate(
        self, office: Office, names: dict[str, str], definition: Any, field: str
    ) -> None:
        refused = office.draft(_named(definition, names), status=422)
        assert any(one["field"].startswith(field) for one in refused["errors"]), refused

    def test_what_may_be_is_warned_of(self, world: World, office: Office, names: dict[str, str]) -> None:
        definition = {
            "rules": [
                rule("some", {"currency": ["NGN", "JPY"]}, names["paystack"]),
                {"name": "shared", "then": {"weights": {names["stripe"]: 50, names["second"]: 50}}},
                rule("never", {"currency": ["EUR"]}, names["stripe"]),
            ],
            "default": to(names["stripe"], names["paystack"]),
        }
        with world.owner.begin() as connection:
            connection.execute(
                sa.text("UPDATE provider_accounts SET status = 'draining' WHERE id = :id"),
                {"id": parse_id("provider_account", names["paystack"])},
            )
        found = office.draft(definition)["warnings"]
        assert [(one["field"], one["message"].partition(":")[0]) for one in found] == [
            ("rules[0].then", "no account of the rule is enabled (" + names["paystack"] + " is draining)"),
            ("rules[0].when.currency", "JPY"),
            ("rules[1].then", found[2]["message"].partition(":")[0]),
            ("default.then", f"{names['paystack']} is draining"),
            ("rules[2]", "never applies"),
        ]
        assert "a token is good at the account that made it alone" in found[2]["message"]

    def test_what_would_refuse_everything_is_not_activated(
        self, world: World, office: Office, names: dict[str, str]
    ) -> None:
        good = office.put({"default": to(names["stripe"])})
        version = office.draft({"default": to(names["second"])})["version"]
        with world.owner.begin() as connection:
            connection.execute(
                sa.text("UPDATE provider_accounts SET status = 'disabled' WHERE id = :id"),
                {"id": parse_id("provider_account", names["second"])},
            )
        refused = office.activate(version, status=422)
        assert "no account of the rule is enabled" in refused["errors"][0]["message"]
        assert not office.get(f"/{version}")["valid"]
        assert [one["version"] for one in office.get()["data"] if one["status"] == "active"] == [good]

    def test_a_reason_a_mode_and_a_version_are_needed(
        self, world: World, office: Office, names: dict[str, str]
    ) -> None:
        body = {"definition": {"default": to(names["stripe"])}}
        office.ask("", body, status=422)
        office.ask("", {**body, "reason": "4242 4242 4242 4242"}, status=422)
        office.get("/999", status=404)
        office.ask("/999/activate", WHY, status=404)
        office.ask("/explain", {}, status=422)
        answer = world.request("GET", office.home, key=office.key)
        assert answer.status_code == 422


def _named(value: Any, names: dict[str, str]) -> Any:
    """With accounts by their ids."""
    if isinstance(value, dict):
        return {names.get(name, name): _named(part, names) for name, part in value.items()}
    if isinstance(value, list):
        return [_named(part, names) for part in value]
    return names.get(value, value) if isinstance(value, str) else value


class TestWalls:
    def test_merchants_and_modes_do_not_see_or_use_each_others(
        self, world: World, office: Office, names: dict[str, str], admin: str
    ) -> None:
        version = office.put({"default": to(names["second"])})
        scope = Scope(accounts.create_merchant(world.admin, "Other shop"), "test")
        account = world.add_account("stripe", scope, name=f"stripe.{uuid4().hex}")
        other = Office(world, admin, scope)
        assert other.get()["data"] == []
        other.get(f"/{version}", status=404)
        other.activate(version, status=404)
        refused = other.draft({"default": to(names["second"])}, status=422)
        assert "no account of this merchant and mode" in refused["errors"][0]["message"]
        live = Office(world, admin, Scope(world.merchant_id, "live"))
        assert live.get()["data"] == []
        live.activate(version, status=404)

        key = world.make_key("test", merchant_id=scope.merchant_id)
        made = world.post("/v1/payments", world.redirect_body(), key=key).json()["payment"]
        world.settle()
        found = world.get(f"/v1/payments/{made['id']}", key=key).json()
        assert found["provider_account"] == public_id("provider_account", account)
        mine = page(world)
        other.ask("/explain", {"payment": mine["id"]}, status=404)

    def test_who_may_only_read_explains_and_changes_nothing(
        self, world: World, office: Office, names: dict[str, str]
    ) -> None:
        version = office.draft({"default": to(names["stripe"])})["version"]
        reader = Office(world, world.make_key("admin", ["admin:read"]))
        assert reader.get(f"/{version}")["version"] == version
        assert reader.explain(version=version, sample={"amount": 5000, "currency": "USD"})["rule"] == "default"
        assert reader.ask("/validate", {"definition": {"default": to(names["stripe"])}})["valid"]
        reader.draft({"default": to(names["stripe"])}, status=403)
        reader.activate(version, status=403)
        reader.ask("/rollback", WHY, status=403)
        reader.ask(f"/{version}", WHY, "PATCH", status=403)
        writer = Office(world, world.make_key("admin", ["admin:read", "admin:routes"]))
        assert writer.activate(version)["status"] == "active"


class TestExplaining:
    def test_every_rule_and_every_account_in_words(self, office: Office, names: dict[str, str]) -> None:
        shared = {"weights": {names["stripe"]: 70, names["second"]: 30}}
        definition = {
            "rules": [
                rule("naira", {"currency": ["NGN"]}, names["paystack"]),
                {"name": "pages", "when": {"method": ["redirect"]}, "then": shared},
                rule("late", {"currency": ["USD"]}, names["paystack"]),
            ]
        }
        found = office.explain(definition=definition, sample={"amount": 5000, "currency": "usd"})
        assert (found["rule"], found["refused"]) == ("pages", None)
        assert [(one["rule"], one["applies"]) for one in found["rules"]] == [
            ("naira", False),
            ("pages", True),
            ("late", None),
        ]
        assert [(one["account"], one["weight"], one["share"]) for one in found["accounts"][:2]] == [
            (names["stripe"], 70, 0.7),
            (names["second"], 30, 0.3),
        ]
        left_out = found["accounts"][2]
        assert (left_out["account"], left_out["eligible"]) == (names["paystack"], False)
        assert found["words"][0] == "Rule naira does not apply: the currency is USD, not NGN."
        nobody = office.explain(definition=definition, sample={"amount": 5000, "currency": "NGN", "method": "token"})
        assert nobody["refused"]["code"] == "capability_unsupported"
        assert nobody["words"][-1].startswith("The payment is refused: ")

    def test_it_is_what_then_happens(self, world: World, office: Office, names: dict[str, str]) -> None:
        office.put(
            {
                "rules": [rule("naira", {"currency": ["NGN"]}, names["paystack"], names["stripe"])],
                "default": to(names["second"], names["stripe"]),
            }
        )
        for asked in ({"currency": "NGN", "amount": 500_000}, {"currency": "USD", "amount": 5000}):
            said = office.explain(sample=asked)
            payment = page(world, **asked)
            world.settle()
            assert world.payment(payment["id"])["provider_account"] == said["accounts"][0]["account"]


class TestHotPath:
    def test_accepting_a_payment_takes_as_many_trips_with_a_route_as_without(
        self, world: World, office: Office, names: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent: list[str] = []
        send = pipeline._send

        def counted(connection: Any, text: str) -> Any:
            if threading.current_thread() is not threading.main_thread():
                sent.append(text)
            return send(connection, text)

        def trips() -> int:
            world.create()
            sent.clear()
            world.create()
            return len(sent)

        monkeypatch.setattr(pipeline, "_send", counted)
        without = trips()
        definition = {"rules": [rule("cards", {"method": ["token"]}, names["stripe"])]}
        office.put(definition)
        assert trips() == without
        world.settle()

    def test_a_definition_travels_once(self, world: World, office: Office, names: dict[str, str]) -> None:
        version = office.put({"default": to(names["stripe"])})
        page(world)
        row = world.one("SELECT id FROM routes WHERE merchant_id = :m AND version = :v", m=world.merchant_id, v=version)
        assert routing.known_id(world.scope) == row["id"]

    def test_what_a_newer_program_has_activated_is_not_guessed_at(
        self, world: World, office: Office, names: dict[str, str]
    ) -> None:
        version = office.put({"default": to(names["stripe"])})
        with world.owner.begin() as connection:
            connection.execute(
                sa.text("UPDATE routes SET definition = '{\"moods\": []}' WHERE merchant_id = :m AND version = :v"),
                {"m": world.merchant_id, "v": version},
            )
        answer = world.post("/v1/payments", world.payment_body())
        assert answer.status_code == 503


def test_an_unknown_person_s_reason_is_kept_whole(world: World, office: Office, names: dict[str, str]) -> None:
    """By the functions that the command line calls."""
    told = Person("cli:ada", "because")
    made = routes.draft(world.admin, world.scope, {"default": to(names["stripe"])}, " ", told)
    assert (made["note"], made["created_by"]) == (None, "cli:ada")
