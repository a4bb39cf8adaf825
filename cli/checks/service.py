"""The running service as its users reach it, and the settings its processes read."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

from cli import databases
from cli.checks.finding import Finding, Situation, failed, ok, skipped, warning
from cli.lock import running
from core.environment import WrongSettings, variables
from core.settings import Settings, load_settings


def check(situation: Situation) -> Iterator[Finding]:
    yield from _settings(situation)
    holder = running(situation.data_dir)
    if holder is None or not holder.get("api"):
        yield skipped("API", "not started by `tollgate up` here")
    else:
        yield _ready(str(holder["api"]))


def _settings(situation: Situation) -> Iterator[Finding]:
    # The embedded database's address is in no environment, and is right.
    environ = {"DATABASE_URL": "postgresql://embedded", **situation.environ}
    try:
        settings = load_settings(environ)
    except WrongSettings as error:
        wrong = "; ".join(line.strip() for line in str(error).splitlines()[1:])
        yield failed("Settings", wrong, "correct these variables of the environment")
        return
    known = {*variables(Settings), *databases.NAMES}
    names = sorted(name for name, value in situation.environ.items() if value and name.upper() in known)
    yield ok("Settings", f"{len(names)} set in the environment{': ' if names else ''}{', '.join(names)}")
    if not settings.sandbox and settings.allow_private_webhook_targets:
        advice = "unset TOLLGATE_ALLOW_PRIVATE_WEBHOOK_TARGETS in production: it opens your own network"
        yield warning("Webhook targets", "private addresses are allowed", advice)


def _ready(api_url: str) -> Finding:
    parts = urlsplit(api_url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read(65536)
    except (OSError, http.client.HTTPException) as error:
        return failed("API", f"{api_url} does not answer: {error}", "look into logs/api.log in the data directory")
    finally:
        connection.close()
    if answer.status != 200:
        return failed("API", f"{api_url} is not ready: {_reasons(body)}", "see the failed checks above")
    return ok("API", f"{api_url} is ready")


def _reasons(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body))
    except ValueError:
        return "no reason given"
