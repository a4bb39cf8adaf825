"""Each page for each role, in Chromium: what is there, what is not, on a phone, in the dark, without scripts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.browser.pages import MENUS, PAGES, ROLES, address, faint, of_role, too_wide, unnamed
from tests.browser.stage import CANARY, Stage

Enter = Callable[..., Page]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_sees_its_pages_and_no_others(stage: Stage, enter: Enter, role: str) -> None:
    page = enter(role)
    page.goto(stage.home)
    assert page.locator("nav.menu a").all_inner_texts() == list(MENUS[role])
    seen = {}
    for name in PAGES:
        answer = page.goto(address(stage, name))
        assert answer is not None
        seen[name] = answer.status
        assert unnamed(page) == [], name
        assert page.evaluate("window.ran") is None, name
    assert seen == {name: 200 if role in roles else 403 for name, roles in PAGES.items()}


@pytest.mark.parametrize("role", ["viewer", "admin"])
def test_what_a_role_may_not_do_has_no_button(stage: Stage, enter: Enter, role: str) -> None:
    page = enter(role)
    forms = 0
    for path in of_role(stage, role):
        page.goto(path)
        forms += page.locator("main form[method=post]").count()
    assert (forms == 0) == (role == "viewer")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_on_a_phone_nothing_sticks_out_and_everything_can_be_read(stage: Stage, enter: Enter, colours: str) -> None:
    page = enter("admin", viewport={"width": 360, "height": 740}, color_scheme=colours)
    for path in of_role(stage, "admin"):
        page.goto(path)
        page.evaluate("document.querySelectorAll('main details').forEach(one => { one.open = true; })")
        assert too_wide(page) == [], path
        assert faint(page) == [], path


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_on_a_desk_everything_can_be_read(stage: Stage, enter: Enter, colours: str) -> None:
    page = enter("admin", color_scheme=colours)
    for path in of_role(stage, "admin"):
        page.goto(path)
        assert too_wide(page) == [], path
        assert faint(page) == [], path


def test_the_dark_is_dark(stage: Stage, enter: Enter) -> None:
    read = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number).reduce((a, b) => a + b)"
    found = {}
    for colours in ("light", "dark"):
        page = enter("viewer", color_scheme=colours)
        page.goto(stage.home)
        found[colours] = page.evaluate(read)
    assert found["light"] > 600
    assert found["dark"] < 150


def test_what_others_wrote_is_text(stage: Stage, enter: Enter) -> None:
    """On each page that shows it: as it was written, and as nothing else."""
    page = enter("admin")
    for name in (
        "/jobs/{job}",
        "/inbox/{parked}",
        "/inbox?status=parked",
        "/findings/{statement_amount_differs}",
        "/endpoints",
    ):
        page.goto(address(stage, name))
        assert CANARY in page.locator("main").inner_text(), name
        assert page.locator("main img, main script").count() == 0
        assert page.evaluate("window.ran") is None


def test_charts_say_what_they_show(stage: Stage, enter: Enter) -> None:
    page = enter("viewer")
    page.goto(stage.home)
    charts = page.get_by_role("img")
    assert charts.count() == 6  # two for each of three currencies
    for chart in charts.all():
        assert chart.locator("title").first.inner_html()
        assert chart.locator("desc").inner_html()
    page.get_by_text("The figures as a table").first.click()
    assert page.get_by_role("columnheader", name="Success").first.is_visible()
