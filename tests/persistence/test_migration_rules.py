"""Migrations run while the programs do: none may rewrite a table that exists, or read it whole under a lock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.persistence.migrations import versions
from core.persistence.revisions import revisions

#: Those before were for installations that had no traffic yet.
AFTER = "0004"

_CONSTANT = r"(?:'(?:[^']|'')*'(?:::\w+)?|-?[\d.]+|true|false|null|now\(\)|app_now\(\))"
_COLUMN = rf"ADD COLUMN \w+ \w+(?:\[\])?(?: DEFAULT {_CONSTANT}(?: NOT NULL)?| NOT NULL DEFAULT {_CONSTANT})?"
#: What a migration may say, and why that holds up nobody. {new} stands for the tables it makes itself.
ALLOWED = {
    r"CREATE TABLE \w+ \(.*\)": "nobody uses it yet",
    r"CREATE (?:OR REPLACE )?FUNCTION .*": "locks no table",
    r"DROP FUNCTION .*": "locks no table",
    r"(?:GRANT|REVOKE|COMMENT ON) .*": "changes the catalogue alone",
    rf"ALTER TABLE \w+ {_COLUMN}(?:, ?{_COLUMN})*": "a constant default is kept in the catalogue: no row is written",
    r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY (?:IF NOT EXISTS )?\w+ ON .*": "waits for no writer; not in a transaction",
    r"CREATE (?:UNIQUE )?INDEX \w+ ON {new}\b.*": "of a new table, which is empty",
    r"CREATE POLICY \w+ ON {new}\b.*": "of a new table",
    r"CREATE TRIGGER \w+ (?:BEFORE|AFTER) [\w ]+ ON {new}\b.*": "of a new table",
    r"ALTER TABLE {new} .*": "a new table",
    r"INSERT INTO {new}\b.*": "a new table",
}

_PIECES = re.compile(r"(?P<quoted>(\$\w*\$).*?\2|'(?:[^']|'')*')|(?P<comment>--[^\n]*)|(?P<end>;)|.", flags=re.DOTALL)


def statements(sql: str) -> Iterator[str]:
    """Without comments, in one line each; what stands between dollars is one word."""
    found = ""
    for piece in _PIECES.finditer(sql + ";"):
        if piece["end"]:
            if text := " ".join(found.split()):
                yield text
            found = ""
        elif not piece["comment"]:
            found += "$$" if piece["quoted"] and piece[0].startswith("$") else piece[0]


def forbidden(sql: str) -> list[str]:
    """The statements that no row of the table allows."""
    said = list(statements(sql))
    made = [found[1] for one in said if (found := re.match(r"CREATE TABLE (\w+)", one))]
    new = f"(?:{'|'.join(made) or '(?!)'})"
    allowed = [re.compile(pattern.replace("{new}", new), flags=re.DOTALL) for pattern in ALLOWED]
    return [one for one in said if not any(pattern.fullmatch(one) for pattern in allowed)]


def said_by(revision: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """All that a migration sends; one that does so by another way than `op.execute` with a text fails here."""
    (file,) = Path(versions.__path__[0]).glob(f"{revision}_*.py")
    module, told = import_module(f"{versions.__name__}.{file.stem}"), list[str]()
    monkeypatch.setattr(module, "op", SimpleNamespace(execute=told.append))
    module.upgrade()
    return ";\n".join(told)


@pytest.mark.parametrize("revision", [one for one in revisions() if one > AFTER])
def test_it_holds_up_nobody(revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert forbidden(said_by(revision, monkeypatch)) == [], "see ALLOWED: what else can it be made of?"


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE payments ADD COLUMN a uuid DEFAULT gen_random_uuid()",
        "ALTER TABLE payments ADD COLUMN a text REFERENCES customers",
        "ALTER TABLE payments ADD COLUMN a text CHECK (a <> '')",
        "ALTER TABLE payments ADD COLUMN a text, ADD COLUMN b bigint GENERATED ALWAYS AS IDENTITY",
        "ALTER TABLE payments ALTER COLUMN amount TYPE numeric",
        "ALTER TABLE payments ALTER COLUMN amount SET NOT NULL",
        "ALTER TABLE payments ADD CONSTRAINT c CHECK (amount > 0)",
        "ALTER TABLE payments DROP COLUMN amount",
        "CREATE INDEX a ON payments (amount)",
        "CREATE TABLE mine (a int); CREATE INDEX a ON payments (amount)",
        "CREATE TABLE mine AS SELECT * FROM payments",
        "UPDATE payments SET amount = 1",
        "INSERT INTO payments SELECT 1",
        "LOCK TABLE payments",
        "DO $$ BEGIN UPDATE payments SET amount = 1; END $$",
        "DROP TABLE payments",
        "DROP INDEX payments_list",
        "-- a remark\nVACUUM FULL payments",
        "GRANT SELECT ON payments TO a; TRUNCATE payments",
    ],
)
def test_what_rewrites_or_locks_is_noticed(sql: str) -> None:
    assert forbidden(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE payments ADD COLUMN a text, ADD COLUMN b integer NOT NULL DEFAULT 0",
        "CREATE INDEX CONCURRENTLY a ON payments (amount)",
        "CREATE TABLE mine (a int); CREATE INDEX b ON mine (a); INSERT INTO mine VALUES (';')",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $a$ UPDATE payments SET amount = 1; SELECT $$x$$ $a$",
    ],
)
def test_what_does_not_is_let_pass(sql: str) -> None:
    assert forbidden(sql) == []
