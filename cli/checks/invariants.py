"""`tollgate doctor --invariants`: what must always hold, checked over a running installation without disturbing it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import requests
import sqlalchemy as sa
from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError

from cli.checks import reading
from cli.commands import output
from cli.errors import Refused
from cli.secrets_file import KEY_FILE
from cli.target import Target, anchor_file
from core.audit.heads import Head
from core.audit.signing import PURPOSE, public_keys
from core.invariants import INVARIANTS, Violation, compare_ledger, examine, scan_logs
from core.orchestration import heads
from core.persistence.database import open_database
from core.persistence.vault import KeyUnavailable, Vault, read_key_file

LOGS = "logs"
#: Shorter texts of the secrets file are names and numbers.
_SHORTEST_SECRET = 20
#: Newest deliveries of a sandbox's log: as many as its door gives.
_ALL = 999_999
_SANDBOXES = sa.text("SELECT DISTINCT provider, api_base FROM provider_accounts WHERE api_base IS NOT NULL")
#: What is counted of each.
_UNITS: Mapping[str, str] = {
    "I1": "jobs",
    "I2": "transactions",
    "I3": "payments",
    "I4": "events",
    "I6": "audit rows",
    "I8": "tables",
}
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Line:
    """One invariant: how much was looked at, and what is broken. `note` says what was not looked at, and why."""

    invariant: str
    meaning: str
    looked: str
    violations: Sequence[Violation]
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.violations:
            return "failed"
        return "ok" if self.looked else "skipped"


def look(target: Target, since: float | None, logs: Iterable[Path]) -> list[Line]:
    """`since` in seconds, None for everything; `logs` beside those of the installation.

    Raises:
        Refused: the database does not answer, or is at another schema.
    """
    try:
        rows, compared = _books(target, since)
    except SQLAlchemyError as error:
        text = str(getattr(error, "orig", error)).strip().splitlines()[0]
        raise Refused(f"the invariants could not be checked: {text}") from None
    files = [*sorted((target.directory / LOGS).glob("*.log*")), *logs]
    told = scan_logs(files, list(secrets_of(target)))
    rows["I7"] = (f"{len(files)} files", told) if files else ("", [])
    rows["I5"] = (f"ledgers: {', '.join(sorted(compared))}" if compared else "", [])
    for one in (one for found in compared.values() for one in found):
        rows[one.invariant][1].append(one)
    notes = {
        "I5": "" if compared else "no local sandbox answers; a provider's own books are read by its dashboard",
        "I7": "" if files else "no logs here; name some with --log",
    }
    empty = "nothing to check yet" if since is None else "nothing was made in this time"
    for name, (looked, broken) in rows.items():
        if looked.startswith("0 ") and not broken:
            rows[name], notes[name] = ("", broken), "; ".join(filter(None, (empty, notes.get(name))))
    return [Line(name, INVARIANTS[name], *rows[name], notes.get(name, "")) for name in INVARIANTS]


def as_json(lines: Sequence[Line]) -> str:
    return json.dumps([{**asdict(line), "verdict": line.verdict} for line in lines], default=str)


def print_lines(lines: Sequence[Line], styles: Mapping[str, str]) -> None:
    """A row an invariant, then every violation with what to do about it."""
    told = [
        (line.invariant, Text(line.verdict, style=styles[line.verdict]), line.looked, _words(line)) for line in lines
    ]
    output.print_table(("", "", "Looked at", "Must hold"), told)
    for one in (one for line in lines for one in line.violations):
        click.echo(f"\n{one.invariant} {one.check}: {one.what}")
        click.echo("  " + ", ".join(f"{name} {value}" for name, value in one.details.items()))
        click.echo(f"  → {one.advice}")


def _words(line: Line) -> str:
    return f"{line.meaning} ({line.note})" if line.note else line.meaning


def _books(
    target: Target, since: float | None
) -> tuple[dict[str, tuple[str, list[Violation]]], dict[str, list[Violation]]]:
    database = open_database(target.databases.owner, 1, "tollgate-doctor")
    api = open_database(target.databases.api, 1, "tollgate-doctor")
    try:
        keys, head = _outside(target)
        found = examine(database, since=since, api=api, keys=keys, head=head)
        rows = {one.invariant: (f"{one.looked} {_UNITS[one.invariant]}", list(one.violations)) for one in found}
        compared = {
            provider: compare_ledger(database, provider, ledger, log, settled=False)
            for provider, ledger, log in _sandboxes(target.databases.owner)
        }
    finally:
        database.engine.dispose()
        api.engine.dispose()
    return rows, compared


def _outside(target: Target) -> tuple[tuple[bytes, ...], Head | None]:
    """What is known of the seals outside the database; without its keys the chain is held against itself alone."""
    path = anchor_file(target)
    try:
        vault = Vault(read_key_file(target.key_file))
    except KeyUnavailable:
        return (), heads.known(path)
    head = heads.known(path)
    return (*public_keys(vault.derived_keys(PURPOSE)), *(() if head is None else (head.public_key,))), head


def _sandboxes(owner: str) -> Iterator[tuple[str, Any, Any]]:
    """(provider, ledger, log of webhooks) of each that runs on this machine."""
    for row in reading.rows(owner, _SANDBOXES, {}):
        if urlsplit(row["api_base"]).hostname not in _LOCAL:
            continue
        try:
            books = _get(row["api_base"], "ledger"), _get(row["api_base"], f"webhooks?limit={_ALL}")
        except (requests.RequestException, ValueError):  # it does not run, or is no sandbox
            continue
        yield row["provider"], *books


def _get(base: str, door: str) -> Any:
    with requests.Session() as http:
        http.trust_env = False
        answer = http.get(f"{base}/_sandbox/{door}", timeout=30)
        answer.raise_for_status()
        return answer.json()


def secrets_of(target: Target) -> Iterator[str]:
    """Passwords and keys of the installation; ids kept beside them may stand in logs."""
    for file in (target.directory / "secrets.json", target.key_file, target.directory / KEY_FILE):
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        yield from (text for text in _texts(kept) if len(text) >= _SHORTEST_SECRET and not text.startswith("acc_"))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
