"""Debian's Chromium in front of a whole service; what a page logs, runs or fetches and should not fails its test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from cli.service import Service
from core.domain.roles import ROLES
from core.orchestration.administrators import codes, roster
from core.orchestration.administrators.roster import By
from core.persistence.database import present
from tests.browser.stage import Stage, staged

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Person:
    """Who logs in: `secret` is what the device makes its codes from."""

    name: str
    secret: str


@dataclass
class Seen:
    """What no page may do."""

    host: str
    wrong: list[str] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        context.on("console", lambda message: self._said(message.type, message.text))
        context.on("weberror", lambda error: self.wrong.append(f"raised: {error.error}"))
        context.on("request", lambda request: self._asked(request.url))

    def _said(self, kind: str, text: str) -> None:
        # Chromium itself says of each answer of 4xx that it is one; the tests look at those themselves.
        if kind in ("error", "warning") and not text.startswith("Failed to load resource"):
            self.wrong.append(f"{kind}: {text}")

    def _asked(self, url: str) -> None:
        if urlsplit(url).netloc != self.host and not url.startswith("data:"):
            self.wrong.append(f"asked elsewhere: {url}")


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    service = Service(tmp_path_factory.mktemp("browser"), workers=1, temporary=True)
    service.start()
    try:
        with staged(service) as made:
            yield made
    finally:
        service.stop()


@pytest.fixture(scope="session")
def people(stage: Stage) -> Mapping[str, Person]:
    return {role: make_person(stage, role, f"tests-{role}") for role in ROLES}


def make_person(stage: Stage, role: str, name: str) -> Person:
    access = roster.create(stage.core, name, role, By("tests"), password=PASSWORD, with_code=True)
    return Person(access.name, str(access.secret))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program is not None, "there is no Chromium: `sh tests/browser/install.sh` says what to do"
    with sync_playwright() as playwright:
        # Root has no sandbox; what is shown comes from this machine alone.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


Make = Callable[..., BrowserContext]


@pytest.fixture
def contexts(stage: Stage, chromium: Browser) -> Iterator[Make]:
    """Browsers of somebody's own; whatever they did wrong fails the test at its end."""
    url = stage.service.api_url
    seen, made = Seen(urlsplit(url).netloc), []

    def make(**options: Any) -> BrowserContext:
        given = {"base_url": url, "viewport": {"width": 1280, "height": 800}, **options}
        context = chromium.new_context(**given)
        context.set_default_timeout(10_000)
        seen.watch(context)
        made.append(context)
        return context

    yield make
    for context in made:
        context.close()
    assert seen.wrong == []


@pytest.fixture(scope="session")
def logged_in() -> dict[str, Any]:
    """The cookies of each role, once somebody has logged in with it."""
    return {}


@pytest.fixture
def enter(stage: Stage, people: Mapping[str, Person], contexts: Make, logged_in: dict[str, Any]) -> Callable[..., Page]:
    """A page in a browser in which that role is logged in, through the real forms the first time."""

    def enter(role: str, **options: Any) -> Page:
        if role in logged_in:
            return contexts(storage_state=logged_in[role], **options).new_page()
        page = contexts(**options).new_page()
        log_in(page, stage, people[role])
        logged_in[role] = page.context.storage_state()
        return page

    return enter


def log_in(page: Page, stage: Stage, person: Person) -> None:
    """By typing, as people do."""
    page.goto(stage.home)
    assert urlsplit(page.url).path == "/dashboard/login"
    page.get_by_label("Name").fill(person.name)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_label("Code").fill(code_of(stage, person))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def code_of(stage: Stage, person: Person) -> str:
    with stage.core.database.unscoped() as connection:
        return codes.at(person.secret, present(connection))
