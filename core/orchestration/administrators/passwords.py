"""Passwords: argon2id, a policy that asks for length and refuses what everybody tries first, and few at once."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from core.domain.errors import RequestRefused, Unavailable

SHORTEST = 12
LONGEST = 128
#: RFC 9106, second choice, in one lane: a tenth of a second and 64 MB each time, also for who guesses.
_HASHER = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)
_FEWEST_LETTERS = 6
_FEWEST_OWN = 4
#: Seconds that somebody at a known browser waits for a place; strangers do not wait, else they would hold the threads.
_PATIENCE = 3.0

#: What the lists of stolen passwords begin with, and what stands on this page.
_COMMON = frozenset(
    "password passwort passw0rd pass word secret welcome letmein admin administrator root login master monkey dragon "
    "qwerty qwertyuiop qwertz azerty asdf asdfgh asdfghjkl zxcvbn zxcvbnm abc abcd abcdef abcdefgh iloveyou sunshine "
    "princess football baseball superman batman trustno starwars whatever freedom shadow michael jordan hunter "
    "changeme default guest test testing temp temporary tollgate stripe paystack payment payments money company "
    "summer winter spring autumn january february march april june july august september october november "
    "december monday".split()
)
_LEET = str.maketrans("0134578@$!", "oieastbasi")
#: Without letters that look alike, so that a password can be read from a screen.
_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"


def check(name: str, password: str) -> None:
    """Raises RequestRefused, which never repeats the password."""
    problem = _problem(name, password)
    if problem is not None:
        raise RequestRefused(f"{problem}; choose another: four or five words that do not belong together are good")


def _problem(name: str, password: str) -> str | None:
    if len(password) < SHORTEST:
        return f"the password must have at least {SHORTEST} characters"
    if len(password) > LONGEST:
        return f"the password may have {LONGEST} characters"
    if not password.isprintable():
        return "the password holds control characters"
    plain = password.casefold()
    if len(set(plain)) < _FEWEST_LETTERS:
        return "the password repeats few characters"
    if _is_run(plain):
        return "the password is a run of neighbouring characters"
    own = re.split(r"[^a-z0-9]+", name.casefold())
    if any(len(part) >= 4 and part in plain for part in own):
        return "the password holds your name"
    if _is_common(plain):
        return "the password is one of those that everybody tries first"
    return None


def _is_run(text: str) -> bool:
    """`123456789012`, `abcdefghijkl`: nearly every step is the same small one."""
    steps = [ord(after) - ord(before) for before, after in pairwise(text)]
    return sum(step in (0, 1, -1, -9, 9) for step in steps) > len(steps) * 3 / 4


def _is_common(text: str) -> bool:
    """Little is left beside common words, digits and signs: `P4ssword-2024!`."""
    return min(_own_letters(text.translate(_LEET)), _own_letters(text)) < _FEWEST_OWN


def _own_letters(text: str) -> int:
    """Letters that belong to none of the words that everybody tries."""
    count, rest = 0, "".join(re.findall(r"[^\W\d_]", text))
    while rest:
        longest = max((len(word) for word in _COMMON if rest.startswith(word)), default=0)
        count += not longest
        rest = rest[longest or 1 :]
    return count


def make() -> str:
    """One for a person to type once: 80 bits in four groups."""
    return "-".join("".join(secrets.choice(_READABLE) for _ in range(4)) for _ in range(4))


def hash_of(password: str) -> str:
    return _HASHER.hash(password)


@lru_cache(maxsize=1)
def _nobody() -> str:
    return _HASHER.hash(secrets.token_hex(16))


class Places:
    """How many passwords this process looks at, at once: each takes memory and a core's time.

    Strangers have a quarter of the threads and are sent away when it is full; browsers that have logged in before have
    a place of their own, which strangers cannot take.
    """

    def __init__(self, threads: int) -> None:
        self._strangers = threading.BoundedSemaphore(max(1, threads // 4))
        self._known = threading.BoundedSemaphore(1)

    def matches(self, stored: str | None, password: str, known: bool) -> bool:
        """Costs the same whether or not there is somebody whose password is `stored`. Raises Unavailable."""
        nobody = _nobody()
        with self._place(known):
            try:
                _HASHER.verify(stored or nobody, password[: LONGEST + 1])
            except (VerifyMismatchError, VerificationError, InvalidHashError):
                return False
        return stored is not None

    @contextmanager
    def _place(self, known: bool) -> Iterator[None]:
        place = self._known if known else self._strangers
        if not place.acquire(timeout=_PATIENCE if known else 0):
            raise Unavailable("many are logging in at this moment; try again in a few seconds")
        try:
            yield
        finally:
            place.release()


def needs_new_hash(stored: str) -> bool:
    """Was it made with weaker parameters than those of today?"""
    return _HASHER.check_needs_rehash(stored)
