"""What a worker does next for a money job: send, ask, or nothing. Values between announce, execute and settle."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from core.orchestration.provider_manager import OpenedAccount
from core.providers.base import LookUpRequest, Request


@dataclass(frozen=True, slots=True)
class Send:
    """Announced and committed: this request may now go out, once."""

    account: OpenedAccount
    transaction_id: UUID
    request: Request
    # An earlier send may have arrived: then a refusal of this one proves nothing about that one.
    was_ambiguous: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """The outcome is open: ask before anything is sent again."""

    account: OpenedAccount
    transaction_id: UUID
    look_up: LookUpRequest


Step = Send | Ask
