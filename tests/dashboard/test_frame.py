"""The frame of the dashboard: who may come in, forms from here alone, errors as pages, and what every page carries."""

from __future__ import annotations

import re

import pytest
import requests

from api.app import build_app
from api.dashboard.door import inside
from api.policy import policy_of
from tests.dashboard.people import ROLES, Browser, browser_for, home, make_person, session_for
from tests.support.world import World


def test_nobody_is_sent_to_the_login_and_back_again(world: World) -> None:
    answer = Browser(world.url).get(f"{home(world)}/payments?status=failed", follow=False)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/dashboard/login?next=/dashboard/mer_")
    assert answer.headers["Location"].endswith("payments%3Fstatus%3Dfailed")


@pytest.mark.parametrize("token", ["", "x", "x" * 101, "\u00e9", "unknown-token-of-the-right-length-aaaaaaaaaa"])
def test_what_is_no_session_opens_nothing(world: World, token: str) -> None:
    headers = {"Cookie": f"tollgate_session={token}".encode()}
    answer = requests.get(f"{world.url}{home(world)}/payments", headers=headers, allow_redirects=False, timeout=10)  # type: ignore[arg-type]
    assert answer.status_code == 303


def test_a_session_is_over_when_it_rests_grows_old_or_is_ended(world: World) -> None:
    address = f"{home(world)}/payments"
    resting, old = browser_for(world, "viewer"), browser_for(world, "viewer")
    assert resting.get(address).status_code == 200
    world.advance(world.settings.session_rest - 120)
    assert old.get(address).status_code == 200
    world.advance(300)
    assert resting.get(address, follow=False).status_code == 303
    for _ in range(int(world.settings.session_lifetime // 1200)):
        world.advance(1200)
        last = old.get(address, follow=False).status_code
    assert last == 303
    ended = browser_for(world, "viewer")
    ended.get("/dashboard/account")
    ended.submit("/dashboard/logout", follow=False)
    assert ended.get(address, follow=False).status_code == 303


def test_a_disabled_person_is_out_at_once(world: World) -> None:
    person = make_person(world, "admin")
    browser = browser_for(world, person=person)
    assert browser.get("/dashboard/account").status_code == 200
    with world.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE administrators SET disabled_at = app_now() WHERE id = %s", (person,))
    assert browser.get("/dashboard/account", follow=False).status_code == 303


def test_what_leaves_carries_no_way_in(world: World) -> None:
    """The cookie is for us alone, and the pages hold nothing that runs or comes from elsewhere."""
    browser = browser_for(world)
    page = browser.get(f"{home(world)}/payments")
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self';")
    assert "unsafe" not in policy
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|\sstyle=|javascript:|https?://", page.text)
    assert browser.http.cookies["tollgate_session"] not in page.text
    for address in re.findall(r'(?:href|src)="(/dashboard/static/[^"]+)"', page.text):
        file = browser.http.get(world.url + address, timeout=10)
        assert (file.status_code, "max-age=31536000" in file.headers["Cache-Control"]) == (200, True), address


def test_a_form_without_its_token_or_from_elsewhere_does_nothing(world: World) -> None:
    browser, other = browser_for(world, "viewer"), browser_for(world, "viewer")
    other.get("/dashboard/account")
    browser.get("/dashboard/account")
    form = browser.form("/dashboard/logout")
    for fields, headers in (
        ({"a": "b"}, {}),
        ({"csrf": "x"}, {}),
        (other.form("/dashboard/logout").fields, {}),
        (form.fields, {"Origin": "https://evil.example"}),
        (form.fields, {"Origin": "null"}),
        (form.fields, {"Sec_Fetch_Site": "cross-site"}),
        (form.fields, {"Sec_Fetch_Site": "same-site"}),
    ):
        answer = browser.post(form.action, fields, **headers)  # type: ignore[arg-type]
        assert (answer.status_code, browser.title()) == (403, "The form was not sent from here"), (fields, headers)
        assert "Nothing was done" in browser.text() or "nothing was done" in browser.text()
        assert browser.get("/dashboard/account").status_code == 200
    assert browser.post(form.action, form.fields, follow=False).status_code == 303


def test_errors_are_pages_with_advice(world: World) -> None:
    browser = browser_for(world, "viewer")
    for path, status in (
        (f"{home(world)}/nothing", 404),
        ("/dashboard/mer_00000000000000000000000000/test/payments", 404),
        (f"/dashboard/{home(world).split('/')[2]}/other/payments", 404),
        (f"{home(world)}/payments?reference=4242424242424242", 422),
        (f"{home(world)}/payments?a=1&a=2", 422),
    ):
        page = browser.get(path)
        assert page.status_code == status, path
        assert page.headers["Content-Type"].startswith("text/html")
        assert page.headers["X-Request-Id"] in page.text
        assert "4242424242424242" not in page.text
    assert browser.http.put(f"{world.url}/dashboard/account", timeout=10).status_code == 405


def test_problems_of_the_api_stay_what_they_are(world: World) -> None:
    assert world.get("/v1/nothing").headers["Content-Type"] == "application/problem+json"
    assert world.get("/dashboards").headers["Content-Type"] == "application/problem+json"


def test_a_half_finished_login_opens_no_page(world: World) -> None:
    person = make_person(world, "admin")
    browser = Browser(world.url)
    for stage, step in (("code", "/dashboard/code"), ("enrol", "/dashboard/enrol")):
        browser.http.cookies.set("tollgate_session", session_for(world, person, stage), domain="127.0.0.1", path="/")
        answer = browser.get("/dashboard/account", follow=False)
        assert answer.headers["Location"].startswith(f"{step}?next="), stage


def test_a_password_that_somebody_else_chose_has_to_be_replaced_first(world: World) -> None:
    person = make_person(world, "admin", password_until="2100-01-01")
    answer = browser_for(world, person=person).get(f"{home(world)}/payments", follow=False)
    assert answer.headers["Location"].startswith("/dashboard/account/password?next=")


def test_every_page_is_of_people_or_before_the_login(world: World) -> None:
    app = build_app(world.api)
    doors = {
        rule.endpoint: policy
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/dashboard") and (policy := policy_of(app.view_functions[rule.endpoint]))
    }
    public = {name.partition(".")[2] for name, policy in doors.items() if policy.door == "public"}
    assert public == {"static_file", "show_login", "log_in"}
    assert {policy.door for policy in doors.values()} == {"person", "public"}
    assert all(policy.body == "form" for policy in doors.values() if policy.body != "none")


@pytest.mark.parametrize("role", ROLES)
def test_the_menu_and_the_switch_show_where_one_is(world: World, role: str) -> None:
    browser = browser_for(world, role)
    page = browser.get(f"{home(world)}/payments")
    assert 'aria-current="page">Payments' in page.text
    assert browser.form("/dashboard/switch").fields["merchant"] == home(world).split("/")[2]
    form = browser.form("/dashboard/switch")
    for page_named, leads_to in ((form.fields["page"], "/payments"), ("list_people", ""), ("log_out", ""), ("x", "")):
        browser.get(f"/dashboard/switch?merchant={form.fields['merchant']}&mode=live&page={page_named}")
        assert browser.page is not None
        assert browser.page.url.endswith(home(world, "live") + leads_to), page_named
    assert browser.get("/dashboard/switch?merchant=x&mode=live").status_code == 404
    assert browser.get(f"/dashboard/switch?merchant={form.fields['merchant']}&mode=both").status_code == 404
    own = browser.get("/dashboard/account").text
    assert f'href="{home(world, "live")}/payments"' in own, "the only merchant there is"


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("/dashboard", True),
        ("/dashboard/mer_1/test/payments?status=failed", True),
        ("https://evil.example/dashboard", False),
        ("//evil.example/dashboard", False),
        ("/dashboard//evil.example", False),
        ("/\\evil.example", False),
        ("/dashboard/../v1", False),
        ("/dashboards", False),
        ("/v1/payments", False),
        ("javascript:alert(1)", False),
        ("/dashboard/\nx", False),
        ("", False),
        (None, False),
    ],
)
def test_the_way_back_stays_inside(target: str | None, kept: bool) -> None:
    assert inside(target) == (target if kept else "/dashboard")
