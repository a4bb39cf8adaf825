"""What a worker does next for a money job: send, ask, enrol a customer. Values between announce, execute and settle."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from core.orchestration.provider_manager import OpenedAccount
from core.providers.base import CustomerRequest, LookUpRequest, Request


@dataclass(frozen=True, slots=True)
class Send:
    """Announced and committed: this request may now go out, once."""

    account: OpenedAccount
    transaction_id: UUID
    request: Request
    # An earlier send may have arrived: then a refusal of this one proves nothing about that one.
    was_ambiguous: bool
    # How long its call took, in milliseconds, once there was one.
    took_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """The outcome is open: ask before anything is sent again."""

    account: OpenedAccount
    transaction_id: UUID
    look_up: LookUpRequest


@dataclass(frozen=True, slots=True)
class Enrol:
    """The provider has to know the customer before it can keep a payment method of theirs. Moves no money."""

    account: OpenedAccount
    customer_id: UUID
    request: CustomerRequest


Step = Send | Ask | Enrol
