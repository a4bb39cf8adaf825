"""Addresses with the password of an example, or with none, or over a network without TLS."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from core.settings import Settings
from core.startup.remark import Remark, known

#: What images, examples and tutorials come with; somebody will try them.
_PLACEHOLDERS = frozenset(
    "postgres postgresql password passwd pass changeme change-me change_me secret admin root tollgate test guest "
    "redis rabbitmq example default 1234 12345 123456 12345678 qwerty xxx …".split()
)
_UNFILLED = ("<", "${", "$(", "{{")
_NEW = "set one of your own, such as the output of `openssl rand -hex 24`"
_PLAIN = "or set TOLLGATE_ALLOW_PLAINTEXT=1 if nobody else is on that network"
_ENCRYPTED = ("require", "verify-ca", "verify-full")


def look(settings: Settings, environ: Mapping[str, str] = os.environ) -> Iterator[Remark]:
    """Refusals and warnings about the three addresses; connects to nothing."""
    yield from _postgres(settings, environ)
    yield from _server("REDIS_URL", settings.redis_url, settings)
    if settings.broker_url != settings.redis_url:
        yield from _server("BROKER_URL", settings.broker_url, settings)


def is_local(host: str | None) -> bool:
    """This machine: a loopback address, or a socket in the file system."""
    if not host or host == "localhost" or host.startswith(("/", "@")):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def postgres_hosts(url: str) -> list[str]:
    """Every host a Postgres address names, in its place or as `?host=`; a list of one empty text for a socket."""
    parts = urlsplit(url)
    named = parse_qs(parts.query).get("host") or [parts.hostname or ""]
    return [host for text in named for host in text.split(",")]


def postgres_mode(url: str, environ: Mapping[str, str] = os.environ) -> str:
    """The `sslmode` that holds: of the address, else libpq's own variable, else libpq's default."""
    return parse_qs(urlsplit(url).query).get("sslmode", [environ.get("PGSSLMODE") or "prefer"])[-1]


def _postgres(settings: Settings, environ: Mapping[str, str]) -> Iterator[Remark]:
    url = settings.database_url
    yield from _password("DATABASE_URL", urlsplit(url))
    if all(map(is_local, postgres_hosts(url))):
        return
    mode = postgres_mode(url, environ)
    if mode not in _ENCRYPTED and not settings.allow_plaintext:
        yield Remark(
            f"DATABASE_URL: sslmode is {mode}, so payments may cross the network readable: "
            f"add ?sslmode=verify-full, {_PLAIN}"
        )
    elif mode == "require":
        yield known("DATABASE_URL: with sslmode=require anybody may answer as the server; verify-full asks who it is")


def _server(name: str, url: str, settings: Settings) -> Iterator[Remark]:
    parts = urlsplit(url)
    local = is_local(parts.hostname)
    if not (local and parts.scheme == "amqp" and parts.password == "guest"):  # noqa: S105 - RabbitMQ lets it in from loopback alone
        yield from _password(name, parts)
    if local:
        return
    query = parse_qs(parts.query)
    if not parts.password and "ssl_certfile" not in query:
        yield Remark(f"{name}: no password, and the server is on another machine: {_NEW}, on the server and here")
    if parts.scheme not in ("rediss", "amqps") and not settings.allow_plaintext:
        yield Remark(f"{name}: {parts.scheme}:// is readable on the network: use {_secure(parts.scheme)}://, {_PLAIN}")
    if query.get("ssl_cert_reqs", ["required"])[-1].lower().removeprefix("cert_") != "required":
        yield known(f"{name}: with this ssl_cert_reqs anybody may answer as the server; leave it out")


def _secure(scheme: str) -> str:
    return "amqps" if scheme == "amqp" else "rediss"


def _password(name: str, parts: Any) -> Iterator[Remark]:
    password = unquote(parts.password or "")
    lowered = password.lower()
    if password and (
        lowered in _PLACEHOLDERS or lowered == unquote(parts.username or "").lower() or password.startswith(_UNFILLED)
    ):
        yield Remark(f"{name}: the password is one of an example or the user's own name: {_NEW}")
