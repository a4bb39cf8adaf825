"""How the sealing keys stand: versions, and how far a rotation has come. Keys themselves are shown nowhere."""

from __future__ import annotations

from flask import Response

from api.answers import ok
from api.policy import Policy
from api.routing import room, route
from api.schemas.parameters import NoQuery
from api.schemas.sealing import SealingKeys
from api.state import gate
from core.orchestration import rotation

sealing = room("admin_sealing", __name__, "Sealing keys; takes a `tg_admin_` key.")

_READ = Policy("admin", "admin:read", codes=("validation_failed",))


@route(sealing, "get", "/admin/v1/sealing_keys", _READ, {200: SealingKeys})
def get_sealing_keys(query: NoQuery) -> Response:
    """Read the versions of the sealing keys, and their rotations

    Newest rotations first. Keys are added and rotated by `tollgate sealing` alone.
    """
    return ok(rotation.status(gate().core))
