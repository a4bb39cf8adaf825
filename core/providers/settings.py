"""What a provider needs to be told by an operator, and where it lives: each package declares its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Secret:
    """One thing an operator enters. `webhook_secret` is kept with the others of that kind, the rest as credentials."""

    name: str
    label: str  # what the prompt calls it
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """`address` is the provider's own; an account of test mode may name another."""

    address: str
    secrets: tuple[Secret, ...]
    #: Webhooks are signed with `secret_key` itself: there is no other secret to enter.
    signs_with_key: bool = False
