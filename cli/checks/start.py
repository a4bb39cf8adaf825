"""Whether the API and the workers would start: what they ask themselves, asked here for both."""

from __future__ import annotations

from collections.abc import Iterator

from cli.checks.finding import Finding, Situation, failed, ok, skipped, warning
from core import startup
from core.environment import WrongSettings

ADVICE = "a process that finds this does not start"


def check(situation: Situation) -> Iterator[Finding]:
    if situation.target is None:
        yield skipped("Start", situation.why)
        return
    logins = situation.target.databases
    roles: tuple[tuple[startup.Role, str], ...] = (("api", logins.api), ("worker", logins.worker))
    for role, url in roles:
        yield from _start(situation, role, url)


def _start(situation: Situation, role: startup.Role, url: str) -> Iterator[Finding]:
    subject = f"Start of {role}"
    try:
        found = startup.remarks(situation.settings(url), role)
    except WrongSettings:
        yield skipped(subject, "the settings are wrong, see there")
        return
    for remark in found:
        yield failed(subject, remark.text, ADVICE) if remark.refuses else warning(subject, remark.text, "")
    if not found:
        yield ok(subject, "nothing against it")
