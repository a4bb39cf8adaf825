"""The order of the measurements, progress on standard error, and what becomes of their results."""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from types import FrameType
from typing import Any

from bench import end_to_end, gate, memory, own_time, profile, provider, rows, table, webhooks, why
from bench.machine import describe
from bench.stack import Stack
from bench.subjects import Floor, Ours, Plain, Receiver, Subject

PARTS = ("e2e", "own", "webhooks", "processing", "memory", "reads", "acks", "accept", "plain", "sandbox")
#: Payments a second between which the load rises for the first guess.
RISES = {"tollgate": (40.0, 800.0), "floor": (100.0, 1200.0), "plain": (10.0, 120.0), "plain, tuned": (30.0, 400.0)}


class Run:
    """One run of the bench; `raw` is what was measured, by part."""

    def __init__(self, stack: Stack, wanted: set[str], *, quick: bool) -> None:
        self.stack, self.wanted = stack, wanted
        self.seconds, self.steps = (6.0, 3) if quick else (10.0, 4)
        #: Searches on which no narrow goal depends are shorter.
        self.fewer = 2 if quick else 3
        self.gate_seconds = 3.0 if quick else 5.0
        self.most = {"tollgate": 3000, "floor": 8000}
        self.webhooks = 300 if quick else 2000
        self.raw: dict[str, Any] = {}
        self.event: dict[str, Any] = {}
        self._begun = time.monotonic()

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._begun:4.0f} s] {text}", file=sys.stderr, flush=True)

    def wants(self, *parts: str) -> bool:
        return bool(self.wanted & set(parts))

    def held(self, subject: Subject, steps: int) -> float:
        """Searches, keeps and returns the rate held."""
        low, high = RISES[subject.name]
        kind = "webhooks" if subject.receiver is not None else "e2e"
        seconds = self.seconds if kind == "e2e" else self.seconds * 0.8
        found = end_to_end.measure(subject, low, high, self.say, seconds=seconds, steps=steps)
        self.raw.setdefault(kind, {})[subject.name] = {**asdict(found), "at": asdict(found.at) if found.at else None}
        self.say(f"{subject.name}: {found.rate:.0f} payments a second held{' with webhooks' * (kind == 'webhooks')}")
        return found.rate

    def all(self) -> None:
        """Every part; one that breaks off is told of, and the others are measured all the same."""
        parts: list[Callable[[], None]] = [self.ours, self.floor]
        if self.wants("plain"):
            parts += [partial(self.plain, tuned=False), partial(self.plain, tuned=True)]
        if self.wants("sandbox"):
            parts.append(self.sandbox)
        for part in parts:
            try:
                part()
            except Exception as error:  # noqa: BLE001  (the other rows must not be lost with it)
                self.raw.setdefault("broken", []).append(traceback.format_exc())
                self.say(f"broken off: {type(error).__name__}: {error}\n{traceback.format_exc()}")
                self.stack.stop_ours()

    def sandbox(self) -> None:
        self.raw["sandbox"] = provider.ceiling(self.stack, self.say, seconds=self.gate_seconds)

    # Tollgate

    def ours(self) -> None:
        if not self.wants("e2e", "own", "webhooks", "processing", "memory", "reads", "acks", "accept"):
            self.stack.stop_ours()
            return
        ours = Ours(self.stack)
        ours.start()
        end_to_end.window(ours, 20.0, 2.0)
        if self.wants("memory"):
            self.say("memory before")
            memory.sample(ours, 60.0)  # every thread has run and every heap has grown once afterwards
            self.raw["memory"] = {"before": memory.sample(ours, 60.0)}
        rate = self.held(ours, self.steps) if self.wants("e2e") else 80.0
        if self.wants("own"):
            self.raw["own"] = own_time.measure(ours, max(10.0, rate / 2), self.say, seconds=self.seconds)
        if self.wants("webhooks"):
            self._ours_with_webhooks(ours)
        event = self.event = webhooks.template(ours) if self.wants("processing", "acks") else {}
        if self.wants("processing"):
            self.raw["processing"] = webhooks.process(ours, event, self.webhooks)
            self.say(f"webhooks processed: {self.raw['processing']['per_core']:.0f} a core-second")
        if self.wants("memory"):
            self.say("memory after")
            self.raw["memory"]["after"] = memory.sample(ours, 60.0)
        self.stack.stop_ours("beat", *self.stack.workers)
        self._ours_gate(ours, event)
        ours.stop()

    def _ours_with_webhooks(self, ours: Ours) -> None:
        with Receiver(self.stack) as receiver:
            ours.listen(receiver)
            self.held(ours, self.fewer)
            lanes = end_to_end.lanes(ours, 100.0, self.seconds)
            self.say(f"lanes at 100/s: {lanes}")
            self.raw["lanes"] = lanes
            ours.listen(None)

    def _ours_gate(self, ours: Ours, event: dict[str, Any]) -> None:
        stack, key = self.stack, self.stack.service.test_key
        if self.wants("reads"):
            payments, jobs = [one[1] for one in webhooks.named(ours, "succeeded", 500)], webhooks.jobs(ours, 500)
            for what, ids in (("payment", payments), ("job", jobs)):
                make = gate.reads(f"/v1/{what}s", key, ids)
                found = gate.measure(ours, f"GET {what}", make, self.say, seconds=3.0, most=0, repeat=True)
                self.raw.setdefault("reads", {})[what] = asdict(found)
        if self.wants("acks"):
            about = webhooks.named(ours, "succeeded", 500)
            maker = webhooks.Maker(event, stack.webhook_secret, stack.webhook_path)
            query = "SELECT count(*) FROM inbox_events WHERE provider_event_id = ANY(%s)"
            self._acks(ours, maker, about, query, "")
        if self.wants("accept"):
            self._accept(ours)

    def _acks(
        self, subject: Subject, maker: webhooks.Maker, about: list[webhooks.Named], query: str, database: str
    ) -> None:
        def rows_of() -> int:
            return int(self.stack.one(query, maker.ids, database=database))

        sent: list[str] = []

        def make(count: int) -> list[str]:
            made = maker.make(about, count)
            sent[:] = made[:500]
            return made

        found = gate.measure(
            subject, "webhooks acknowledged", make, self.say, seconds=self.gate_seconds, most=self.most[subject.name]
        )
        twice = gate.duplicates(subject, sent, rows_of)
        answered = found.asked - found.refused
        self.raw.setdefault("acks", {})[subject.name] = {**asdict(found), "rows": rows_of(), **twice}
        self.say(f"{subject.name}: {rows_of()} rows of {answered} acknowledged and the warm-up's 200; twice: {twice}")

    def _accept(self, subject: Subject, name: str = "") -> None:
        found = gate.measure(
            subject,
            "POST accepted",
            subject.payments,
            self.say,
            seconds=self.gate_seconds,
            most=self.most[subject.name],
        )
        self.raw.setdefault("accept", {})[name or subject.name] = asdict(found)

    # What it is compared with

    def floor(self) -> None:
        apps = (("e2e", "end_to_end"), ("accept", "accept"), ("accept", "accept_flask"), ("acks", "webhooks"))
        for part, app in apps:
            if not self.wants(part):
                continue
            floor = Floor(self.stack, app)
            floor.start()
            try:
                if part == "e2e":
                    self.held(floor, self.steps)
                elif part == "accept":
                    self._accept(floor, "flask" if app == "accept_flask" else "floor")
                else:
                    maker = webhooks.Maker(self.event, self.stack.webhook_secret, "/webhooks")
                    query = "SELECT count(*) FROM floor_events WHERE id = ANY(%s)"
                    self._acks(floor, maker, [("txn_1", "pay_1", "pi_1")], query, floor.database)
            finally:
                floor.stop()

    def plain(self, *, tuned: bool) -> None:
        for with_webhooks in (False, True):
            if not self.wants("webhooks" if with_webhooks else "e2e"):
                continue
            plain = Plain(self.stack, tuned=tuned)
            with Receiver(self.stack) as receiver:
                plain.receiver = receiver if with_webhooks else None
                plain.start()
                try:
                    self.held(plain, self.fewer)
                finally:
                    plain.stop()


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure every row of the table.")
    parser.add_argument("--only", default="", help=f"parts, with commas: {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="shorter windows; the result is not kept")
    parser.add_argument("--profile", action="store_true", help="show where a payment's time goes, and nothing else")
    options = parser.parse_args()
    wanted = {one.strip() for one in options.only.split(",") if one.strip()} or set(PARTS)
    if unknown := wanted - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    if options.profile:
        text = profile.run(lambda text: print(text, file=sys.stderr, flush=True))
        if not options.quick:
            table.write("profile", [], describe(), {}, text)
        print(text)
        return
    machine = describe()
    begun = time.monotonic()
    with Stack() as stack:
        run = Run(stack, wanted, quick=options.quick)
        run.say("Postgres, Valkey, the sandbox and Tollgate run")
        try:
            run.all()
        except KeyboardInterrupt:
            run.say("stopped; what ran is being ended")
            raise SystemExit(130) from None
    machine["seconds"] = round(time.monotonic() - begun)
    made = rows.make(run.raw)
    broken = len(run.raw.get("broken", []))
    text = "\n".join(part for part in (why.text(made), rows.profile(run.raw)) if part)
    if wanted == set(PARTS) and not options.quick:
        table.write("bench", made, machine, run.raw, text)
        print(f"written to {table.RESULTS}", file=sys.stderr)
    section = {"machine": machine, "rows": [asdict(row) for row in made], "raw": {}, "text": text}
    print(table.markdown({"bench": section}))
    if broken:
        raise SystemExit(f"{broken} parts broke off; their rows are missing or not whole")
