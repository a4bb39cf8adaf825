"""What people do in Chromium: by mouse, by keyboard alone, without scripts; and what a session that is over may not."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from core.domain.identifiers import parse_id
from tests.browser.conftest import Make, log_in, make_person
from tests.browser.pages import address
from tests.browser.stage import Stage
from tests.support.waiting import wait_until

Enter = Callable[..., Page]
WHY = "ticket 7: looked at it"


def status_of(stage: Stage, job: str) -> str:
    found: str = stage.query("SELECT status FROM jobs WHERE id = %s", str(parse_id("job", job)))[0]["status"]
    return found


def test_support_has_a_job_asked_again(stage: Stage, enter: Enter) -> None:
    job = stage.job_in_review("requeued")
    page = enter("support")
    page.goto(f"{stage.home}/jobs")
    page.locator(f"a[href$='{job}']").click()
    page.get_by_text("Have it asked again").click()
    page.get_by_label("Reason").first.fill(WHY)
    page.get_by_role("button", name="Queue it again").click()
    expect(page.get_by_role("status")).to_have_text("The job is queued again, with all its tries.")
    wait_until(lambda: status_of(stage, job) == "succeeded", "the worker to do it", 60, every=0.2)
    page.reload()
    assert page.get_by_role("status").count() == 0  # said once
    assert WHY in page.locator("main").inner_text()


def test_support_reads_an_event_again(stage: Stage, enter: Enter) -> None:
    page = enter("support")
    page.goto(address(stage, "/inbox/{parked_2}"))
    page.get_by_text("Have it read again").click()
    page.get_by_label("Reason").fill(WHY)
    page.get_by_role("button", name="Read it again").click()
    expect(page.get_by_role("status")).to_contain_text("It will be read again")


def test_finance_puts_a_finding_into_hands_and_ends_it(stage: Stage, enter: Enter) -> None:
    finding = stage.finding("refund_not_ours", 700, "USD", {})
    page = enter("finance")
    page.goto(f"{stage.home}/findings/{finding}")
    page.get_by_text("Put it into somebody's hands").click()
    page.get_by_label("Whose").fill("Ada")
    page.locator("#assign-reason").fill(WHY)
    page.get_by_role("button", name="Assign").click()
    expect(page.get_by_role("status")).to_have_text("The finding is in the hands of Ada.")
    page.locator("summary", has_text="It was put right elsewhere").click()
    page.locator("#resolve-done-reason").fill(WHY)
    page.locator("#resolve-done-confirm").check()
    page.get_by_role("button", name="It was put right elsewhere").click()
    expect(page.get_by_role("status")).to_have_text("The finding is resolved.")


def test_an_admin_drains_an_account_and_takes_it_back(stage: Stage, enter: Enter) -> None:
    page = enter("admin")
    page.goto(address(stage, "/accounts/{account}"))
    for button, word in (("Drain", "draining"), ("Enable", "enabled")):
        page.locator("summary", has_text=button).click()
        act = page.locator("details[open].act")
        act.get_by_label("Reason").fill(WHY)
        act.get_by_role("checkbox").check()
        act.get_by_role("button", name=button).click()
        expect(page.get_by_role("status")).to_have_text(f"The account is {word}.")


def test_what_is_refused_keeps_what_was_typed(stage: Stage, enter: Enter) -> None:
    page = enter("support")
    page.goto(address(stage, "/jobs/{undecided}"))
    page.locator("summary", has_text="The provider shows it done").click()
    act = page.locator("details[open].act")
    act.get_by_label("Id at the provider").fill("pi_of_nobody")
    act.get_by_label("Sum, in minor units").fill("50.00")
    act.get_by_label("Reason").fill(WHY)
    act.get_by_role("checkbox").check()
    act.get_by_role("button").click()
    expect(page.get_by_role("alert")).to_contain_text("The amount cannot be read")
    open_act = page.locator("details[open].act")
    assert open_act.get_by_label("Id at the provider").input_value() == "pi_of_nobody"
    assert open_act.get_by_label("Sum, in minor units").input_value() == "50.00"
    assert open_act.get_by_label("Sum, in minor units").get_attribute("aria-invalid") == "true"
    assert open_act.get_by_label("Reason").input_value() == WHY
    assert open_act.get_by_role("checkbox").is_checked()
    assert status_of(stage, stage.ids["undecided"]) == "needs_review"


def test_by_keyboard_alone(stage: Stage, enter: Enter) -> None:
    """The skip link first, each stop can be seen, and a job is decided without a mouse."""
    job = stage.job_in_review("by_keyboard")
    page = enter("support")
    page.goto(f"{stage.home}/jobs/{job}")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.locator("a.skip").bounding_box()["x"] >= 0  # type: ignore[index]
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    stops = []
    for _ in range(40):
        page.keyboard.press("Tab")
        stop = page.evaluate(
            "(() => { const one = document.activeElement, style = getComputedStyle(one);"
            "return [one.tagName, one.textContent.trim(), style.outlineStyle, parseFloat(style.outlineWidth)]; })()"
        )
        assert (stop[2] != "none", stop[3] >= 2) == (True, True), stop
        stops.append(stop[1])
        if stop[0] == "SUMMARY" and stop[1] == "Have it asked again":
            break
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type(WHY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("queued again")


def test_without_scripts_all_of_it_works(stage: Stage, enter: Enter) -> None:
    job = stage.job_in_review("without_scripts")
    page = enter("support", java_script_enabled=False)
    page.goto(f"{stage.home}/jobs/{job}")
    page.locator("summary", has_text="It is settled and did not do its work").click()
    act = page.locator("details[open].act")
    act.get_by_label("Reason").fill(WHY)
    act.get_by_role("checkbox").check()
    act.get_by_role("button").click()
    expect(page.get_by_role("status")).to_contain_text("The job is failed.")


def test_a_form_without_its_token_does_nothing(stage: Stage, enter: Enter) -> None:
    job = stage.job_in_review("no_token")
    page = enter("support")
    page.goto(f"{stage.home}/jobs/{job}")
    page.evaluate("document.querySelectorAll('main input[name=csrf]').forEach(one => one.remove())")
    page.get_by_text("Have it asked again").click()
    page.get_by_label("Reason").first.fill(WHY)
    page.get_by_role("button", name="Queue it again").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The form was not sent from here")
    assert status_of(stage, job) == "needs_review"


@pytest.mark.parametrize("how", ["logged out", "ended by others"])
def test_a_session_that_is_over_shows_nothing_more(stage: Stage, contexts: Make, how: str) -> None:
    """Not by going back either: no page is kept."""
    page = contexts().new_page()
    log_in(page, stage, make_person(stage, "viewer", f"guest-{len(how)}"))
    page.goto(f"{stage.home}/findings")
    if how == "logged out":
        page.get_by_role("button", name="Log out").click()
        page.go_back()
    else:
        stage.query(
            "UPDATE administrator_sessions SET ended_at = app_now(), ended_because = 'tests' WHERE ended_at IS NULL "
            "AND id = (SELECT id FROM administrator_sessions ORDER BY created_at DESC LIMIT 1)"
        )
        page.get_by_role("link", name="Jobs").click()
    expect(page.get_by_label("Password")).to_be_visible()
    assert urlsplit(page.url).path == "/dashboard/login"
