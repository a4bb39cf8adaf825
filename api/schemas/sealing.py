"""What is shown of sealing keys."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.base import Shown


class SealingKey(Shown):
    """A version that was ever used; `at_hand` is false once it was dropped from the key file."""

    kind: Literal["kek", "index"]
    version: int
    current: bool
    at_hand: bool
    first_used_at: str
    retired_at: str | None


class KeyRotation(Shown):
    """A walk over all rows under older versions. `at` is the table it is in, or `verify` for the last look."""

    kind: Literal["kek", "index"]
    version: int
    status: Literal["running", "finished"]
    at: str
    done: int = Field(description="Rows brought to the new version so far.")
    total: int = Field(description="Rows under older versions when it began.")
    started_by: str
    started_at: str
    finished_at: str | None


class SealingKeys(Shown):
    """All versions, and the newest twenty rotations."""

    keys: list[SealingKey]
    rotations: list[KeyRotation]
