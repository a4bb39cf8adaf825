"""Which database each process uses, and as whom: the embedded one, or the one the environment names."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from cli.embedded_postgres import EmbeddedPostgres
from cli.errors import Refused
from cli.secrets_file import Secrets

#: Row-level security does not bind the owner of the tables, so the api must never connect as that.
NAMES = ("DATABASE_URL", "MIGRATION_DATABASE_URL", "WORKER_DATABASE_URL")


class BadAddress(Refused):
    """An address in the environment cannot be used; the text names the variable, never the password."""


@dataclass(frozen=True)
class Databases:
    """SQLAlchemy URLs: `owner` migrates, `api` and `worker` are the logins of the running processes."""

    owner: str
    api: str
    worker: str


def embedded(postgres: EmbeddedPostgres, secrets_: Secrets) -> Databases:
    """The logins in our own server."""
    return Databases(
        owner=postgres.url,
        api=postgres.url_for("tollgate_api", secrets_.password("role_api")),
        worker=postgres.url_for("tollgate_worker", secrets_.password("role_worker")),
    )


def external(environ: Mapping[str, str], kept: Secrets) -> Databases | None:
    """The logins in the server the environment names, or None if it names none.

    With an address of the owner alone, logins are derived and their passwords kept in the secrets file. With
    DATABASE_URL of another user that is the api's login, and the worker's is WORKER_DATABASE_URL or derived.

    Raises:
        BadAddress: an address is not one of Postgres.
    """
    given = {name: _parse(name, environ[name]) for name in NAMES if environ.get(name)}
    owner = given.get("MIGRATION_DATABASE_URL") or given.get("DATABASE_URL")
    if owner is None:
        return None
    api = given.get("DATABASE_URL")
    if api is None or api.username == owner.username:
        api = _derived(api or owner, f"tollgate_api_{_suffix(kept)}", kept.password("role_api"))
        worker_name = f"tollgate_worker_{_suffix(kept)}"
    else:
        worker_name = f"{api.username}_worker"
    worker = given.get("WORKER_DATABASE_URL") or _derived(api, worker_name, kept.password("role_worker"))
    return Databases(_text(owner), _text(api), _text(worker))


def refuse_derived(environ: Mapping[str, str]) -> None:
    """A release of its own names all three logins: the password of a derived one would stay in its data directory.

    DATABASE_URL alone is the owner's, as under `tollgate up`, which finds the derived passwords in that directory.

    Raises:
        Refused: some are named and some are missing.
    """
    missing = [name for name in NAMES if not environ.get(name)]
    if missing and any(environ.get(name) for name in NAMES[1:]):
        raise Refused(
            f"{' and '.join(missing)}: not set. A release names three logins: MIGRATION_DATABASE_URL (the owner), "
            "DATABASE_URL (the api's) and WORKER_DATABASE_URL (the workers'); logins that are missing are made"
        )


def _suffix(kept: Secrets) -> str:
    """Tells the logins of several installations in one server apart; random, so that none is met again."""
    if kept.get("role_suffix") is None:
        kept.put("role_suffix", secrets.token_hex(3))
    return str(kept.get("role_suffix"))


def _derived(url: URL, username: str, password: str) -> URL:
    return url.set(username=username, password=password)


def _parse(name: str, text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise BadAddress(f"{name} is no address; it reads like postgresql://user:password@host/db") from None
    if url.drivername.split("+")[0] not in ("postgres", "postgresql"):
        raise BadAddress(f"{name} must begin with postgresql://, not {url.drivername}://")
    if not url.username:
        raise BadAddress(f"{name} names no user")
    return url.set(drivername="postgresql+psycopg2")


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
