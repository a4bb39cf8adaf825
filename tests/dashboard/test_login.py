"""Logging in over the pages: password, code, device; what is refused and written down; that nobody is locked out."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis
import requests

from core.domain.errors import LoginClosed, LoginRefused, TooManyTries, Unavailable
from core.orchestration.administrators import codes, roster, sessions
from core.orchestration.administrators.login import Logins
from core.orchestration.administrators.passwords import Places
from core.orchestration.administrators.roster import By
from core.orchestration.administrators.trail import NOBODY, From
from core.orchestration.key_notes import KeyNotes
from tests.dashboard.people import Account, Browser, code_of, home, log_in, make_account, trail_of
from tests.support.world import World

WRONG = "not right, or the account is closed"


@pytest.fixture(autouse=True)
def forgotten(world: World) -> Iterator[None]:
    """All tests come from one network address, which must not be slowed down by those before."""
    yield
    client = redis.Redis.from_url(world.settings.redis_url)
    for key in client.scan_iter("tollgate:login:*"):
        client.delete(key)
    client.close()


def actions(world: World, person: Account) -> list[str]:
    return [row["action"].removeprefix("administrator.") for row in trail_of(world, person.id)]


def test_password_then_code_then_where_one_wanted_to_go(world: World) -> None:
    person = make_account(world, "viewer")
    browser = log_in(world, person, path=f"{home(world)}/payments?status=failed")
    assert browser.page is not None
    assert browser.page.url == f"{world.url}{home(world)}/payments?status=failed"
    assert actions(world, person) == ["created", "password_given", "logged_in"]
    last = trail_of(world, person.id)[-1]
    assert last["actor"].startswith("person:adm_")
    assert (last["from_address"], last["details"]["known_browser"]) == ("127.0.0.1", False)
    assert last["request_id"] == browser.page.history[0].headers["X-Request-Id"]


def test_the_cookies_are_for_us_alone(world: World) -> None:
    person, browser = make_account(world), Browser(world.url)
    set_by = [browser.get("/dashboard/login")]
    set_by.append(browser.submit("/dashboard/login", follow=False, name=person.name, password=person.password))
    browser.get("/dashboard/code")
    set_by.append(browser.submit("/dashboard/code", follow=False, code=code_of(world, person)))
    told = [line for answer in set_by for line in answer.raw.headers.getlist("Set-Cookie")]
    assert {line.partition("=")[0] for line in told} == {"tollgate_visitor", "tollgate_session", "tollgate_device"}
    for line in told:
        assert "HttpOnly" in line
        assert "SameSite=Strict" in line
        assert "Path=/" in line
        assert "Domain" not in line


def test_behind_a_trusted_proxy_with_tls_the_cookies_are_held_to_the_host(world: World) -> None:
    """The gate of this world trusts nobody; one that trusts its own machine is asked without a server in between."""
    from api.app import build_app

    settings = world.settings.model_copy(update={"trusted_proxies": world.settings.trusted_proxies or _networks()})
    client = build_app(replace(world.api, settings=settings)).test_client()
    proxied = client.get("/dashboard/login", headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"})
    line = proxied.headers["Set-Cookie"]
    assert line.startswith("__Host-tollgate_visitor=")
    assert "Secure" in line
    plain = client.get("/dashboard/login", headers={"X-Forwarded-For": "203.0.113.9"})
    assert plain.headers["Set-Cookie"].startswith("tollgate_visitor=")
    assert "came without TLS" in plain.get_data(as_text=True)


def _networks() -> object:
    from ipaddress import ip_network

    return (ip_network("127.0.0.0/8"),)


def test_whatever_is_wrong_is_told_in_one_sentence(world: World) -> None:
    person, closed = make_account(world, "admin"), make_account(world, "viewer")
    roster.disable(world.admin, closed.id, By("tests"))
    before = len(trail_of(world, NOBODY))
    for name, password in (
        (person.name, "wrong horse battery"),
        (closed.name, closed.password),
        ("nobody-of-this-name", person.password),
        (person.name, "x" * 200),
    ):
        browser = Browser(world.url)
        browser.get("/dashboard/login")
        answer = browser.submit("/dashboard/login", name=name, password=password)
        assert answer.status_code == 401, name
        assert WRONG in browser.text()
        assert password not in answer.text
        assert "tollgate_session" not in browser.http.cookies
    whys = [row["details"]["why"] for row in trail_of(world, person.id) if row["action"].endswith("login_refused")]
    assert whys == ["password", "password"]
    assert trail_of(world, closed.id)[-1]["details"]["why"] == "disabled"
    unknown = trail_of(world, NOBODY)[before:]
    assert [row["details"] for row in unknown] == [{"why": "name"}]
    assert unknown[0]["actor"] == "nobody"


def test_the_form_of_the_login_is_bound_to_the_browser(world: World) -> None:
    person, browser, other = make_account(world), Browser(world.url), Browser(world.url)
    other.get("/dashboard/login")
    stolen = other.form("/dashboard/login").fields["csrf"]
    browser.get("/dashboard/login")
    fields = {"name": person.name, "password": person.password}
    assert browser.post("/dashboard/login", {**fields, "csrf": stolen}).status_code == 403
    assert Browser(world.url).post("/dashboard/login", {**fields, "csrf": stolen}).status_code == 403
    own = browser.get("/dashboard/login") and browser.form("/dashboard/login").fields["csrf"]
    assert browser.post("/dashboard/login", {**fields, "csrf": own}, Origin="https://evil.example").status_code == 403
    assert browser.post("/dashboard/login", {**fields, "csrf": own}, follow=False).status_code == 303


def test_a_code_opens_once(world: World) -> None:
    person = make_account(world)
    code = code_of(world, person)
    first, second = Browser(world.url), Browser(world.url)
    for browser in (first, second):
        browser.get("/dashboard/login")
        browser.submit("/dashboard/login", name=person.name, password=person.password)
    first.submit("/dashboard/code", code=f"{code[:3]} {code[3:]}")
    assert first.title() != "Your code"
    second.submit("/dashboard/code", code=code)
    assert second.title() == "Your code"
    assert "used before" in second.text()


def test_a_new_session_takes_the_place_of_the_half_one(world: World) -> None:
    person, browser = make_account(world), Browser(world.url)
    browser.get("/dashboard/login")
    browser.submit("/dashboard/login", name=person.name, password=person.password)
    half = browser.http.cookies["tollgate_session"]
    browser.submit("/dashboard/code", code=code_of(world, person))
    assert browser.http.cookies["tollgate_session"] != half
    thief = Browser(world.url)
    thief.http.cookies.set("tollgate_session", half, domain="127.0.0.1", path="/")
    for path in ("/dashboard/account", "/dashboard/code"):  # it is not even half a login any more
        assert thief.get(path, follow=False).headers["Location"].startswith("/dashboard/login?"), path
    with world.owner.connect() as connection:
        rows = connection.exec_driver_sql("SELECT token_hash FROM administrator_sessions").scalars().all()
    assert half.encode() not in {bytes(row) for row in rows}


def test_five_wrong_codes_end_the_half_login(world: World) -> None:
    person, browser = make_account(world), Browser(world.url)
    browser.get("/dashboard/login")
    browser.submit("/dashboard/login", name=person.name, password=person.password)
    for code in ("000000", "abc", "", "12345678", "999999"):
        if code == code_of(world, person):
            code = "000001"
        browser.submit("/dashboard/code", code=code)
    assert actions(world, person).count("code_refused") == 5
    browser.get("/dashboard/code")
    assert browser.title() == "Log in"


def test_a_person_made_by_others_sets_up_device_and_password(world: World) -> None:
    made = roster.create(world.admin, f"new-{make_account(world).id.hex[:8]}", "support", By("tests"))
    browser = Browser(world.url)
    browser.get(f"{home(world)}/payments")
    browser.submit("/dashboard/login", name=made.name.upper(), password=str(made.password))
    assert browser.title() == "Set up your codes"
    assert browser.page is not None
    assert 'src="data:image/svg+xml' in browser.page.text
    secret = re.search(r"Key: <code>([A-Z2-7 ]+)</code>", browser.page.text)
    assert secret is not None
    browser.get("/dashboard/enrol")
    assert secret[1] in browser.page.text, "the picture stays the same until the first code"
    person = Account(made.id, made.name, "", secret[1].replace(" ", ""))
    browser.submit("/dashboard/enrol", code="000000")
    assert "not right" in browser.text()
    browser.submit("/dashboard/enrol", code=codes.at(person.secret, world.api.clock()))
    spare = re.findall(r"<li>([a-z2-7-]{19})</li>", browser.page.text)
    assert len(set(spare)) == 10
    browser.get("/dashboard/account")
    assert browser.title() == "Choose a password"
    for old, new, again, said in (
        ("wrong", "a new password of mine", "a new password of mine", "present password is not right"),
        (str(made.password), "a new password of mine", "another", "not the same"),
        (str(made.password), "short", "short", "at least 12"),
        (str(made.password), f"{made.name} and more", f"{made.name} and more", "holds your name"),
    ):
        browser.submit("/dashboard/account/password", password=old, new_password=new, again=again)
        assert said in browser.text()
    new = {"new_password": "a new password of mine", "again": "a new password of mine"}
    browser.submit("/dashboard/account/password", password=str(made.password), **new)
    assert browser.title() == "Your account"
    person.password = "a new password of mine"
    log_in(world, person)
    again = Browser(world.url)
    again.get("/dashboard/login")
    again.submit("/dashboard/login", name=person.name, password=person.password)
    again.submit("/dashboard/code", code=spare[3].upper())
    assert again.title() != "Your code"
    again.get("/dashboard/account")
    assert "Spare codes left: 9" in again.text()
    third = Browser(world.url)
    third.get("/dashboard/login")
    third.submit("/dashboard/login", name=person.name, password=person.password)
    third.submit("/dashboard/code", code=spare[3])
    assert third.title() == "Your code", "a spare code opens once"


def test_a_password_of_others_is_good_for_a_day(world: World) -> None:
    made = roster.create(world.admin, f"late-{make_account(world).id.hex[:8]}", "viewer", By("tests"))
    world.advance(25 * 3600)
    browser = Browser(world.url)
    browser.get("/dashboard/login")
    browser.submit("/dashboard/login", name=made.name, password=str(made.password))
    assert WRONG in browser.text()


def test_sessions_are_ended_one_by_one_or_all_others(world: World) -> None:
    person = make_account(world, "viewer")
    first, second, third = (log_in(world, person) for _ in range(3))
    first.get("/dashboard/account")
    first.submit("/dashboard/account/sessions/end")
    assert "Sessions ended: 1." in first.text()
    assert [one.get("/dashboard/account", follow=False).status_code for one in (first, second, third)].count(200) == 2
    last = log_in(world, person)
    last.get("/dashboard/account")
    form = next(one for one in last.forms() if one.action.endswith("sessions/end") and "session" not in one.fields)
    last.post(form.action, form.fields)
    assert [one.get("/dashboard/account", follow=False).status_code for one in (first, second, third)] == [303] * 3
    stranger = log_in(world, make_account(world, "admin"))
    stranger.get("/dashboard/account")
    fields = {"csrf": stranger.form("/dashboard/logout").fields["csrf"], "session": session_of(world, person)}
    assert stranger.post("/dashboard/account/sessions/end", fields).status_code == 404
    assert last.get("/dashboard/account", follow=False).status_code == 200


def session_of(world: World, person: Account) -> str:
    """The public id of their open session."""
    (found,) = sessions.listed(world.api, person.id)
    return str(found["id"])


def test_dangerous_acts_ask_again(world: World) -> None:
    person = make_account(world, "viewer")
    browser = log_in(world, person)
    world.advance(world.settings.session_confirm + 60)
    browser.get("/dashboard/account")
    browser.submit("/dashboard/account/spare_codes")
    assert browser.title() == "Say again who you are"
    browser.submit("/dashboard/confirm", password="wrong")
    assert "neither your password nor a code" in browser.text()
    browser.submit("/dashboard/confirm", password=code_of(world, person))
    assert browser.title() == "Your account"
    browser.submit("/dashboard/account/spare_codes")
    assert browser.title() == "Your spare codes"
    assert actions(world, person)[-3:] == ["confirmation_refused", "confirmed", "spare_codes_made"]


# Slowing down: without pages, with a clock of the test's own


class Guesser:
    """Tries passwords against the real database and Redis, from wherever a test says."""

    def __init__(self, world: World, **settings: object) -> None:
        self.now = 0.0
        world_clock = world.api.clock()
        self.world = world
        core = replace(
            world.api,
            clock=lambda: world_clock.fromtimestamp(world_clock.timestamp() + self.now, world_clock.tzinfo),
            settings=world.settings.model_copy(update=settings),
        )
        self.notes = KeyNotes(core)
        self.logins = Logins(core, self.notes)

    def guess(self, name: str, address: str, password: str = "wrong", device: str | None = None) -> str:
        try:
            self.logins.give_password(name, password, device, From(address))
        except LoginRefused:
            return "wrong"
        except TooManyTries as error:
            return f"wait {error.retry_after}"
        return "right"


def test_who_guesses_waits_longer_and_longer(world: World) -> None:
    person, guesser = make_account(world), Guesser(world)
    said = [guesser.guess(person.name, "203.0.113.1") for _ in range(6)]
    assert said == ["wrong"] * 6
    assert guesser.guess(person.name, "203.0.113.1", person.password) == "wait 2"
    waits = []
    for _ in range(11):
        said_wait = guesser.guess(person.name, "203.0.113.1")
        waits.append(int(said_wait.partition(" ")[2]))
        guesser.now += waits[-1] + 0.5
        assert guesser.guess(person.name, "203.0.113.1") == "wrong"
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
    slowed = [row for row in trail_of(world, person.id) if row["action"] == "administrator.login_slowed"]
    assert len(slowed) == 11 + 0, "one record a pause, not one a try"


def test_strangers_lock_nobody_out(world: World) -> None:
    """A thousand addresses guess under one name. A known browser, and one at a known address, are not slowed down."""
    person, guesser = make_account(world), Guesser(world)
    browser = log_in(world, person)
    device = browser.http.cookies["tollgate_device"]
    waits = []
    for number in range(25):
        said = guesser.guess(person.name, f"198.51.100.{number}")
        waits.append(said)
    assert waits[:21] == ["wrong"] * 21
    assert all(one.startswith("wait") for one in waits[21:])
    assert guesser.guess(person.name, "203.0.113.77", person.password).startswith("wait")
    assert guesser.guess(person.name, "203.0.113.77", person.password, device) == "right"
    assert guesser.guess(person.name, "127.0.0.1", person.password) == "right"
    guesser.now += 61
    assert guesser.guess(person.name, "203.0.113.77", person.password) == "right", "never longer than a minute"


def test_a_neighbour_behind_the_same_address_locks_nobody_out(world: World) -> None:
    person, guesser = make_account(world), Guesser(world)
    device = log_in(world, person).http.cookies["tollgate_device"]
    for _ in range(10):
        guesser.guess(person.name, "127.0.0.1")
    assert guesser.guess(person.name, "127.0.0.1", person.password).startswith("wait")
    assert guesser.guess(person.name, "127.0.0.1", person.password, device) == "right"
    other = make_account(world)
    assert guesser.guess(other.name, "127.0.0.1", other.password, device) == "right", "free tries of another name"
    assert guesser.guess(person.name, "127.0.0.1", person.password, "made-up").startswith("wait")


def test_an_address_that_tries_many_names_is_slowed_down_as_a_whole(world: World) -> None:
    guesser = Guesser(world)
    said = [guesser.guess(f"name-{number}", f"2001:db8:1:1::{number:x}") for number in range(40)]
    assert said[:31] == ["wrong"] * 31
    assert said[31] == "wait 2"
    assert guesser.guess("name-1", "2001:db8:1:2::1") == "wrong"


def test_without_redis_the_login_is_closed_and_sessions_go_on(world: World) -> None:
    guesser = Guesser(world, redis_url="redis://127.0.0.1:1/0")
    with pytest.raises(LoginClosed):
        guesser.guess(make_account(world).name, "203.0.113.2")
    from api.app import build_app

    core = replace(world.api, settings=world.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"}))
    client = build_app(core).test_client()
    page = client.get("/dashboard/login").get_data(as_text=True)
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)
    assert csrf is not None
    answer = client.post("/dashboard/login", data={"name": "a", "password": "b", "csrf": csrf[1]})
    assert answer.status_code == 503
    assert "while Redis is away" in answer.get_data(as_text=True)
    client.set_cookie("tollgate_session", log_in(world, make_account(world)).http.cookies["tollgate_session"])
    assert client.get("/dashboard/account").status_code == 200


def test_who_is_sent_away_unlooked_at_is_told_once_however_often(world: World) -> None:
    """While Redis is away, and while all places are taken: counted by nothing else, so folded beside the requests."""
    person = make_account(world)
    closed = Guesser(world, redis_url="redis://127.0.0.1:1/0")
    before = len(trail_of(world, NOBODY))
    for name in (person.name, person.name, person.name, "nobody-of-this-name"):
        with pytest.raises(LoginClosed):
            closed.guess(name, "203.0.113.4")
    closed.notes.close()
    told = trail_of(world, person.id)[-1]
    assert told["action"] == "administrator.login_refused"
    assert told["details"] == {"why": "closed", "times": 3, "addresses": ["203.0.113.4"]}
    assert (told["actor"], told["from_address"]) == (f"person:{sessions.public(person.id)}", "203.0.113.4")
    assert actions(world, person).count("login_refused") == 1
    [unknown] = trail_of(world, NOBODY)[before:]
    assert (unknown["actor"], unknown["details"]["why"]) == ("nobody", "closed")

    busy = Guesser(world, api_threads=4)
    with busy.logins._places._place(known=False):
        for _ in range(2):
            with pytest.raises(Unavailable):
                busy.guess(person.name, "203.0.113.5", person.password)
    busy.notes.close()
    assert trail_of(world, person.id)[-1]["details"] == {"why": "busy", "times": 2, "addresses": ["203.0.113.5"]}


def test_few_passwords_are_looked_at_at_once_and_a_known_browser_has_a_place(world: World) -> None:
    places = Places(threads=8)
    with places._place(known=False), places._place(known=False):
        with pytest.raises(Unavailable), places._place(known=False):
            pass
        with places._place(known=True):
            pass


def test_an_unknown_name_costs_as_much_as_a_wrong_password(world: World) -> None:
    """Argon2 is asked once either way; the same is counted, since times of a busy machine prove nothing."""
    from argon2 import PasswordHasher

    from core.orchestration.administrators import passwords

    asked = []

    class Counting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]
            asked.append(hash)
            return super().verify(hash, password)

    guesser, kept = Guesser(world), passwords._HASHER
    passwords._HASHER = Counting(**{name: getattr(kept, name) for name in ("time_cost", "memory_cost", "parallelism")})
    try:
        person = make_account(world)
        for name in (person.name, "nobody-at-all", "nobody-else"):
            asked.clear()
            assert guesser.guess(name, "203.0.113.3") == "wrong"
            assert len(asked) == 1, name
            costs = str(asked[0]).split("$")[3]
            assert costs == f"m={kept.memory_cost},t={kept.time_cost},p=1", name
    finally:
        passwords._HASHER = kept


def test_a_guess_costs_what_rfc_9106_asks_for() -> None:
    """In a process of its own: here the passwords of tests are made to cost nothing."""
    asking = "from core.orchestration.administrators.passwords import hash_of; print(hash_of('a'))"
    done = subprocess.run([sys.executable, "-c", asking], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("$argon2id$v=19$m=65536,t=3,p=1$")


def test_secrets_rest_sealed_or_hashed(world: World) -> None:
    person = make_account(world)
    browser = log_in(world, person)
    with world.owner.connect() as connection:
        text = "".join(
            str(connection.exec_driver_sql(f"SELECT string_agg(t::text, '') FROM {table} t").scalar_one())
            for table in (
                "administrators", "administrator_sessions", "administrator_devices", "administrator_spare_codes",
                "audit_log",
            )
        )  # fmt: skip
    for secret in (person.password, person.secret, *browser.http.cookies.values()):
        assert secret not in text
        assert secret.encode().hex() not in text
    assert "$argon2id$" in text


def test_the_pages_answer_a_paused_installation(world: World) -> None:
    """Whoever has to look into it must be able to come in."""
    with world.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE installation SET paused_at = app_now(), paused_because = 'tests'")
    try:
        assert requests.get(f"{world.url}/dashboard/login", timeout=10).status_code == 200
        browser = log_in(world, make_account(world))
        assert browser.title() == "Your account"
        browser.submit("/dashboard/logout")
        assert browser.title() == "Log in"
    finally:
        with world.owner.begin() as connection:
            connection.exec_driver_sql("UPDATE installation SET paused_at = NULL, paused_because = NULL")


def test_who_finds_a_browser_open_cannot_guess_the_password_in_it(world: World) -> None:
    """Changing it is counted with confirming, and ends in the same pause."""
    person = make_account(world)
    browser = log_in(world, person)
    new = {"new_password": "a new password of mine", "again": "a new password of mine"}
    for number in range(30):  # the pauses double: however slow the machine is, one of them is met
        browser.get("/dashboard/account/password")
        answer = browser.submit("/dashboard/account/password", password=f"guess number {number}", **new)
        if answer.status_code == 429:
            break
        assert answer.status_code == 401
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert actions(world, person).count("password_change_refused") == number >= 5
    assert actions(world, person)[-1] == "login_slowed"


def test_who_holds_one_session_slows_none_of_the_others_down(world: World) -> None:
    """A thief of a session guesses in it until it waits; its owner confirms in another. A half one asks nothing."""
    person = make_account(world)
    stolen, own, half = log_in(world, person), log_in(world, person), Browser(world.url)
    for number in range(30):
        stolen.get("/dashboard/confirm")
        answer = stolen.submit("/dashboard/confirm", password=f"guess number {number}")
        if answer.status_code == 429:
            break
    assert answer.status_code == 429
    own.get("/dashboard/confirm")
    assert own.submit("/dashboard/confirm", follow=False, password=person.password).status_code == 303
    half.get("/dashboard/login")
    half.submit("/dashboard/login", name=person.name, password=person.password)
    assert half.title() == "Your code"
    csrf = half.form("/dashboard/code").fields["csrf"]
    assert half.post("/dashboard/confirm", {"csrf": csrf, "password": "x"}, follow=False).status_code in (303, 401)
    assert actions(world, person)[-1] == "password_given", "no guess was looked at"
