"""From what was measured to the lines of the table. A part that was not measured gives no line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bench.end_to_end import DRAIN, cpu_text
from bench.table import Row, Verdict, at_least, at_most, both, ratio

Raw = Mapping[str, Any]

#: The goals, as the project set them.
OF_FLOOR, OF_PLAIN, OF_TUNED = 0.6, 5.0, 1.5
OWN_P50, OWN_P99 = 30.0, 150.0
ACCEPT_OF_FLOOR, ACCEPT_P99 = 0.6, 25.0
ACKS_OF_FLOOR, ACKS_P99 = 0.6, 20.0
PROCESSED_PER_CORE = 500.0
READ_P99 = 10.0
LANES_AT = 100.0


def make(raw: Raw) -> list[Row]:
    found: list[Row] = []
    for parts, maker in MAKERS:
        if all(part in raw for part in parts):
            found += maker(raw)
    return found


def _rate(held: Raw) -> str:
    failed = f", {held['failed']:.0f} not" if held["failed"] else ""
    return f"{held['rate']:.0f}/s (held{failed})"


def _end_to_end(raw: Raw) -> list[Row]:
    measured = raw["e2e"]
    if "tollgate" not in measured:
        return []
    ours = measured["tollgate"]
    goals = (
        ("floor", OF_FLOOR, "a bare handler and loop"),
        ("plain", OF_PLAIN, "the plain way as usually written"),
        ("plain, tuned", OF_TUNED, "the plain way tuned"),
    )
    rows = []
    for name, goal, words in goals:
        if name in measured:
            other = measured[name]
            share = ratio(ours["rate"], other["rate"])
            at = other["at"]
            note = f"CPU ms a payment: {cpu_text(at['cpu'])}" if at else "no rate was held"
            text = f"{_rate(ours)} against {_rate(other)}"
            figure = f"payments a second held end to end, against {words}"
            rows.append(Row(figure, f"at least {goal:g} times", text, f"{share:.2f}", at_least(share, goal), note))
    at = ours["at"]
    if at:
        cost = f"{at['commits']:.1f} commits, {at['wal_kb']:.1f} kB of WAL"
        rows.append(
            Row(
                "what a payment costs Tollgate",
                "said",
                f"CPU ms: {cpu_text(at['cpu'])}",
                "",
                "said",
                f"{cost} a payment",
            )
        )
    return rows


def _with_webhooks(raw: Raw) -> list[Row]:
    measured = raw["webhooks"]
    if "tollgate" not in measured:
        return []
    ours = measured["tollgate"]
    others = [measured[name] | {"name": name} for name in ("plain", "plain, tuned") if name in measured]
    text = f"{_rate(ours)}" + "".join(f"; {one['name']} {_rate(one)}" for one in others)
    shares = ", ".join(f"{ratio(ours['rate'], one['rate']):.2f}" for one in others)
    note = f"CPU ms a payment: {cpu_text(ours['at']['cpu'])}" if ours["at"] else "no rate was held"
    return [Row("the same with webhooks on: three in, one event out", "said", text, shares, "said", note)]


def _lanes(raw: Raw) -> list[Row]:
    found = raw["lanes"]
    names = ("payments", "webhooks", "deliveries")
    text = ", ".join(f"{name} {found[name]['mean']:.0f} (end {found[name]['last_quarter']:.0f})" for name in names)
    grew = found["drain"] > DRAIN * 2 or any(found[name]["grew"] for name in names)
    good = found["all_good"] and not grew and found["rate"] >= LANES_AT
    verdict: Verdict = "met" if good else "missed"
    note = f"jobs due or running, mean and last quarter; all done {found['drain']:.1f} s after the last was due"
    return [Row("queue of each lane at 100 payments a second, webhooks on", "does not grow", text, "", verdict, note)]


def _own(raw: Raw) -> list[Row]:
    own = raw["own"]
    verdict = both(at_most(own["p50"], OWN_P50), at_most(own["p99"], OWN_P99))
    text = f"p50 {own['p50']:.0f} ms, p99 {own['p99']:.0f} ms at {own['rate']:.0f}/s"
    note = (
        f"{own['payments']} of {own['of']} payments; final minus accepted minus the latency set at the sandbox: "
        f"p50 {own['beyond_latency_p50']:.0f}, p99 {own['beyond_latency_p99']:.0f} ms"
    )
    return [Row("Tollgate's own time in a payment, at half load", "p50 30 ms, p99 150 ms", text, "", verdict, note)]


def _accept(raw: Raw) -> list[Row]:
    measured = raw["accept"]
    if not {"tollgate", "floor"} <= set(measured):
        return []
    ours, floor = measured["tollgate"], measured["floor"]
    share = ratio(ours["per_second"], floor["per_second"])
    verdict = both(at_least(share, ACCEPT_OF_FLOOR), at_most(ours["p99"], ACCEPT_P99), _none(ours["refused"]))
    text = f"{ours['per_second']:.0f}/s against {floor['per_second']:.0f}/s; p99 {ours['p99']:.1f} ms at half load"
    note = f"CPU ms a request: {cpu_text(ours['cpu'])}; of the floor: {cpu_text(floor['cpu'])}"
    if "flask" in measured:
        flask = measured["flask"]
        note += f"; the floor behind Flask {flask['per_second']:.0f}/s, {cpu_text(flask['cpu'])}"
    goal = "at least 0.6 of a bare handler with one committed insert; p99 25 ms"
    return [Row("`POST /v1/payments` accepted a second", goal, text, f"{share:.2f}", verdict, note)]


def _acks(raw: Raw) -> list[Row]:
    measured = raw["acks"]
    if not {"tollgate", "floor"} <= set(measured):
        return []
    ours, floor = measured["tollgate"], measured["floor"]
    share = ratio(ours["per_core"], floor["per_core"])
    whole = ours["refused"] == 0 and ours["rows"] >= ours["asked"]
    free = ours["rows_more"] == 0 and ours["answered"] == ours["sent_again"]
    verdict = both(
        at_least(share, ACKS_OF_FLOOR), at_most(ours["p99"], ACKS_P99), "met" if whole and free else "missed"
    )
    text = (
        f"{ours['per_core']:.0f} against {floor['per_core']:.0f} a core-second ({ours['per_second']:.0f} and "
        f"{floor['per_second']:.0f} a second); p99 {ours['p99']:.1f} ms at half load"
    )
    note = (
        f"{ours['rows']} rows of {ours['asked']} and 200 to warm up; {ours['sent_again']} sent again made "
        f"{ours['rows_more']} rows more; CPU ms a webhook: {cpu_text(ours['cpu'])}"
    )
    goal = "0.6 of a bare receiver; p99 20 ms; none lost, duplicates free"
    return [Row("webhooks acknowledged a second per core", goal, text, f"{share:.2f}", verdict, note)]


def _processing(raw: Raw) -> list[Row]:
    found = raw["processing"]
    whole = _none(found["asked"] - found["to_status"])
    verdict = both(at_least(found["per_core"], PROCESSED_PER_CORE), whole)
    text = f"{found['per_core']:.0f} a core-second; {found['per_second']:.0f} a second"
    note = f"{found['to_status']} of {found['asked']} payments brought to their end; CPU ms a webhook: {found['cpu']}"
    return [Row("webhooks processed to status a second", "500 a core", text, "", verdict, note)]


def _reads(raw: Raw) -> list[Row]:
    rows = []
    for what, found in raw["reads"].items():
        text = f"p99 {found['p99']:.1f} ms, p50 {found['p50']:.1f} ms at {found['half_rate']:.0f}/s"
        verdict = both(at_most(found["p99"], READ_P99), _none(found["refused"]))
        note = f"{found['per_second']:.0f}/s at most; CPU ms: {cpu_text(found['cpu'])}"
        rows.append(Row(f"`GET` of a {what}, at half load", "p99 10 ms", text, "", verdict, note))
    return rows


def _memory(raw: Raw) -> list[Row]:
    before, after = raw["memory"]["before"], raw["memory"].get("after")
    if after is None or "worker_rss" not in before or "worker_rss" not in after:
        return []
    text = (
        f"api process {after['api_rss']:.0f} MB (PSS {after['api_pss']:.0f}); worker with "
        f"{after['in_flight'] // 2} in flight {after['worker_rss']:.0f} MB (PSS {after['worker_pss']:.0f}); "
        f"everything {after['whole_pss']:.0f} MB PSS"
    )
    parts = {part: found["pss"] for part, found in after["processes"].items()}
    note = "PSS by part: " + ", ".join(f"{part} {size:.0f}" for part, size in parts.items())
    grown = {name: after[f"{name}_rss"] - before[f"{name}_rss"] for name in ("api", "worker")}
    made = after["payments"] - before["payments"]
    # The high-water mark of a heap moves by a few megabytes without anything being kept.
    kept = max(grown.values()) <= 0.1 * after["worker_rss"]
    grew = f"api {grown['api']:+.0f} MB, worker {grown['worker']:+.0f} MB over {made} payments"
    goal = "no growth over 20,000 payments"
    verdict: Verdict = "met" if kept else "missed"
    if kept and made < 20_000:
        verdict = "said"
    return [
        Row("memory, with the worker's places full", "said", text, "", "said", note),
        Row("growth of memory", goal, grew, "", verdict, "both taken with every place full; up to a tenth is noise"),
    ]


def _sandbox(raw: Raw) -> list[Row]:
    found = raw["sandbox"]
    fastest = max((one["rate"] for one in raw.get("e2e", {}).values()), default=0.0)
    text = f"{found['per_second']:.0f} payments a second; {found['per_core']:.0f} a core-second"
    note = f"{ratio(fastest, found['per_core']):.2f} of a core at the fastest rate held by anything here"
    share = f"{ratio(found['per_second'], fastest):.1f}" if fastest else ""
    return [Row("ceiling of the sandbox", "not the bottleneck", text, share, "said", note)]


def _none(count: float) -> Verdict:
    return "met" if count == 0 else "missed"


MAKERS: tuple[tuple[tuple[str, ...], Callable[[Raw], list[Row]]], ...] = (
    (("e2e",), _end_to_end),
    (("webhooks",), _with_webhooks),
    (("lanes",), _lanes),
    (("own",), _own),
    (("accept",), _accept),
    (("acks",), _acks),
    (("processing",), _processing),
    (("reads",), _reads),
    (("memory",), _memory),
    (("sandbox",), _sandbox),
)


def profile(raw: Raw) -> str:
    """Where the processor's time goes: milliseconds a payment by process, of everything that held a rate."""
    lines = []
    for kind, words in (("e2e", "webhooks off"), ("webhooks", "webhooks on")):
        for name, held in raw.get(kind, {}).items():
            if held["at"]:
                cpu = held["at"]["cpu"]
                lines.append((f"{name}, {words}, {held['rate']:.0f}/s", cpu))
    if not lines:
        return ""
    parts = list(dict.fromkeys(part for _, cpu in lines for part in cpu))
    text = ["Processor time, milliseconds a payment:", "", "| | " + " | ".join(parts) + " | all |"]
    text.append("| --- |" + " --- |" * (len(parts) + 1))
    for title, cpu in lines:
        cells = [f"{cpu[part]:.2f}" if part in cpu else "" for part in parts]
        text.append(f"| {title} | " + " | ".join(cells) + f" | {sum(cpu.values()):.2f} |")
    return "\n".join(text)
