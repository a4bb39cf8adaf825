"""The matrix of roles, cell by cell: what each sees, and what each may do, in the menu, on the page and by the form."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from api.app import build_app
from api.policy import policy_of
from core.domain.identifiers import public_id
from tests.dashboard.people import ROLES, Browser, browser_for, home, make_person
from tests.support.world import World

Y, N = True, False

#: Route -> viewer, support, finance, admin. Written out, so that nobody widens a role without changing a cell here.
#: The pages of other rooms have a table of their own beside their tests.
MATRIX: Mapping[str, tuple[bool, bool, bool, bool]] = {
    "GET /dashboard": (Y, Y, Y, Y),
    "GET /dashboard/switch": (Y, Y, Y, Y),
    "GET /dashboard/account": (Y, Y, Y, Y),
    "GET /dashboard/account/password": (Y, Y, Y, Y),
    "POST /dashboard/account/password": (Y, Y, Y, Y),
    "POST /dashboard/account/sessions/end": (Y, Y, Y, Y),
    "POST /dashboard/account/spare_codes": (Y, Y, Y, Y),
    "GET /dashboard/confirm": (Y, Y, Y, Y),
    "POST /dashboard/confirm": (Y, Y, Y, Y),
    "POST /dashboard/logout": (Y, Y, Y, Y),
    "GET /dashboard/<merchant>/<mode>/payments": (Y, Y, Y, Y),
    "GET /dashboard/<merchant>/<mode>/payments/<payment>": (Y, Y, Y, Y),
    "POST /dashboard/<merchant>/<mode>/payments/<payment>/sync": (N, Y, N, Y),
    "POST /dashboard/<merchant>/<mode>/payments/<payment>/reveal": (N, Y, N, Y),
    "GET /dashboard/people": (N, N, N, Y),
    "POST /dashboard/people": (N, N, N, Y),
    "GET /dashboard/people/<person>": (N, N, N, Y),
    "POST /dashboard/people/<person>/role": (N, N, N, Y),
    "POST /dashboard/people/<person>/disable": (N, N, N, Y),
    "POST /dashboard/people/<person>/enable": (N, N, N, Y),
    "POST /dashboard/people/<person>/password": (N, N, N, Y),
    "POST /dashboard/people/<person>/code": (N, N, N, Y),
    "POST /dashboard/people/<person>/sessions/end": (N, N, N, Y),
}
#: Steps of a login: no session that is whole reaches them.
STEPS = {"GET /dashboard/code", "POST /dashboard/code", "GET /dashboard/enrol", "POST /dashboard/enrol"}
#: Whose routes the table above is about.
OURS = ("start", "account", "login", "payments", "people")


def routes(world: World) -> dict[str, str]:
    """`METHOD rule` of each page of people -> the module it is written in."""
    app = build_app(world.api)
    found = {}
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        policy = policy_of(view)
        if rule.rule.startswith("/dashboard") and policy is not None and policy.door == "person":
            (method,) = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            found[f"{method} {rule.rule}"] = view.__module__.rpartition(".")[2]
    return found


def test_the_matrix_holds_every_route_of_these_rooms(world: World) -> None:
    ours = {name for name, module in routes(world).items() if module in OURS}
    assert ours == set(MATRIX) | STEPS


@pytest.fixture(scope="module")
def browsers(world: World) -> dict[str, Browser]:
    return {role: browser_for(world, role) for role in ROLES}


@pytest.fixture(scope="module")
def payment(world: World) -> str:
    return str(world.pay()["id"])


@pytest.mark.parametrize("route", MATRIX)
@pytest.mark.parametrize(("column", "role"), list(enumerate(ROLES)))
def test_a_cell(world: World, browsers: dict[str, Browser], payment: str, route: str, column: int, role: str) -> None:
    """A form without its token: who may is told that the form is not ours, who may not is told about their role."""
    method, rule = route.split(" ")
    person = public_id("administrator", make_person(world, "viewer"))
    own = home(world).split("/")
    path = rule.replace("<merchant>", own[2]).replace("<mode>", own[3])
    path = path.replace("<payment>", payment).replace("<person>", person)
    if rule.endswith("/switch"):
        path += f"?merchant={own[2]}&mode=live"
    browser = browsers[role]
    answer = browser.get(path) if method == "GET" else browser.post(path, {"a": "b"})
    allowed = MATRIX[route][column]
    if method == "GET":
        assert answer.status_code == (200 if allowed else 403), browser.text()
    else:
        assert answer.status_code == 403
        assert browser.title() == ("The form was not sent from here" if allowed else "Your role may not do this")


@pytest.mark.parametrize(("column", "role"), list(enumerate(ROLES)))
def test_a_page_shows_the_buttons_that_the_role_may_press(
    world: World, browsers: dict[str, Browser], payment: str, column: int, role: str
) -> None:
    browser = browsers[role]
    browser.get(f"{home(world)}/payments/{payment}")
    actions = {one.action.rpartition("/")[2] for one in browser.forms()}
    assert ("sync" in actions) is MATRIX["POST /dashboard/<merchant>/<mode>/payments/<payment>/sync"][column]
    assert ("/dashboard/people" in str(browser.page and browser.page.text)) is MATRIX["GET /dashboard/people"][column]
