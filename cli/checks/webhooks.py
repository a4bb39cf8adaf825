"""Whether providers reach us: a question to our own public address, answered as nobody else would."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from secrets import token_hex
from urllib.parse import SplitResult, urlsplit

from cli.checks.finding import Finding, Situation, failed, ok, skipped, warning
from core.environment import WrongSettings
from core.startup.addresses import is_local

SUBJECT = "Public address"
#: No account has this id, so nothing is counted as forged; the gate says that in words of its own.
PATH = "/webhooks/stripe/acc_00000000000000000000000000"
WAY_IN = "look at DNS, the firewall and the proxy; providers send their events to this address"


def check(situation: Situation) -> Iterator[Finding]:
    try:
        address = situation.settings().public_url
    except WrongSettings:
        yield skipped(SUBJECT, "the settings are wrong, see there")
        return
    if address is None:
        yield skipped(SUBJECT, "TOLLGATE_PUBLIC_URL is not set, so it is not known where providers send their events")
        return
    parts = urlsplit(address)
    if parts.scheme != "https" and not is_local(parts.hostname):
        advice = "put TLS in front (deploy/nginx.conf) and name it https://…: providers send to nothing else"
        yield warning(SUBJECT, f"{address} is not encrypted", advice)
    yield _ask(address, parts)


def _ask(address: str, parts: SplitResult) -> Finding:
    mark = f"doctor-{token_hex(8)}"
    try:
        status, echoed, body = _post(parts, mark)
    except ssl.SSLError as error:
        return failed(SUBJECT, f"{address}: {error}", "providers refuse a certificate that they cannot verify")
    except (OSError, http.client.HTTPException) as error:
        return failed(SUBJECT, f"{address} cannot be reached: {error}", WAY_IN)
    if status == 404 and echoed == mark and _code(body) == "not_found":
        return ok(SUBJECT, f"{address} leads here")
    if status in (502, 503, 504):
        return failed(SUBJECT, f"{address} answers {status}: the proxy does not reach the API", "see API above")
    return failed(
        SUBJECT, f"{address} answers {status}, and not in the words of our API", f"who answers there? {WAY_IN}"
    )


def _post(parts: SplitResult, mark: str) -> tuple[int, str | None, bytes]:
    """(status, the request id that came back, body). Raises OSError, HTTPException."""
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(str(parts.hostname), parts.port, timeout=10)
    try:
        headers = {"Content-Type": "application/json", "X-Request-Id": mark}
        connection.request("POST", parts.path.rstrip("/") + PATH, b"{}", headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("X-Request-Id"), answer.read(65536)
    finally:
        connection.close()


def _code(body: bytes) -> object:
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found.get("code") if isinstance(found, dict) else None
