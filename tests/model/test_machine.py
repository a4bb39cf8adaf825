"""The model, run: `make model SEED=… EXAMPLES=… STEPS=…` for more of it, or for the same again."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import HealthCheck, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import bound_to
from tests.model.stand import Stand

#: Examples and steps where nobody says how many: others each time, unless a seed is given.
EXAMPLES, STEPS = 12, 20

SETTINGS = settings(
    max_examples=int(os.environ.get("MODEL_EXAMPLES") or EXAMPLES),
    stateful_step_count=int(os.environ.get("MODEL_STEPS") or STEPS),
    deadline=None,
    derandomize=False,
    # A seed means the same run everywhere: nothing is remembered from the run before.
    database=None,
    print_blob=True,
    verbosity=Verbosity.verbose if os.environ.get("MODEL_VERBOSE") else Verbosity.normal,
    suppress_health_check=list(HealthCheck),
)


def test_nothing_is_lost_or_doubled_whatever_happens(stand: Stand, request: pytest.FixtureRequest) -> None:
    given = request.config.getoption("--hypothesis-seed")
    chosen = int(given) if given is not None else random.randrange(2**32)
    machine = seed(chosen)(bound_to(stand))
    try:
        run_state_machine_as_test(machine, settings=SETTINGS)
    except BaseException as error:
        again = f"SEED={chosen} EXAMPLES={SETTINGS.max_examples} STEPS={SETTINGS.stateful_step_count}"
        error.add_note(f"the same again: make model {again}")
        raise
