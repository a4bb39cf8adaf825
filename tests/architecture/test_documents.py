"""What the documents say is so: links lead somewhere, tables are those of the code, SQL runs, nothing is left out."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import run

import click
import psycopg2
import pytest

from cli.main import COMMANDS, tollgate
from core import metrics
from core.domain.findings import KINDS
from core.domain.statuses import PAYMENT, TABLES
from core.environment import ELSEWHERE, variables
from core.persistence.database import SERVER_SETTINGS
from core.persistence.retention import KEPT
from core.settings import Settings
from tests.support.databases import Urls
from workers.schedule import SCHEDULE

ROOT = Path(__file__).resolve().parents[2]
OURS = ("*.md", "docs/*.md", "core/*/*.md", "sandbox/*.md")
DOCUMENTS = sorted(path for pattern in OURS for path in ROOT.glob(pattern))
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>[^)\s]+)\)")
DEFINED = re.compile(r"`(?:[\w.]+\.)?(?P<name>[A-Za-z_]\w*)`")
#: A linked line may be a little off after an edit; further off, `python scripts/link_lines.py` renews it.
NEAR = 60
FIRST_SCREEN = 45


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _prose(document: Path) -> str:
    """Without fenced blocks, in which brackets are no links."""
    return re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.S | re.M)


def _links() -> Iterator[tuple[Path, str, str, str]]:
    """(document, text, path, anchor) of every link that leads into the repository."""
    for document in DOCUMENTS:
        for found in LINK.finditer(_prose(document)):
            if "://" not in found["target"]:
                path, _, anchor = found["target"].partition("#")
                yield document, found["text"], path, anchor


LINKS = list(_links())
LINK_NAMES = [f"{document.name}:{text}:{path}" for document, text, path, _ in LINKS]


def _defined_at(source: Path, name: str) -> list[int]:
    """Lines on which the file defines the name; in a migration, on which the word stands."""
    text = source.read_text(encoding="utf-8")
    if "migrations" in source.parts:
        return [number for number, line in enumerate(text.splitlines(), 1) if re.search(rf"\b{name}\b", line)]
    return [node.lineno for node in ast.walk(ast.parse(text)) if name in _names(node)]  # type: ignore[attr-defined]


def _names(node: ast.AST) -> tuple[str, ...]:
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return (name,)
        case ast.Assign(targets=targets):
            return tuple(target.id for target in targets if isinstance(target, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            return (name,)
    return ()


def _heading_anchors(document: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_there_are_links_to_look_at() -> None:
    assert len(DOCUMENTS) >= 8
    assert len(LINKS) > 100


@pytest.mark.parametrize(("document", "text", "path", "anchor"), LINKS, ids=LINK_NAMES)
def test_link_leads_somewhere(document: Path, text: str, path: str, anchor: str) -> None:
    target = (document.parent / path).resolve() if path else document
    assert target.exists(), f"{document.name} links to {path}, which is not there"
    if target.suffix == ".md" and anchor:
        assert anchor in _heading_anchors(target)
    named = DEFINED.fullmatch(text)
    if target.suffix == ".py" and named and not text.endswith(".py`"):
        lines = _defined_at(target, named["name"])
        assert lines, f"{path} does not define {text}"
        if anchor:
            near = any(abs(int(anchor.removeprefix("L")) - line) <= NEAR for line in lines)
            assert near, f"{text} has moved; run: python scripts/link_lines.py"


def test_readme_fits_a_screen_before_its_first_link() -> None:
    lines = _text("README.md").splitlines()
    first = next(number for number, line in enumerate(lines) if LINK.search(line))
    assert first <= FIRST_SCREEN
    assert max(map(len, lines[:first])) <= 100
    screen = "\n".join(lines[:first])
    for needed in ("make demo", "make test", "curl", "Prefer: wait"):
        assert needed in screen


def _between(document: str, marker: str) -> str:
    found = re.search(rf"<!-- {marker} -->\n(.*?)<!-- /{marker} -->", _text(document), flags=re.S)
    assert found is not None
    return found[1]


def _rows(table: str) -> list[list[str]]:
    """The cells of a markdown table, without its heading."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_capabilities_are_the_declared_ones() -> None:
    script = ROOT / "scripts" / "print_capabilities.py"
    printed = run([sys.executable, script], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert _between("README.md", "capabilities") == printed


def test_schedule_is_the_one_that_runs() -> None:
    rows = _rows(_between("ARCHITECTURE.md", "schedule"))
    told = {name.strip("`"): float(every.removesuffix(" s")) for name, every, _ in rows}
    assert told == {name: entry.interval for name, entry in SCHEDULE.items()}


def test_status_tables_are_the_literal_ones() -> None:
    rows = _rows(_between("ARCHITECTURE.md", "statuses"))
    told = {(subject, source): frozenset(targets.split(", ")) for subject, source, targets in rows}
    steps = {
        (subject, source or "-"): targets
        for subject, table in TABLES.items()
        for source, targets in table.items()
        if targets
    }
    assert told == steps


def test_status_graph_shows_every_step_of_a_payment() -> None:
    drawn = re.findall(r"^    (\S+) --> (\w+)$", _text("ARCHITECTURE.md"), flags=re.M)
    steps = {(source or "[*]", target) for source, targets in PAYMENT.items() for target in targets}
    assert set(drawn) == {(source, target) for source, target in steps if source != target}


def test_variables_exist() -> None:
    known = {*variables(Settings), *ELSEWHERE}
    told = {name for document in DOCUMENTS for name in re.findall(r"\bTOLLGATE_[A-Z_]+\b", document.read_text())}
    assert told - known == set()


def test_settings_are_those_of_the_code() -> None:
    script = ROOT / "scripts" / "print_settings.py"
    printed = run([sys.executable, script], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    told = _between("docs/operations.md", "settings")
    assert told == printed, "run: python scripts/print_settings.py, and put its table there"
    named = {row[0].strip("`") for row in _rows(told)}
    others = {row[0].strip("`") for row in _rows(_text("README.md")) if row[0].endswith(("_URL`", "_FILE`"))}
    assert others <= named


def test_roles_and_scopes_are_those_of_the_code() -> None:
    script = ROOT / "scripts" / "print_roles.py"
    printed = run([sys.executable, script], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    told = _between("docs/operations.md", "roles")
    assert told == printed, "run: python scripts/print_roles.py, and put its tables there"


def test_retention_is_the_policy() -> None:
    rows = _rows(_between("docs/operations.md", "retention"))
    told = {table.strip("`"): (how, why, bool(removed)) for table, how, why, removed in rows}
    names = {
        name: "for ever" if one.setting is None else f"`TOLLGATE_{one.setting.upper()}`" for name, one in KEPT.items()
    }
    assert told == {name: (names[name], one.reason, bool(one.removed_by)) for name, one in KEPT.items()}


def test_timeouts_are_those_of_the_code() -> None:
    rows = _rows(_between("docs/operations.md", "timeouts"))
    assert {name.strip("`"): (value, why) for name, value, why in rows} == SERVER_SETTINGS


def test_metrics_exist() -> None:
    script = ROOT / "scripts" / "print_metrics.py"
    printed = run([sys.executable, script], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    told = _between("docs/operations.md", "metrics")
    assert told == printed, "run: python scripts/print_metrics.py, and put its table there"
    # The table names what a process really shows.
    shown = set(re.findall(r"^# HELP (tollgate_\w+)(?<!_created) ", metrics.exposition().decode(), flags=re.M))
    assert shown <= {row[0].strip("`") for row in _rows(told)}


def test_every_risk_of_the_owasp_list_has_its_test() -> None:
    """That the tests are there, the links show; that they run, `make test` and chaos do."""
    rows = _rows(_between("docs/security.md", "owasp"))
    assert [row[0].split()[0] for row in rows] == [f"API{number}" for number in range(1, 11)]
    for risk, done, shown in rows:
        assert len(done) > 20
        assert len(re.findall(r"\[`\w+`\]\(\.\./tests/[\w/]+\.py(?:#L\d+)?\)", shown)) >= 3, risk


def _commands() -> Iterator[str]:
    """Every `tollgate …` that a document tells to type."""
    for document in DOCUMENTS:
        for line in document.read_text(encoding="utf-8").splitlines():
            typed = re.match(r"    (?:\.venv/bin/)?(tollgate .*?)(?:\s+#.*)?$", line)
            if typed:
                yield typed[1]
            yield from re.findall(r"`(tollgate [a-z][^`]*)`", line)


@pytest.mark.parametrize("line", sorted(set(_commands())))
def test_command_exists(line: str) -> None:
    _, name, *rest = [word for word in shlex.split(line) if word != "…"]
    assert name in COMMANDS
    context = click.Context(tollgate)
    command = tollgate.get_command(context, name)
    assert command is not None
    if isinstance(command, click.Group) and rest:
        command = command.get_command(context, rest.pop(0).rstrip(","))
        assert command is not None
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in rest if word.startswith("--")} <= known


def _statements() -> Iterator[str]:
    for document in DOCUMENTS:
        for block in re.findall(r"^```sql\n(.*?)^```$", document.read_text(encoding="utf-8"), flags=re.S | re.M):
            yield from (statement.strip() for statement in block.split(";\n") if statement.strip())


@pytest.mark.parametrize("statement", list(_statements()))
def test_sql_runs(statement: str, database: Urls) -> None:
    filled = statement.replace(":'id'", "'01900000-0000-7000-8000-000000000000'").replace(":'note'", "'looked into'")
    connection = psycopg2.connect(database.owner)
    try:
        with connection.cursor() as cursor:
            cursor.execute(filled)
    finally:
        connection.rollback()
        connection.close()


def _trees() -> Iterator[ast.Module]:
    for path in (ROOT / "core").rglob("*.py"):
        yield ast.parse(path.read_text(encoding="utf-8"))


def _constant(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _finding_kinds() -> set[str]:
    """Kinds of findings that the code opens: named in a call, handed to `_review`, or planned by a settlement."""
    kinds: set[str | None] = set()
    for tree in _trees():
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id="open_finding"), args=[_, _, kind, *_]):
                    kinds.add(_constant(kind))
                case ast.Call(func=ast.Name(id="_review"), args=[_, _, _, kind, *_]):
                    kinds.add(_constant(kind))
                case ast.Call(func=ast.Name(id="review") | ast.Attribute(attr="review"), args=[_, _, kind, _]):
                    kinds.add(_constant(kind))
                case ast.Assign(targets=[ast.Attribute(attr="finding")], value=ast.Tuple(elts=[kind, *_])):
                    kinds.add(_constant(kind))
    return {kind for kind in kinds if kind is not None}


def _review_reasons() -> set[str]:
    """Codes of the errors in functions that end a job in review, and what is handed to `_review`."""
    reasons: set[str | None] = set()
    for tree in _trees():
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id="_review"), args=[_, _, _, kind, *_]):
                    reasons.add(_constant(kind))
                case ast.Call(func=ast.Name(id="review") | ast.Attribute(attr="review"), args=[_, _, kind, _]):
                    reasons.add(_constant(kind))
            if isinstance(node, ast.FunctionDef) and any(_ends_in_review(part) for part in ast.walk(node)):
                dicts = [part for part in ast.walk(node) if isinstance(part, ast.Dict)]
                pairs = [pair for one in dicts for pair in zip(one.keys, one.values, strict=True)]
                reasons |= {_constant(value) for key, value in pairs if _constant(key) == "code"}
    return {reason for reason in reasons if reason is not None}


def _ends_in_review(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and any(_constant(argument) == "needs_review" for argument in node.args)


def _entries(title: str) -> set[str]:
    return set(re.findall(rf"^### {title}`([a-z]\w*)`$", _text("docs/runbook.md"), flags=re.M))


def test_every_finding_has_its_entry_in_the_runbook() -> None:
    kinds = _finding_kinds()
    assert len(kinds) >= 11
    assert _entries("") == kinds == set(KINDS)


def test_every_reason_for_review_has_its_entry_in_the_runbook() -> None:
    reasons = _review_reasons()
    assert {"worker_lost", "internal_error", "contradiction", "outcome_unknown"} <= reasons
    assert _entries("Reason ") == reasons


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_folder_of_somebodys_machine_is_named(document: Path) -> None:
    assert re.findall(r"(?<![\w.])/(?:home|root|Users|work|mnt)/\S*", document.read_text(encoding="utf-8")) == []
