"""Prints every metric with its labels and what it says, as the table of docs/operations.md."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def counted() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """(name, type, labels, what it says) of what processes count."""
    from prometheus_client.metrics import MetricWrapperBase

    from core import metrics

    for one in vars(metrics).values():
        if isinstance(one, MetricWrapperBase):
            described = next(iter(one.describe()))
            name = f"{described.name}_total" if described.type == "counter" else described.name
            yield name, described.type, tuple(one._labelnames), described.documentation


def asked() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """The same of what the api asks Postgres and Redis when it is asked."""
    from api.metrics import FIGURES, OF_THE_API

    for name, says, labels in (*OF_THE_API, *FIGURES.values()):
        yield name, "gauge", labels, says


def main() -> None:
    sys.stdout.write("| metric | | labels | |\n| --- | --- | --- | --- |\n")
    for name, kind, labels, says in (*counted(), *asked()):
        sys.stdout.write(f"| `{name}` | {kind} | {', '.join(labels)} | {says.rstrip('.')} |\n")


if __name__ == "__main__":
    main()
