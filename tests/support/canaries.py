"""Texts that must be nowhere in clear, in every spelling programs give them, looked for in everything that is kept."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import ascii_lowercase
from urllib.parse import quote, quote_plus, unquote, urlsplit

import psycopg2
import redis

from cli.embedded_postgres import PROGRAMS
from tests.support.databases import plain

#: Every table of every schema that is not Postgres' own, partitions one by one: what `pg_dump` writes its rows from.
_TABLES = (
    "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY 1"
)


def word(prefix: str = "") -> str:
    """Of letters alone: digits might look like a card's."""
    return f"{prefix}canary" + "".join(secrets.choice(ascii_lowercase) for _ in range(16))


def card_number() -> str:
    """A Visa's, with its check digit, that nobody else has."""
    digits = [4, 5, 3, 9, *(secrets.randbelow(10) for _ in range(11))]
    doubled = [digit * 2 - 9 * (digit > 4) if place % 2 == 0 else digit for place, digit in enumerate(digits)]
    return "".join(map(str, digits)) + str(-sum(doubled) % 10)


def spellings(secret: str) -> set[bytes]:
    """As text, hex (bytea), base64 wherever it may start, in an address, in JSON; a card's digits in groups."""
    raw = secret.encode()
    found = {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], raw.hex()}
    found.add("".join(f"\\u{ord(letter):04x}" for letter in secret))
    for shift in range(3):
        inner = base64.b64encode(b"\0" * shift + raw).decode()[4:-4] if shift else base64.b64encode(raw).decode()[:-4]
        found |= {inner, inner.replace("+", "-").replace("/", "_")}
    if secret.isdigit():
        groups = [secret[at : at + 4] for at in range(0, len(secret), 4)]
        found |= {" ".join(groups), "-".join(groups), "%20".join(groups), "+".join(groups)}
    return {one.encode() for one in found}


class Finder:
    """Which canaries a text holds, in whatever case."""

    def __init__(self, canaries: Mapping[str, str]) -> None:
        self._patterns = {
            name: re.compile(b"|".join(map(re.escape, sorted(spellings(secret)))), re.IGNORECASE)
            for name, secret in canaries.items()
        }

    def found(self, text: bytes) -> set[str]:
        return {name for name, pattern in self._patterns.items() if pattern.search(text)}

    def leaks(self, places: Iterator[tuple[str, bytes]]) -> set[tuple[str, str]]:
        """{(place, canary)}."""
        return {(place, name) for place, text in places for name in self.found(text)}


def database(url: str) -> Iterator[tuple[str, bytes]]:
    """Every table as COPY writes it, so that a leak names its table."""
    connection = psycopg2.connect(plain(url))
    try:
        with connection.cursor() as cursor:
            cursor.execute(_TABLES)
            for (table,) in cursor.fetchall():
                written = io.BytesIO()
                cursor.copy_expert(f"COPY (SELECT * FROM {table}) TO STDOUT", written)
                yield f"table {table}", written.getvalue()
    finally:
        connection.close()


def dumped(url: str) -> Iterator[tuple[str, bytes]]:
    """The whole database as `pg_dump` writes it: schema, defaults and comments, too."""
    parts = urlsplit(plain(url))
    reached = {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": parts.path.lstrip("/"),
    }
    written = subprocess.run([PROGRAMS / "bin" / "pg_dump"], env=os.environ | reached, capture_output=True, check=True)
    assert len(written.stdout) > 100_000
    yield "pg_dump", written.stdout


def kept_in_redis(url: str) -> Iterator[tuple[str, bytes]]:
    """Keys and values of all sixteen databases."""
    for number in range(16):
        client = redis.Redis.from_url(url, db=number)
        with client:
            for key in client.scan_iter(count=1000):
                yield f"redis {number} key", bytes(key)
                yield f"redis {number} {bytes(key)[:40]!r}", repr(_value(client, key)).encode()


def _value(client: redis.Redis, key: bytes) -> object:
    kind = bytes(client.type(key)).decode()  # type: ignore[arg-type]
    reads = {
        "string": lambda: client.get(key),
        "hash": lambda: client.hgetall(key),
        "list": lambda: client.lrange(key, 0, -1),
        "set": lambda: client.smembers(key),
        "zset": lambda: client.zrange(key, 0, -1, withscores=True),
        "stream": lambda: client.xrange(key),
    }
    return reads[kind]() if kind in reads else None


def logs(*folders: Path) -> Iterator[tuple[str, bytes]]:
    """Every file that a process of ours or a server writes to as it runs."""
    for folder in folders:
        for file in sorted(folder.rglob("*.log")):
            yield f"log {file.name}", file.read_bytes()


def arguments() -> Iterator[tuple[str, bytes]]:
    """What everybody on the machine can see of every process."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield f"arguments of {process.name}", (process / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
