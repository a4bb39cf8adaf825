"""The mode of a secret key, told by its prefix before anything is sent with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from core.providers.base import Account, IdentityUnknown

Mode = Literal["test", "live"]


def mode_of_key(provider: str, account: Account, prefixes: Mapping[str, Mode]) -> Mode:
    """The mode of the account's `secret_key`. Raises IdentityUnknown for a key of another kind or the other mode.

    Asked first: a live key entered by mistake for test mode must not reach any address, least of all one that a
    test account names as its own.
    """
    key = account.credentials.get("secret_key", "")
    prefix = next((one for one in prefixes if key.startswith(one) and len(key) > len(one)), None)
    if prefix is None:
        named = " or ".join(prefixes)
        raise IdentityUnknown(f"A secret key of {provider} begins with {named}; this one does not.")
    mode = prefixes[prefix]
    if mode != account.mode:
        raise IdentityUnknown(
            f"This is a {mode} key of {provider}, but the account is for {account.mode} mode; "
            f"enter the {account.mode} key, or add it as a {mode} account."
        )
    return mode
