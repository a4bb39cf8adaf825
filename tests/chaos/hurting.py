"""The faults of a soak: all chosen from one seed, and fired one after another until they are lifted."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from tests.chaos.recovery import Recovery
from tests.chaos.stage import Stage

#: For ever: an order that is lifted at the end.
ALWAYS = 1_000_000
#: Seconds between two deaths: what one of them costs is over before the next, so that its recovery can be told.
KILL_EVERY = 11.5
#: Seconds between two faults on the wire.
WIRE_EVERY = 1.5
#: A worker that is stopped longer than its lease (6 s): another has its jobs when it wakes.
STOPPED = 8.5

#: What providers do wrong, each with its share of all calls. Those that lie about having acted (a 4xx after the deed)
#: are no fault of a network but of a provider nobody could trust, and are left out; so is 401, which suspends the
#: account until a person acts: both have cases of their own.
PROVIDER: Sequence[Mapping[str, Any]] = (
    {"effect": "timeout_before", "probability": 0.012},
    {"effect": "timeout_after", "probability": 0.02},
    {"effect": "reset_before", "probability": 0.02},
    {"effect": "reset_after", "probability": 0.03},
    {"effect": "status_before", "status": 500, "probability": 0.02},
    {"effect": "status_before", "status": 503, "probability": 0.02},
    {"effect": "status_before", "status": 429, "probability": 0.03},
    {"effect": "status_after", "status": 500, "probability": 0.02},
    {"effect": "status_after", "status": 502, "probability": 0.02},
    {"effect": "html", "probability": 0.015},
    {"effect": "nonsense", "probability": 0.015},
    {"effect": "cut_body", "probability": 0.03},
    {"effect": "slow_body", "ms": 2500, "probability": 0.01},
    {"effect": "delay", "ms": 1500, "probability": 0.02},
)
#: Of one provider alone, or of a few calls.
SPECIAL: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "stripe": (
        {"effect": "status_before", "status": 402, "operation": "payment_intents.create", "probability": 0.01},
        {"effect": "wrong_amount", "operation": "payment_intents.create", "probability": 0.002},
        {"effect": "wrong_currency", "operation": "payment_intents.create", "probability": 0.002},
    ),
    "paystack": (),
}
#: What happens to webhooks, each with its share of all of them.
WEBHOOKS: Sequence[Mapping[str, Any]] = (
    {"effect": "webhook_late", "ms": 6000, "probability": 0.04},
    {"effect": "webhook_double", "ms": 300, "probability": 0.06},
    {"effect": "webhook_reorder", "ms": 3000, "probability": 0.05},
    {"effect": "webhook_forge", "probability": 0.04},
    {"effect": "webhook_lose", "probability": 0.04},
    {"effect": "webhook_early", "probability": 0.04},
)
#: Who dies, and of what.
KILLS: Sequence[str] = (
    "worker-1",
    "worker-2",
    "api",
    "beat",
    "redis",
    "flush",
    "postgres",
    "stop worker-1",
    "stop worker-2",
)
#: Those who must die in a run of any length come first, each kind of process once.
FIRST: Sequence[str] = ("worker-1", "api", "beat", "redis", "postgres")
#: On the wire: the proxy, what it does, and what it waits for where it waits.
WIRE: Sequence[tuple[str, str, bytes]] = (
    ("postgres", "drop_reply", b"COMMIT"),
    ("postgres", "drop_request", b"COMMIT"),
    ("postgres", "cut", b""),
    ("redis", "drop_reply", b"LPUSH"),
    ("redis", "cut", b""),
    ("redis", "freeze", b""),
    ("redis", "refuse", b""),
    ("stripe", "drop_reply", b"POST /v1/payment_intents"),
    ("stripe", "drop_reply", b"POST /v1/refunds"),
    ("stripe", "drop_reply", b"/capture"),
    ("stripe", "drop_request", b"POST /v1/"),
    ("stripe", "blackhole", b"POST /v1/payment_intents"),
    ("stripe", "cut", b""),
    ("stripe", "freeze", b""),
    ("paystack", "drop_reply", b"POST /transaction/initialize"),
    ("paystack", "drop_reply", b"POST /refund"),
    ("paystack", "drop_request", b"POST /"),
    ("paystack", "blackhole", b"POST /transaction"),
    ("paystack", "refuse", b""),
    ("api", "cut", b""),
    ("api", "drop_reply", b"POST /webhooks/"),
)
#: Seconds that a way stays shut or frozen.
SHUT = 2.0


@dataclass
class Hurting:
    """Hurts the stage until it is left; lifts everything then. `kills` counts who was killed or stopped."""

    stage: Stage
    recovery: Recovery
    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)
    _deck: list[str] = field(default_factory=list)
    _round: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Hurting:
        self.order()
        self._begin("kills", KILL_EVERY, self._kill)
        self._begin("wire", WIRE_EVERY, self._wire)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        for name in self.stage.service.children:
            if name.startswith("worker"):
                self.stage.service.kill(name, signal.SIGCONT)
        for proxy in self.stage.proxies.values():
            proxy.heal()
        self.stage.clear_faults()

    def order(self) -> None:
        """At both providers, with dice of their own from the seed."""
        dice = random.Random(f"{self.seed}-orders")
        for provider in self.stage.service.sandbox_urls:
            for fault in (*SPECIAL[provider], *PROVIDER, *WEBHOOKS):
                self.stage.fault(provider, times=ALWAYS, seed=dice.randrange(2**32), **fault)

    def _begin(self, name: str, every: float, act: Callable[[random.Random], None]) -> None:
        dice = random.Random(f"{self.seed}-{name}")

        def run() -> None:
            while not self._stop.wait(every * dice.uniform(0.8, 1.2)):
                try:
                    act(dice)
                except Exception as error:  # noqa: BLE001 - told at the end: one fault that failed must not end the others
                    self.troubles.append(f"{name}: {type(error).__name__}: {error}")

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _kill(self, dice: random.Random) -> None:
        if not self._deck:  # all of them once, in an order of their own, before anybody comes again
            first = dice.sample(FIRST, len(FIRST)) if self._round == 0 else []
            self._deck = [*dice.sample(rest := [one for one in KILLS if one not in first], len(rest)), *first]
            self._round += 1
        whom = self._deck.pop()
        self.kills[whom] += 1
        if whom == "flush":
            with suppress(Exception):  # Redis may be frozen or gone in this moment, and empty all the same
                self.stage.service.flush_redis()
        elif whom == "postgres":
            self.recovery.hurt("postgres", time.time() + 5)
            self.stage.kill("postgres", signal.SIGQUIT)
        elif whom.startswith("stop "):
            self._stop_worker(whom.removeprefix("stop "))
        else:
            if whom == "redis":  # it keeps a file; it is to come back with nothing
                with suppress(Exception):
                    self.stage.service.flush_redis()
            self.recovery.hurt("process")
            self.stage.kill(whom)

    def _stop_worker(self, name: str) -> None:
        before = self.stage.service.children.get(name)
        self.recovery.hurt("process")
        self.stage.kill(name, signal.SIGSTOP)
        self._stop.wait(STOPPED)
        if self.stage.service.children.get(name) == before:
            self.stage.kill(name, signal.SIGCONT)

    def _wire(self, dice: random.Random) -> None:
        part, what, match = dice.choice(WIRE)
        proxy = self.stage.proxies[part]
        if match:
            getattr(proxy, what)(match, times=dice.randint(1, 2))
            return
        getattr(proxy, what)()
        if what in ("freeze", "refuse"):
            self._stop.wait(SHUT)
            proxy.heal()
