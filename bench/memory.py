"""Memory at a known load: 150 calls in flight in each worker process, at the begin and at the end of the run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import psutil

from bench import generator
from bench.end_to_end import wait_for
from bench.machine import Memory, memory
from bench.stack import LATENCY_MS, WORKERS
from bench.subjects import Ours

IN_FLIGHT = 150


def sample(ours: Ours, rate: float) -> dict[str, Any]:
    """The provider answers so slowly that `rate` payments a second fill every place of the workers."""
    stack = ours.stack
    places = IN_FLIGHT * WORKERS
    latency = places / rate * 1.15
    stack.latency(latency * 1000)
    seconds = latency + 0.5
    most: dict[str, Any] = {"in_flight": 0}

    def watch(passed: float) -> None:
        if passed > latency * 0.6:
            running = int(stack.one("SELECT count(*) FROM jobs WHERE status = 'running' AND lane = 'payments'"))
            if running >= most["in_flight"]:
                most.update(_sampled(ours), in_flight=running)

    try:
        generator.run(ours.url, ours.payments(int(rate * seconds) + 1), seconds=seconds, rate=rate, watch=watch)
    finally:
        stack.latency(LATENCY_MS)
    wait_for(lambda: ours.open() == 0, 60)
    most["payments"] = ours.done()
    return most


def _sampled(ours: Ours) -> dict[str, Any]:
    groups = ours.all_groups()
    parts: dict[str, Memory] = {part: memory(pids) for part, pids in groups.items()}
    return {
        "processes": {part: asdict(found) for part, found in parts.items()},
        "worker_rss": parts["worker"].rss / WORKERS,
        "worker_pss": parts["worker"].pss / WORKERS,
        "api_rss": _per_api_process(groups["api"][0]).rss,
        "api_pss": _per_api_process(groups["api"][0]).pss,
        "whole_pss": sum(found.pss for found in parts.values()),
    }


def _per_api_process(pid: int) -> Memory:
    """The mean of the processes that answer, without the one that watches over them."""
    answering = [child for child in psutil.Process(pid).children(recursive=True) if child.memory_info().rss > 40e6]
    found = [memory([child.pid]) for child in answering] or [memory([pid])]
    return Memory(sum(one.rss for one in found) / len(found), sum(one.pss for one in found) / len(found))
