"""The order of the rows, progress on standard error, and what becomes of Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import time

from bench import end_to_end
from bench.stack import Stack
from bench.subjects import Plain

_begun = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - _begun:5.0f} s] {text}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--only", default="")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    with Stack() as stack:
        say("started")
        for subject, low, high in ((Plain(stack, tuned=True), 40.0, 250.0),):
            held = end_to_end.measure(
                subject, low, high, say, seconds=6.0 if options.quick else 10.0, steps=3 if options.quick else 4
            )
            say(f"{subject.name}: {held.rate:.0f} payments a second held")
