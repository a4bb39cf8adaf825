"""Time-based codes (RFC 6238): the secret sealed, each code taken once, and ten spare codes for a lost device."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import datetime
from uuid import UUID

import pyotp
from sqlalchemy.engine import Connection

from core.audit.log import EVERYBODY
from core.domain.identifiers import new_id
from core.orchestration.context import Core
from core.persistence.queries import administrators as rows
from core.persistence.vault import DataKey, Place

_STEP = 30
#: A phone's clock may be half a minute off in either direction.
_AROUND = (0, -1, 1)
_SPARE = 10
_ISSUER = "Tollgate"


def make_secret() -> str:
    """160 bits, as apps read them."""
    return pyotp.random_base32(32)


def uri(name: str, secret: str) -> str:
    """What the picture holds that an app scans."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=_ISSUER)


def at(secret: str, now: datetime) -> str:
    return pyotp.TOTP(secret).at(now)


def seal(core: Core, connection: Connection, person: UUID, secret: str) -> bytes:
    return _key(core, connection).seal(_place(person), secret.encode())


def open_secret(core: Core, connection: Connection, person: UUID, sealed: bytes) -> str:
    """Raises SealBroken."""
    return _key(core, connection).open(_place(person), sealed).decode()


def _key(core: Core, connection: Connection) -> DataKey:
    return core.vault.installation_key(connection, "administrators", EVERYBODY)


def _place(person: UUID) -> Place:
    return Place("administrators", "code_sealed", person)


def take(core: Core, connection: Connection, person: UUID, sealed: bytes, code: str) -> bool:
    """Is it a code of about now that was not taken before? It is taken with this."""
    given = code.replace(" ", "")
    if len(given) != 6 or not given.isascii() or not given.isdigit():
        return False
    made = pyotp.TOTP(open_secret(core, connection, person, sealed))
    now = int(core.clock().timestamp()) // _STEP
    fitting = [now + step for step in _AROUND if hmac.compare_digest(made.generate_otp(now + step), given)]
    return any(rows.take_step(connection, person, step) for step in fitting)


def renew_spare(connection: Connection, person: UUID) -> list[str]:
    """Ten new ones in place of all before; shown once, kept as hashes."""
    made = [_spare() for _ in range(_SPARE)]
    found = [{"id": new_id(), "administrator_id": person, "code_hash": _hash(one)} for one in made]
    rows.put_spare_codes(connection, found, person)
    return made


def use_spare(connection: Connection, person: UUID, code: str) -> bool:
    """Opens once."""
    return rows.use_spare_code(connection, person, _hash(code))


def _spare() -> str:
    """80 bits in four groups of four letters."""
    letters = base64.b32encode(secrets.token_bytes(10)).decode().lower()
    return "-".join(letters[start : start + 4] for start in range(0, 16, 4))


def _hash(code: str) -> bytes:
    """80 bits of chance need no slow hash."""
    return hashlib.sha256(code.strip().lower().replace("-", "").replace(" ", "").encode()).digest()
