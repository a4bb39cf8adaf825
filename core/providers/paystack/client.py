"""One JSON call to Paystack: what came back, or why nothing readable did."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from core.domain.outcomes import NotExecuted, NotExecutedReason, Unknown
from core.providers.base import Account, CallLimits
from core.providers.paystack.outcomes import Answer, unknown
from core.providers.paystack.settings import SETTINGS
from core.providers.transport import TransportError, exchange, exchange_requests

#: A provider that names a longer wait is asked again after this all the same; the payment does not wait that long.
_LONGEST_WAIT = 3600.0


class PaystackClient:
    """Sends for one account. Nothing here retries, follows redirects or remembers cookies."""

    def __init__(self, account: Account, limits: CallLimits) -> None:
        self._base = (account.api_base or SETTINGS.address).rstrip("/")
        self._secret_key = account.credentials.get("secret_key", "")
        self._limits = limits

    def get(self, path: str, *segments: str, **query: str | int) -> Answer | NotExecuted | Unknown:
        """`segments` are quoted, so that an id can never reach another address."""
        address = _address(path, *segments)
        return self._call("GET", f"{address}?{urlencode(query)}" if query else address, None)

    def post(self, path: str, body: Mapping[str, Any], *segments: str) -> Answer | NotExecuted | Unknown:
        return self._call("POST", _address(path, *segments), body)

    def put(self, path: str, body: Mapping[str, Any], *segments: str) -> Answer | NotExecuted | Unknown:
        return self._call("PUT", _address(path, *segments), body)

    def upload(self, url: str, content: bytes) -> NotExecuted | Unknown | None:
        """PUT a text to an address that Paystack named; None once it is taken.

        The address is signed and may be another house's, so the key stays here. Unencrypted only where Paystack
        itself is spoken to so.
        """
        scheme = urlsplit(url).scheme
        if scheme != "https" and scheme != urlsplit(self._base).scheme:
            return unknown("an address for files that is not encrypted")
        headers = {"Content-Type": "text/plain; charset=utf-8", "User-Agent": "Tollgate"}
        try:
            reply = exchange("PUT", url, headers, content, self._limits)
        except TransportError as error:
            return _broken_off(error)
        return None if 200 <= reply.status < 300 else unknown("the file was not taken", http_status=reply.status)

    def _call(self, method: str, address: str, body: Mapping[str, Any] | None) -> Answer | NotExecuted | Unknown:
        headers = {
            "Authorization": f"Bearer {self._secret_key}",
            "Accept": "application/json",
            "User-Agent": "Tollgate",
        }
        try:
            reply = exchange_requests(method, self._base + address, headers, body, self._limits)
        except TransportError as error:
            return _broken_off(error)
        return Answer(reply.status, read_object(reply.body), _retry_after(reply.headers))


def _address(path: str, *segments: str) -> str:
    return "/".join([path, *(quote(segment, safe="") for segment in segments)])


def read_object(body: bytes) -> Mapping[str, Any] | None:
    """The JSON object in `body`, None for anything else, however deep or large it was made."""
    try:
        found = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")  # NaN and Infinity could not be stored


def _broken_off(error: TransportError) -> NotExecuted | Unknown:
    if not error.sent:
        return NotExecuted(NotExecutedReason.CONNECTION, str(error))
    if error.http_status == 429:
        wait = _retry_after(error.headers)
        return NotExecuted(NotExecutedReason.RATE_LIMITED, "too many requests", retry_after=wait)
    if error.http_status is None:
        return unknown("no whole answer", cause=error.cause)
    return unknown("no whole answer", cause=error.cause, http_status=error.http_status)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from a Retry-After header, which holds seconds or a date (RFC 9110 section 10.2.3)."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_WAIT)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    when = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return min(max(0.0, (when - datetime.now(UTC)).total_seconds()), _LONGEST_WAIT)
