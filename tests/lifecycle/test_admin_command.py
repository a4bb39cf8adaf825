"""`tollgate admin`, and the administrator that `tollgate up` makes: in within a minute, offline."""

from __future__ import annotations

import os
import pty
import re
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.placement import place
from core.orchestration.administrators import codes
from tests.dashboard.people import Browser
from tests.support.running import TOLLGATE, Up


def answer(up: Up, *arguments: str, text: str | None = None) -> Any:
    return up.answer("admin", *arguments, text=text)


def log_in(up: Up, name: str, password: str, code: str) -> Browser:
    browser = Browser(up.details["api"])
    browser.get(up.details["dashboard"])
    browser.submit("/dashboard/login", name=name, password=password)
    if browser.title() == "Your code":
        browser.submit("/dashboard/code", code=code)
    return browser


def test_the_administrator_of_up_is_ready(up: Up) -> None:
    person = up.details["administrator"]
    done = up.command("admin", "code")
    assert done.returncode == 0, done.stderr
    browser = log_in(up, person["name"], person["password"], done.stdout.strip())
    assert browser.title() == "Overview"
    assert "Development" in browser.text()
    file = up.cwd / "data" / "secrets.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert person["otpauth"].startswith("otpauth://totp/Tollgate:")


def test_an_administrator_with_a_password_of_their_own_gets_the_key_of_their_device(up: Up) -> None:
    password = "correct horse battery"
    made = answer(up, "create", "Ada@example.com", "--role", "finance", "--stdin", text=f"{password}\n")
    assert made["name"] == "ada@example.com"
    assert "password" not in made
    browser = log_in(up, "ada@example.com", password, codes.at(made["secret"], datetime.now(UTC)))
    assert browser.title() == "Overview"
    listed = {one["name"]: one for one in answer(up, "list")}
    assert listed["ada@example.com"]["role"] == "finance"
    assert [one["stage"] for one in answer(up, "sessions", "ada@example.com")] == ["full"]
    assert up.command("admin", "role", made["id"], "viewer").returncode == 0
    assert browser.get("/dashboard/people").status_code == 403
    assert "Sessions ended: 1." in up.command("admin", "end-sessions", "ada@example.com").stdout
    browser.get("/dashboard/account")
    assert browser.title() == "Log in"
    fresh = answer(up, "reset-code", "ada@example.com")
    assert fresh["secret"] != made["secret"]
    again = answer(up, "reset-password", "ada@example.com", "--temporary")
    assert again["password"]
    assert up.command("admin", "disable", "ada@example.com").returncode == 0
    assert log_in(up, "ada@example.com", again["password"], "").title() == "Log in"
    assert up.command("admin", "enable", "ada@example.com").returncode == 0


def test_a_temporary_password_leads_to_a_device_and_another_password(up: Up) -> None:
    made = answer(up, "create", "grace", "--temporary")
    assert set(made) == {"id", "name", "password"}
    assert log_in(up, "grace", made["password"], "").title() == "Set up your codes"


def test_the_password_is_asked_for_twice_without_echo(up: Up) -> None:
    ours, theirs = pty.openpty()
    command = [TOLLGATE, "admin", "create", "typed", "--role", "viewer"]
    with subprocess.Popen(
        command, cwd=up.cwd, env=up.env, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True
    ) as child:
        os.close(theirs)
        seen = b""
        for asked in (b"Password", b"Again"):
            while asked not in seen:
                seen += os.read(ours, 4096)
            os.write(ours, b"correct horse battery\n")
        rest = b""
        try:
            while chunk := os.read(ours, 4096):
                rest += chunk
        except OSError:  # the other end is closed
            pass
        out = child.communicate(timeout=60)[0]
        assert child.returncode == 0, seen + rest
    os.close(ours)
    assert out.startswith(b"otpauth://totp/Tollgate:typed?secret=")
    assert b"correct horse" not in seen + rest
    assert "\u2588".encode() in rest or "\u2580".encode() in rest, "the picture to scan"


@pytest.mark.parametrize(
    ("arguments", "text", "said"),
    [
        (("create", "x y"), "correct horse battery\n", "a name has 2 to 80"),
        (("create", "short-one"), "short\n", "at least 12 characters"),
        (("create", "nobody-typed"), "", "holds no password"),
        (("create", "both", "--temporary"), "x\n", "nothing to read"),
        (("reset-code", "who-is-that"), "", "no such administrator"),
        (("disable", "who-is-that"), "", "no such administrator"),
        (("end-sessions", "admin", "--session", "x"), "", "ses_"),
    ],
)
def test_what_is_refused_says_what_to_do(up: Up, arguments: tuple[str, ...], text: str, said: str) -> None:
    takes = arguments[0] == "create"
    done = up.command("admin", *arguments, *(["--stdin"] if takes else []), text=text)
    assert done.returncode == 1
    assert said in done.stderr
    assert "correct horse" not in done.stderr + done.stdout


def test_the_last_admin_stays(up: Up) -> None:
    done = up.command("admin", "disable", up.details["administrator"]["name"])
    assert done.returncode == 1
    assert "last one with the role admin" in done.stderr


def test_without_local_providers_nobody_is_made(tmp_path: Path) -> None:
    up = Up(tmp_path, "--workers", "1", "--no-sandbox")
    try:
        details = up.ready()
        assert details["administrator"] is None
        assert details["dashboard"].endswith("/dashboard")
        assert answer(up, "list") == []
        done = up.command("admin", "code")
        assert done.returncode == 1
        assert re.search("has made no administrator", done.stderr)
    finally:
        up.end()
        place(tmp_path / "data").remove()
