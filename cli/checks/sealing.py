"""The sealing keys: the ones of this database, no version missing, none kept that is not needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cli.checks.finding import Finding, Situation, failed, ok, skipped, warning
from cli.errors import Refused
from cli.target import core_session
from core.orchestration import rotation
from core.orchestration.context import Core
from core.startup import sealing

SUBJECT = "Sealing keys"


def check(situation: Situation) -> Iterator[Finding]:
    target = situation.target
    if target is None:
        yield skipped(SUBJECT, situation.why)
        return
    if not target.key_file.is_file() and not situation.environ.get("TOLLGATE_KEYS"):
        yield skipped(SUBJECT, "there is no key file to compare")
        return
    try:
        with core_session(target.databases.owner, target.redis_url, target.key_file) as core:
            yield from _compare(core)
    except Refused as error:
        yield skipped(SUBJECT, str(error))


def _compare(core: Core) -> Iterator[Finding]:
    with core.database.unscoped() as connection:
        wrong = [one.text for one in sealing.look(connection, core.vault.keys, "owner") if one.refuses]
    for text in wrong:
        yield failed(SUBJECT, text, "until then nothing starts")
    if wrong:
        return
    found = rotation.status(core, counted=True)
    under_way = [one for one in found["rotations"] if one["status"] == "running"]
    for one in under_way:
        done = f"{one['done']} of {one['total']} rows"
        yield ok(SUBJECT, f"{one['kind']} is rotated to version {one['version']}: {done}")
        if core.vault.keys.versions().of(one["kind"])[0] != one["version"]:
            yield warning(
                SUBJECT, f"here another version of the {one['kind']} key is current, so the rotation does not end",
                "bring the key file of the machine where `tollgate sealing rotate` ran to this one",
            )  # fmt: skip
    for one in found["keys"]:
        yield from _version(one, found["rows"], {row["kind"] for row in under_way})


def _version(one: dict[str, Any], rows: dict[str, dict[int, int]], under_way: set[str]) -> Iterator[Finding]:
    kind, version = one["kind"], one["version"]
    kept = sum(rows[table].get(version, 0) for table in rotation.SUBJECTS[kind])
    name = f"{kind} version {version}"
    if one["current"]:
        yield ok(SUBJECT, f"{name} is current, {kept} rows")
    elif kept and one["retired_at"] is not None and kind not in under_way:
        yield warning(
            SUBJECT, f"{kept} rows are under {name}, which was rotated away", f"tollgate sealing rotate {kind}"
        )
    elif one["at_hand"] and one["retired_at"] is not None and not kept:
        yield ok(SUBJECT, f"{name} is not needed any more: tollgate sealing drop {kind} {version}")
