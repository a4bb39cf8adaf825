"""The images: what is copied into them exists and is enough, and what runs in them has no rights."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.shape.core_only import preamble
from tests.shape.reading import ROOT, Instruction, compose, dockerfile

#: The stages that are images; the others only build.
IMAGES = ("tollgate", "sandbox")


def of(stage: str, name: str) -> list[Instruction]:
    return [one for one in dockerfile() if (one.stage, one.name) == (stage, name)]


def copied(stage: str) -> list[str]:
    """Paths of the tree that a stage copies."""
    return [path for one in of(stage, "COPY") if "--from" not in one.text for path in one.words[:-1]]


def let_in() -> set[str]:
    """What .dockerignore leaves of the tree, which refuses all else."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    return {path.name for line in lines if line.startswith("!") for path in ROOT.glob(line[1:])}


def test_images_are_the_stages_that_the_compose_file_builds() -> None:
    targets = {service["build"]["target"] for service in compose()["services"].values() if "build" in service}
    assert targets == set(IMAGES)
    # `docker build .` makes the last one.
    assert dockerfile()[-1].stage == "tollgate"


def test_an_image_runs_without_rights_and_says_whether_it_lives() -> None:
    for stage in IMAGES:
        (user,) = of(stage, "USER")
        assert user.text == "tollgate"
        assert of(stage, "HEALTHCHECK")
        assert not of(stage, "RUN"), "an image holds what other stages made"
    created = " ".join(one.text for one in of("base", "RUN"))
    assert "useradd --system --uid 10001" in created
    assert "/usr/sbin/nologin tollgate" in created


def test_every_package_comes_by_hash_and_no_secret_by_argument() -> None:
    runs = [one.text for one in dockerfile() if one.name == "RUN"]
    installs = [part for text in runs for part in text.split("&&") if " install " in part and "pip" in part]
    assert len(installs) == 4
    for install in installs:
        assert "--require-hashes -r" in install or "--no-index" in install, install
    assert not [one for one in dockerfile() if one.name == "ARG"]
    assert {one.text.split(":")[1].split(" ")[0] for one in dockerfile() if one.name == "FROM" and ":" in one.text} == {
        "3.11-slim"
    }


def test_what_is_copied_exists_and_is_let_in() -> None:
    paths = [path for one in dockerfile() if one.name == "COPY" for path in copied(one.stage)]
    assert paths
    for path in paths:
        assert (ROOT / path).exists(), path
        assert path in let_in(), f"{path} is kept out by .dockerignore"
    assert not {"tests", "bench", "docs", "secrets", "deploy", ".git", ".tollgate"} & let_in()


def test_the_image_starts_what_the_compose_file_says() -> None:
    (command,) = of("tollgate", "CMD")
    assert json.loads(command.text) == compose()["services"]["api"]["command"]


def test_what_is_copied_is_enough(tmp_path: Path) -> None:
    """The package made of the copied files alone, imported where none of the extras can be."""
    context, tree = tmp_path / "context", tmp_path / "tree"
    for path in copied("build-tollgate"):
        copy = shutil.copytree if (ROOT / path).is_dir() else shutil.copy
        context.mkdir(exist_ok=True)
        copy(ROOT / path, context / path)
    build = [sys.executable, "-I", "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(context)], check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
        archive.extractall(tree)
    data = {path.relative_to(ROOT).as_posix() for room in ("api", "core", "workers", "cli") for path in _data(room)}
    assert data
    assert data <= packed, "files that are no Python are missing; see package-data in pyproject.toml"
    program = preamble(tree) + "import api.app, api.serve, workers.celery_app, cli.main; print(api.app.__file__)"
    env = {"PATH": "/usr/bin:/bin", "DATABASE_URL": "postgresql://tollgate_api:s3cret@127.0.0.1:1/none"}
    done = subprocess.run([sys.executable, "-c", program], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == str(tree / "api" / "app.py"), done.stderr
    assert not any(name.startswith(("sandbox/", "tests/", "bench/")) for name in packed)


def _data(room: str) -> list[Path]:
    files = (path for path in (ROOT / room).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return [path for path in files if path.suffix not in (".py", ".md")]
