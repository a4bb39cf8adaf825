"""Administrators made and changed over the pages and the Admin API; nobody gives more than they have."""

from __future__ import annotations

import re
from typing import Any

import pytest

from core.domain.errors import GrantRefused, RequestRefused, StateConflict
from core.domain.identifiers import public_id
from core.orchestration import api_keys
from core.orchestration.administrators import passwords, roster
from core.orchestration.administrators.roster import By
from tests.dashboard.people import Browser, browser_for, log_in, make_account, make_person, trail_of
from tests.support.world import World


@pytest.fixture
def admin(world: World) -> Browser:
    return browser_for(world, "admin")


def test_a_person_is_made_and_changed(world: World, admin: Browser) -> None:
    admin.get("/dashboard/people")
    admin.submit("/dashboard/people", name="Grace@Example.com", role="finance")
    assert admin.title() == "Hand this over"
    assert admin.page is not None
    assert admin.page.headers["Cache-Control"] == "no-store"
    password = re.search(r"<code>([a-z2-9]{4}(?:-[a-z2-9]{4}){3})</code>", admin.page.text)
    assert password is not None
    other = Browser(world.url)
    other.get("/dashboard/login")
    other.submit("/dashboard/login", name="grace@example.com", password=password[1])
    assert other.title() == "Set up your codes"
    number = roster.find(world.admin, "grace@example.com")
    address = f"/dashboard/people/{public_id('administrator', number)}"
    admin.get(address)
    admin.submit("/role", role="support")
    assert "The role is changed." in admin.text()
    admin.submit("/disable")
    assert other.get("/dashboard/enrol", follow=False).headers["Location"].startswith("/dashboard/login")
    admin.submit("/enable")
    admin.submit("/password")
    assert admin.title() == "Hand this over"
    admin.get(address)
    admin.submit("/code")
    told = [row["action"].removeprefix("administrator.") for row in trail_of(world, number)]
    assert told == [
        "created", "password_given", "role_changed", "disabled", "sessions_ended", "enabled", "password_reset",
        "code_reset",
    ]  # fmt: skip
    changed = trail_of(world, number)[2]
    assert (changed["before"], changed["after"]) == ({"role": "finance"}, {"role": "support"})
    assert changed["actor"].startswith("person:adm_")
    admin.get("/dashboard/people")
    again = admin.submit("/dashboard/people", name="grace@example.com", role="viewer")
    assert again.status_code == 409
    admin.get("/dashboard/people")
    assert admin.submit("/dashboard/people", name="no spaces", role="viewer").status_code == 422


def test_sessions_of_others_are_ended(world: World, admin: Browser) -> None:
    person = make_account(world, "viewer")
    first, second = log_in(world, person), log_in(world, person)
    admin.get(f"/dashboard/people/{public_id('administrator', person.id)}")
    admin.submit("/sessions/end")
    alive = [one.get("/dashboard/account", follow=False).status_code for one in (first, second)]
    assert sorted(alive) == [200, 303]
    form = next(one for one in admin.forms() if one.action.endswith("/sessions/end") and "session" not in one.fields)
    admin.post(form.action, form.fields)
    assert [one.get("/dashboard/account", follow=False).status_code for one in (first, second)] == [303, 303]


def test_a_role_holds_from_the_next_page_on(world: World) -> None:
    person = make_person(world, "admin")
    browser = browser_for(world, person=person)
    assert browser.get("/dashboard/people").status_code == 200
    roster.set_role(world.admin, person, "viewer", By("tests"))
    assert browser.get("/dashboard/people").status_code == 403


def test_one_admin_stays(world: World) -> None:
    with world.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE administrators SET disabled_at = app_now() WHERE role = 'admin'")
    last = make_person(world, "admin")
    for act in (
        lambda: roster.disable(world.admin, last, By("tests")),
        lambda: roster.set_role(world.admin, last, "finance", By("tests")),
    ):
        with pytest.raises(StateConflict, match="last one"):
            act()
    make_person(world, "admin")
    roster.set_role(world.admin, last, "finance", By("tests"))


def test_nobody_gives_more_than_they_have(world: World) -> None:
    """Also not by taking over somebody who may more."""
    by = By("tests", None, frozenset({"admin:read", "admin:people"}))
    admin, viewer = make_person(world, "admin"), make_person(world, "viewer")
    for act in (
        lambda: roster.create(world.admin, "eve-the-admin", "admin", by),
        lambda: roster.set_role(world.admin, viewer, "support", by),
        lambda: roster.set_role(world.admin, admin, "viewer", by),
        lambda: roster.reset_password(world.admin, admin, by),
        lambda: roster.reset_code(world.admin, admin, by),
        lambda: roster.enable(world.admin, admin, by),
    ):
        with pytest.raises(GrantRefused):
            act()
    roster.reset_password(world.admin, viewer, by)


def test_the_admin_api_does_the_same(world: World) -> None:
    key = api_keys.create(world.admin, kind="admin", name="people", scopes=["admin:read", "admin:people"]).text

    def ask(method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        options: dict[str, Any] = {} if body is None else {"json": body}
        answer = world.http.request(
            method, f"{world.url}/admin/v1/administrators{path}", headers={"Authorization": f"Bearer {key}"},
            timeout=20, **options,
        )  # fmt: skip
        return answer.status_code, answer.json()

    status, made = ask("POST", "", {"name": "ada-of-the-api", "role": "viewer"})
    assert (status, made["administrator"]["must_choose_password"]) == (201, True)
    one = f"/{made['administrator']['id']}"
    assert ask("POST", "", {"name": "ada-of-the-api", "role": "viewer"})[0] == 409
    assert ask("POST", "", {"name": "eve-of-the-api", "role": "admin"})[1]["code"] == "scope_missing"
    assert ask("POST", "", {"name": "Eve", "role": "viewer"})[0] == 422
    assert made["administrator"] in ask("GET", "")[1]["data"]
    assert ask("POST", f"{one}/role", {"role": "support"})[0] == 403
    assert ask("POST", f"{one}/disable")[1]["status"] == "disabled"
    assert ask("POST", f"{one}/enable")[1]["status"] == "enabled"
    assert ask("POST", f"{one}/reset_password")[1]["password"] != made["password"]
    assert ask("POST", f"{one}/reset_code")[1]["has_code"] is False
    person = make_account(world, "viewer")
    browser = log_in(world, person)
    other = f"/{public_id('administrator', person.id)}"
    (session,) = ask("GET", f"{other}/sessions")[1]["data"]
    assert session["address"] == "127.0.0.1"
    assert ask("POST", f"{other}/end_sessions", {"session": session["id"]}) == (200, {"ended": 1})
    assert ask("POST", f"{other}/end_sessions", {})[1] == {"ended": 0}
    assert browser.get("/dashboard/account", follow=False).status_code == 303
    assert ask("GET", "/adm_00000000000000000000000000")[0] == 404
    assert {row["actor"].partition(":")[0] for row in trail_of(world, person.id)} == {"tests", "person", "key"}


@pytest.mark.parametrize(
    "password",
    [
        "short", "x" * 129, "aaaaaaaaaaaaaaa", "abababababab", "123456789012", "abcdefghijklmn", "password1234567",
        "P4ssw0rd-2024!", "letmein-monkey-99", "Tollgate2026!!", "ada.lovelace-2", "new\nline and more",
        "qwertyuiop12345",
    ],
)  # fmt: skip
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        passwords.check("ada.lovelace@example.com", password)
    assert password not in refused.value.detail


@pytest.mark.parametrize("password", ["correct horse battery", "räksmörgås på bordet", "x7Fq-p2Lm-z9Rt-k4Wd"])
def test_good_ones_are_taken(password: str) -> None:
    passwords.check("ada.lovelace@example.com", password)


def test_made_passwords_pass_their_own_policy() -> None:
    for _ in range(200):
        passwords.check("somebody", passwords.make())
