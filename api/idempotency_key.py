"""The Idempotency-Key header, and the fingerprint that tells one request from another."""

from __future__ import annotations

import hashlib
import json
import re

from flask import g, request

from api.errors import MalformedRequest
from api.strict_json import refuse_card_numbers
from core.domain.secret_texts import holds_secret
from core.orchestration.idempotency import IdempotencyKey

HEADER = "Idempotency-Key"
LONGEST = 255
_PRINTABLE = re.compile(r"[\x21-\x7e]+(?: +[\x21-\x7e]+)*")
#: RFC 8941 section 3.3.3: a quoted string, where only quote and backslash are escaped.
_QUOTED = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')


def read_key() -> str:
    """The key, quoted or bare. Raises MalformedRequest (400)."""
    header = request.headers.get(HEADER, "").strip()
    quoted = _QUOTED.fullmatch(header)
    key = re.sub(r'\\(["\\])', r"\1", quoted.group(1)) if quoted else header
    if not key.strip():
        raise MalformedRequest(
            "send an Idempotency-Key header, so that a repeated request is not carried out twice",
            code="idempotency_key_missing",
        )
    if header.startswith('"') and not quoted:
        # Taken as it is, it would be another key than the one its sender quotes properly the next time.
        raise MalformedRequest("close the quotation marks of the Idempotency-Key", code="idempotency_key_invalid")
    if len(key) > LONGEST or not _PRINTABLE.fullmatch(key.strip()):
        raise MalformedRequest(
            f"an Idempotency-Key has 1 to {LONGEST} printable ASCII characters", code="idempotency_key_invalid"
        )
    refuse_card_numbers(HEADER, key)
    if holds_secret(key):
        raise MalformedRequest(
            "this Idempotency-Key looks like a secret; it is kept in clear, so send another",
            code="idempotency_key_invalid",
        )
    return key


def fingerprint(method: str, path: str, body: object) -> bytes:
    """SHA-256 over method, path and canonical JSON: equal for bodies that differ only in spacing or order."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(f"{method}\n{path}\n{canonical}".encode()).digest()


def current_key() -> IdempotencyKey:
    """Of the request under way, whose header and body the gate has checked."""
    return IdempotencyKey(g.idempotency_key, fingerprint(request.method, request.path, g.body))


def optional_key() -> IdempotencyKey | None:
    """For methods that may be repeated by nature: None when the caller sent no key."""
    return current_key() if "idempotency_key" in g else None
