"""Who sits at this machine, for the audit log."""

from __future__ import annotations

import getpass

from cli.errors import Refused


def login() -> str:
    """Raises Refused."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        raise Refused("this machine has no name for you: give one with --actor") from None
