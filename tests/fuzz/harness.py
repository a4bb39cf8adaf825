"""Runs schemathesis over the whole document of a gate, with a key for each door, and says what it found."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from core.domain.scopes import known
from tests.support.world import World

#: No 5xx, and nothing that the document does not say: status, media type, headers, shape. What is wrong is refused.
#: Not `unsupported_method`: `PATCH …/routes/explain` is one of `…/routes/{version}`, and rightly answered as such.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
_HOOKS = "tests.fuzz.hooks"
_ROOT = Path(__file__).resolve().parents[2]
_CONFIGURATION = """
[[operations]]
include-path-regex = "^/v1/"
headers = {{ Authorization = "Bearer {merchant}" }}

[[operations]]
include-path-regex = "^/admin/"
headers = {{ Authorization = "Bearer {admin}" }}
"""
_KEY = re.compile(r"tg_(test|live|admin)_\w+")


@dataclass(frozen=True)
class Found:
    """`passed` is schemathesis' own verdict, `text` its report, `answers` the statuses of each operation."""

    passed: bool
    text: str
    answers: Mapping[str, frozenset[int]]


def fuzz(world: World, folder: Path, seed: int, seconds: int, *options: str) -> Found:
    keys = {"merchant": world.make_key("test", list(known("merchant"))), "admin": world.make_key("admin")}
    files = {name: folder / name for name in ("schemathesis.toml", "known.json", "log.txt")}
    # In a file: what stands in an argument list can be read by everybody on the machine.
    files["schemathesis.toml"].write_text(_CONFIGURATION.format(**keys), encoding="utf-8")
    own = [text.split("_")[2] for text in (*keys.values(), world.test_key)]
    files["known.json"].write_text(json.dumps({"own": own, "stock": stock(world, keys, own)}), encoding="utf-8")
    files["log.txt"].touch()
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(files["schemathesis.toml"])]
    command += ["run", f"{world.url}/openapi.json", "--seed", str(seed), "--max-time", str(seconds), "--no-color"]
    command += ["--checks", ",".join(CHECKS), "--continue-on-failure", "--no-shrink", "--warnings", "off"]
    command += ["--suppress-health-check", "all", "--generation-database", "none", "--request-timeout", "20", *options]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": _HOOKS,
        "FUZZ_KNOWN": str(files["known.json"]),
        "FUZZ_LOG": str(files["log.txt"]),
        "PYTHONPATH": str(_ROOT),
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return Found(done.returncode == 0, _KEY.sub(r"tg_\1_…", done.stdout + done.stderr), _answers(files["log.txt"]))


def stock(world: World, keys: Mapping[str, str], own: list[str]) -> dict[str, list[str]]:
    """Ids by the noun in front of them, read from every list of the document; twice, since lists stand under others."""
    found: dict[str, set[str]] = defaultdict(set)
    paths: dict[str, Any] = world.get("/openapi.json").json()["paths"]
    for _ in range(2):
        for path in [path for path, operations in paths.items() if "get" in operations]:
            key = keys["admin" if path.startswith("/admin/") else "merchant"]
            names = {one["name"] for one in paths[path]["get"]["parameters"]}
            for filled in _filled(path, found):
                answer = world.get(filled, key=key, params={"mode": "test"} if "mode" in names else {})
                listed = answer.json().get("data") if answer.ok and _is_json(answer) else None
                ids = [one["id"] for one in listed or () if isinstance(one, dict) and isinstance(one.get("id"), str)]
                found[path.rpartition("/")[2]] |= {one for one in ids if not any(mine in one for mine in own)}
    return {noun: sorted(ids)[:20] for noun, ids in found.items() if ids}


def _is_json(answer: requests.Response) -> bool:
    """One document, not lines of it."""
    return answer.headers["Content-Type"].partition(";")[0] == "application/json"


def _filled(path: str, found: Mapping[str, set[str]]) -> list[str]:
    """The path with an id of each kind that it asks for; none where one of them is not known yet."""
    parts = path.split("/")
    for place, part in enumerate(parts):
        if part.startswith("{"):
            known = sorted(found.get(parts[place - 1], ()))
            if not known:
                return []
            parts[place] = known[0]
    return ["/".join(parts)]


def _answers(log: Path) -> dict[str, frozenset[int]]:
    found: dict[str, set[int]] = defaultdict(set)
    for line in log.read_text(encoding="utf-8").splitlines():
        operation, _, status = line.rpartition(" ")
        found[operation].add(int(status))
    return {operation: frozenset(statuses) for operation, statuses in found.items()}
