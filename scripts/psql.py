"""Opens psql as the owner of the tables; ids such as pay_… given by -v become the UUIDs that the rows have."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from pathlib import Path

from sqlalchemy.engine import make_url

from cli.embedded_postgres import PROGRAMS
from cli.errors import Refused
from cli.target import find
from core.domain.identifiers import PREFIXES, InvalidIdentifier, parse_id

_KINDS = {prefix: kind for kind, prefix in PREFIXES.items()}


def _inner(argument: str) -> str:
    """`id=pay_01k…` as `id=<uuid>`; anything else as it is."""
    name, sign, value = argument.partition("=")
    kind = _KINDS.get(value.partition("_")[0])
    if kind is not None and re.fullmatch(r"\w+", name):
        with contextlib.suppress(InvalidIdentifier):
            return f"{name}{sign}{parse_id(kind, value)}"
    return argument


def main() -> None:
    """The password goes by the environment: arguments are seen by everybody on the machine."""
    url = make_url(find(Path(os.environ.get("TOLLGATE_DATA_DIR", ".tollgate"))).databases.owner)
    names = {"PGHOST": url.host, "PGPORT": url.port, "PGUSER": url.username, "PGPASSWORD": url.password}
    names |= {"PGDATABASE": url.database, "PGSSLMODE": url.query.get("sslmode")}
    own = {name: str(value) for name, value in names.items() if value is not None}
    program = shutil.which("psql") or str(PROGRAMS / "bin" / "psql")
    os.execve(program, [program, *map(_inner, sys.argv[1:])], {**os.environ, **own})  # noqa: S606 - takes a list


if __name__ == "__main__":
    try:
        main()
    except Refused as refusal:
        sys.exit(f"psql.py: {refusal}")
