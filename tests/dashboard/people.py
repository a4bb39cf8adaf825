"""People at the dashboard, over real HTTP: a browser's cookies, forms as they stand on the page, and made sessions."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin
from uuid import UUID

import requests

from core.audit.log import EVERYBODY
from core.domain.identifiers import new_id, public_id
from core.orchestration.administrators import codes, roster, sessions
from core.orchestration.administrators.roster import By
from core.orchestration.administrators.trail import From
from core.persistence.queries import administrators as rows
from tests.support.world import World

ROLES = ("viewer", "support", "finance", "admin")


@dataclass
class Form:
    """One form of a page, with what its fields hold."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._select: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.found.append(Form(given.get("action") or "", (given.get("method") or "get").lower()))
        elif tag in ("input", "textarea") and self.found and given.get("name"):
            if given.get("type") not in ("checkbox", "radio") or "checked" in given:
                self.found[-1].fields[str(given["name"])] = given.get("value") or ""
        elif tag == "select" and self.found:
            self._select = given.get("name")
        elif tag == "option" and self._select and "selected" in given:
            self.found[-1].fields[self._select] = given.get("value") or ""


class Browser:
    """What a browser does, without running anything: cookies, redirects, and the headers it sends with a form."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = requests.Session()
        self.http.headers["User-Agent"] = "Tests/1.0"
        self.page: requests.Response | None = None

    def get(self, path: str, follow: bool = True, **options: Any) -> requests.Response:
        self.page = self.http.get(urljoin(self.url, path), timeout=20, allow_redirects=follow, **options)
        return self.page

    def post(self, path: str, fields: Mapping[str, str], follow: bool = True, **headers: str) -> requests.Response:
        sent = {"Origin": self.url, "Sec-Fetch-Site": "same-origin", "Referer": self._referer()}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        self.page = self.http.post(
            urljoin(self.url, path), data=dict(fields), headers=sent, timeout=20, allow_redirects=follow
        )
        return self.page

    def forms(self) -> list[Form]:
        assert self.page is not None
        parser = _Forms()
        parser.feed(self.page.text)
        return parser.found

    def form(self, action: str) -> Form:
        """The form of the page whose action ends so."""
        found = [one for one in self.forms() if one.action.partition("?")[0].endswith(action)]
        assert found, f"no form for {action} among {[one.action for one in self.forms()]}"
        return found[0]

    def submit(self, action: str, follow: bool = True, **fields: str) -> requests.Response:
        """Fill a form of the page in and send it."""
        form = self.form(action)
        return self.post(form.action, {**form.fields, **fields}, follow)

    def _referer(self) -> str:
        return "" if self.page is None else self.page.url

    def text(self) -> str:
        """What the page says, without its tags."""
        assert self.page is not None
        return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", self.page.text)))

    def title(self) -> str:
        assert self.page is not None
        found = re.search(r"<h1>(.*?)</h1>", self.page.text, flags=re.S)
        assert found is not None, self.page.text[:500]
        return unescape(found[1]).strip()


def make_person(world: World, role: str = "admin", name: str | None = None, **values: Any) -> UUID:
    """An administrator in the database; `values` are columns."""
    number = new_id()
    row = {
        "id": number,
        "name": name or f"{role}-{secrets.token_hex(4)}",
        "role": role,
        "password_hash": "of the tests",
        "created_by": "tests",
        **values,
    }
    with world.admin.database.unscoped() as connection:
        assert rows.insert(connection, row)
    return number


def session_for(world: World, person: UUID, stage: str = "full") -> str:
    """The token of a session that is there already."""
    with world.api.database.scoped(EVERYBODY) as connection:
        return sessions.begin(world.api, connection, person, stage, From("127.0.0.1", "Tests/1.0"))


def browser_for(world: World, role: str = "admin", person: UUID | None = None) -> Browser:
    """A browser in which a person of this role is logged in."""
    browser = Browser(world.url)
    token = session_for(world, person or make_person(world, role))
    browser.http.cookies.set("tollgate_session", token, domain="127.0.0.1", path="/")
    return browser


def home(world: World, mode: str = "test") -> str:
    """Where the world's merchant is."""
    return f"/dashboard/{public_id('merchant', world.merchant_id)}/{mode}"


@dataclass
class Account:
    """A person with a password and a device, as `tollgate admin create` makes one."""

    id: UUID
    name: str
    password: str
    secret: str


def make_account(world: World, role: str = "admin") -> Account:
    name, password = f"{role}-{secrets.token_hex(4)}", f"correct horse {secrets.token_hex(6)}"
    made = roster.create(world.admin, name, role, By("tests"), password=password, with_code=True)
    assert made.secret is not None
    return Account(made.id, name, password, made.secret)


def code_of(world: World, person: Account) -> str:
    """What the device shows now, taken or not: the tests log in more often than twice a minute."""
    with world.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE administrators SET code_step = 0 WHERE id = %s", (person.id,))
    return codes.at(person.secret, world.api.clock())


def log_in(world: World, person: Account, browser: Browser | None = None, path: str = "/dashboard/account") -> Browser:
    """All the way, over the pages."""
    browser = browser or Browser(world.url)
    browser.get(path)
    assert browser.title() == "Log in"
    browser.submit("/dashboard/login", name=person.name, password=person.password)
    assert browser.title() == "Your code", browser.text()
    browser.submit("/dashboard/code", code=code_of(world, person))
    return browser


def trail_of(world: World, person: UUID) -> list[dict[str, Any]]:
    """The audit records about a person, in order."""
    query = "SELECT * FROM audit_log WHERE subject_kind = 'administrator' AND subject_id = %s ORDER BY number"
    with world.owner.connect() as connection:
        return [dict(row) for row in connection.exec_driver_sql(query, (person,)).mappings()]
