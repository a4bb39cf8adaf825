"""Where the service listens, with which key it is asked, and how its answer is told."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import requests

from cli.errors import Refused
from cli.lock import running
from cli.secrets_file import Secrets
from core.domain.key_form import read_key

URL, KEY, PLAINTEXT = "TOLLGATE_URL", "TOLLGATE_API_KEY", "TOLLGATE_ALLOW_PLAINTEXT"
#: Beyond the longest wait that the service grants.
PATIENCE = 60


@dataclass(frozen=True, slots=True)
class Service:
    """`key` is None for what needs none."""

    url: str
    key: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Question:
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    raw: bytes | None = None


def find(data_dir: Path, key_file: str | None, door: str, environ: Mapping[str, str] = os.environ) -> Service:
    """By the environment, else the `tollgate up` that runs in the folder. `door` is merchant, admin or public.

    Raises:
        Refused: no service is named or runs, no key is there for it, or the key would go there in clear.
    """
    url = environ.get(URL, "").rstrip("/")
    key = _given_key(key_file, environ)
    if not url:
        holder = running(data_dir) or {}
        if not holder.get("api"):
            raise Refused(f"set {URL}, or start a service: nothing runs in {data_dir} (--data-dir names another)")
        url = str(holder["api"])
        # Only its own service is sent the keys of a folder.
        key = key or Secrets(data_dir, keep=False).get("admin_key" if door == "admin" else "test_key")
    if door == "public":
        return Service(url, None)
    if not key:
        raise Refused(f"set {KEY} to your API key, or name a file that holds it with --key-file (- is standard input)")
    _check_url(url, environ)
    return Service(url, key)


def _given_key(key_file: str | None, environ: Mapping[str, str]) -> str | None:
    if key_file is None:
        return environ.get(KEY) or None
    try:
        text = sys.stdin.readline() if key_file == "-" else Path(key_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{key_file} cannot be read: {error}") from None
    if read_key(text.strip()) is None:
        raise Refused("this is no API key: one begins with tg_test_, tg_live_ or tg_admin_, and its checksum holds")
    return text.strip()


def _check_url(url: str, environ: Mapping[str, str]) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refused(f"{URL} must be an address like https://pay.example")
    plain = parts.scheme == "http" and not _is_here(parts.hostname)
    if plain and environ.get(PLAINTEXT, "").lower() not in ("1", "true", "yes", "on"):
        raise Refused(f"the key would go to {parts.hostname} in clear: use https://, or set {PLAINTEXT}=true")


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def ask(service: Service, question: Question) -> requests.Response:
    """Raises Refused when nobody answers."""
    headers = {"Accept": "application/json", **question.headers}
    if service.key is not None:
        headers["Authorization"] = f"Bearer {service.key}"
    body = question.raw
    if body is None and question.body is not None:
        body = json.dumps(question.body, ensure_ascii=False).encode()
    if body is not None:
        headers.setdefault("Content-Type", "application/json")
    try:
        with requests.Session() as session:
            session.trust_env = False
            return session.request(
                question.method,
                service.url + question.path,
                params=dict(question.query),
                data=body,
                headers=headers,
                timeout=PATIENCE,
                allow_redirects=False,
            )
    except requests.RequestException as error:
        raise Refused(f"{service.url} does not answer ({type(error).__name__}): is it running?") from None


def tell(answer: requests.Response) -> None:
    """The body on standard output. Raises Refused with what the service had against it."""
    if answer.status_code >= 400:
        raise Refused(_problem(answer))
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if kind == "application/json" and sys.stdout.isatty():
        click.echo(json.dumps(answer.json(), ensure_ascii=False, indent=2))
    else:
        click.echo(answer.text, nl=not answer.text.endswith("\n"))


def _problem(answer: requests.Response) -> str:
    try:
        told: dict[str, Any] = dict(answer.json())
    except ValueError:
        return f"the answer was {answer.status_code}, and no problem of ours"
    lines = [f"{told.get('detail', answer.reason)} ({answer.status_code} {told.get('code', '')})"]
    lines += [f"  {one['field']}: {one['message']}" for one in told.get("errors", ())]
    if "Retry-After" in answer.headers:
        lines.append(f"  again in {answer.headers['Retry-After']} s")
    lines.append(f"  request {told.get('request_id')}")
    return "\n".join(lines)
