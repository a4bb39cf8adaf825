"""What people were refused is in the audit log: who, what, from where, folded so that nobody can fill it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from core.orchestration.administrators import roster
from core.orchestration.administrators.roster import By
from core.orchestration.administrators.trail import NOBODY
from tests.dashboard.people import Browser, browser_for, make_account, make_person, trail_of
from tests.support.waiting import wait_until
from tests.support.world import World


def refusals(world: World, person: UUID) -> dict[str, dict[str, Any]]:
    """By why; the last of each."""
    found = [row for row in trail_of(world, person) if row["action"] == "administrator.refused"]
    return {row["details"]["why"]: row for row in found}


def test_a_role_that_does_not_reach(world: World) -> None:
    person = make_person(world, "viewer")
    browser = browser_for(world, person=person)
    for _ in range(3):
        assert browser.get("/dashboard/people").status_code == 403
    told = wait_until(lambda: refusals(world, person).get("lacks admin:people"), "the refusal to be told")
    assert told["actor"].startswith("person:adm_")
    assert (told["from_address"], told["details"]["at"]) == ("127.0.0.1", ["GET /dashboard/people"])
    assert told["request_id"].startswith("req_")
    assert len([row for row in trail_of(world, person) if row["action"] == "administrator.refused"]) == 1


def test_a_forged_form(world: World) -> None:
    person = make_person(world, "viewer")
    browser = browser_for(world, person=person)
    assert browser.post("/dashboard/logout", {"csrf": "made up"}).status_code == 403
    told = wait_until(lambda: refusals(world, person).get("form_forged"), "the refusal to be told")
    assert told["details"]["at"] == ["POST /dashboard/logout"]
    account = make_account(world)
    fields = {"csrf": "made up", "name": account.name, "password": account.password}
    assert Browser(world.url).post("/dashboard/login", fields).status_code == 403
    told = wait_until(lambda: refusals(world, NOBODY).get("form_forged"), "the refusal to be told")
    assert (told["actor"], told["details"]["at"]) == ("nobody", ["POST /dashboard/login"])


def test_a_grant_of_more_than_one_has(world: World, monkeypatch: Any) -> None:
    """No role of today may make people and lacks something else: one that did would be told."""
    from core.domain import roles

    person = make_person(world, "finance")
    few = {**roles.ROLES, "finance": roles.ROLES["finance"] | {"admin:people"}}
    monkeypatch.setattr("core.orchestration.administrators.sessions.ROLES", few)
    browser = browser_for(world, person=person)
    browser.get("/dashboard/people")
    assert browser.submit("/dashboard/people", name="eve-of-refusals", role="admin").status_code == 403
    told = wait_until(lambda: refusals(world, person).get("grant_refused"), "the refusal to be told")
    assert told["details"]["at"] == ["POST /dashboard/people"]
    roster.create(world.admin, "eve-of-refusals", "viewer", By("tests"))
