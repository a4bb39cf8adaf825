"""Whether this machine's clock is right, measured against another's: webhooks are signed with the time."""

from __future__ import annotations

import time

#: Seconds. Signatures are refused at 300, by us and by those we sign for; clocks that are kept differ by less than 5.
WORTH_A_WORD = 5.0
UNSAFE = 60.0


def machine_time() -> float:
    """This machine's own time, in seconds since 1970. Ask for it by this name, so that tests can set it."""
    return time.time()


def offset(sent: float, there: float, received: float) -> float:
    """How far we are ahead of the other, in seconds.

    0 while its time lies between our question and its answer: what the trip took is nobody's fault.
    """
    if there < sent:
        return sent - there
    return min(0.0, received - there)


def words(seconds: float) -> str:
    return f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'}"
