"""What is installed is named by its hash, listed, and asked about; what could not be asked is not called safe."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import audit, sbom
from tests.shape.reading import ROOT

LOCKS = sorted(path.name for path in ROOT.glob("requirements*.lock"))
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", flags=re.M)


def package(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "vulns": [], **more}


def skipped(name: str) -> dict[str, Any]:
    return {"name": name, "skip_reason": "not found on PyPI"}


HOLE = {"id": "PYSEC-2026-1", "fix_versions": ["1.1"]}


@pytest.mark.parametrize(
    ("report", "code", "word"),
    [
        ({"dependencies": [package("a"), package("b")]}, audit.CLEAN, "2 packages"),
        ({"dependencies": [package("a"), package("b", vulns=[HOLE])]}, audit.VULNERABLE, "b 1.0: PYSEC-2026-1, mended"),
        ({"dependencies": [package("a", vulns=[{**HOLE, "fix_versions": []}])]}, audit.VULNERABLE, "no version yet"),
        # One that is known to be vulnerable is not hidden behind others nobody could ask about.
        ({"dependencies": [skipped("a"), package("b", vulns=[HOLE])]}, audit.VULNERABLE, "PYSEC"),
        ({"dependencies": [package("a"), skipped("b")]}, audit.NOT_ASKED, "1 of 2"),
        ({"dependencies": []}, audit.NOT_ASKED, "0 of 0"),
        (None, audit.NOT_ASKED, "could not be asked"),
    ],
)  # fmt: skip
def test_what_could_not_be_asked_is_not_called_safe(report: Any, code: int, word: str) -> None:
    verdict = audit.judge(report, "no route")
    assert verdict.code == code
    assert word in "\n".join(verdict.lines)


def test_an_index_that_knows_nothing_is_told_apart_from_a_clean_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real pip-audit, with nobody to ask: whatever it says, that is no good news."""
    lock = tmp_path / "requirements.lock"
    lock.write_text("click==8.2.1 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    verdict = audit.judge(*audit.ask(lock))
    assert verdict.code == audit.NOT_ASKED
    assert len(verdict.lines) == 1


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_is_named_by_its_hash(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = [one for one in re.split(r"\n(?=\S)", text) if PINNED.match(one)]
    assert blocks
    assert [block.split("==")[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert "://" not in re.sub(r"#.*", "", text)


def test_the_audited_lock_holds_all_the_others() -> None:
    everything = set(PINNED.findall((ROOT / audit.LOCK).read_text(encoding="utf-8")))
    for name in LOCKS:
        assert set(PINNED.findall((ROOT / name).read_text(encoding="utf-8"))) <= everything, name


def test_the_bill_of_materials_is_whole_and_the_same_each_time(tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    sbom.write(first)
    sbom.write(second)
    assert first.read_bytes() == second.read_bytes()
    told = json.loads(first.read_text())
    assert told["metadata"]["component"]["name"] == "tollgate"
    listed = {(one["name"], one["version"]) for one in told["components"]}
    assert listed == set(PINNED.findall((ROOT / "requirements.lock").read_text(encoding="utf-8")))
    assert all(one["externalReferences"][0]["hashes"] for one in told["components"])
    assert str(ROOT) not in first.read_text()


def test_a_commit_is_checked_as_the_continuous_integration_checks_it() -> None:
    """Every step of `make lint` is a hook, and no hook is anything else."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    steps = re.search(r"^lint: .*\n((?:\t@.*\n)+)", makefile, flags=re.M)
    assert steps is not None
    lines = [line.strip("	@").removesuffix(" .") for line in steps[1].splitlines()]
    wanted = {line.replace("$(PY)", ".venv/bin/python").replace("$(VENV)", ".venv/bin") for line in lines}
    told = {hook["entry"].replace(" --force-exclude", "") for hook in hooks}
    assert told == wanted


def test_help_names_every_target_that_a_person_types() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.M))
    told = set(re.findall(r"^([a-z][a-z-]*):.*## \S", makefile, flags=re.M))
    phony = set(re.search(r"^\.PHONY: (.*)$", makefile, flags=re.M)[1].split())  # type: ignore[index]
    assert targets == told == phony
