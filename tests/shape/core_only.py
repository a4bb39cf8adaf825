"""A program's first lines that make it live as in a deployed image: no module beyond the core's requirements loads."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name

from tests.shape.reading import ROOT


def locked(name: str) -> dict[str, str]:
    """Package: version, of one lock."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^ ;]+)", text, flags=re.M))


def modules(packages: set[str]) -> set[str]:
    """The top-level modules that only these packages bring."""
    brought = metadata.packages_distributions()
    return {module for module, by in brought.items() if {canonicalize_name(name) for name in by} <= packages}


def preamble(tree: Path) -> str:
    """Python code to stand before a program that is to find our packages in `tree` and nothing of the extras."""
    extras = set(locked("requirements-dev.lock")) - set(locked("requirements.lock"))
    refused = sorted(modules(extras) | {"sandbox", "tests", "bench"})
    return f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused!r}:
            raise ModuleNotFoundError(f"{{name}} is not part of a deployed image", name=name)

sys.meta_path.insert(0, Refuse())
sys.path[:] = [{str(tree)!r}, *(part for part in sys.path if part not in ("", {str(ROOT)!r}))]
"""
