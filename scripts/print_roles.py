"""Prints the tables of docs/operations.md of what API keys and administrators may do, from the scopes themselves."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.domain.roles import ROLES, SCOPES
from core.domain.scopes import MERCHANT


def table() -> str:
    """Markdown: the roles of administrators, then the scopes of merchants' keys."""
    lines = [["scope", "lets", *ROLES], ["---"] * (2 + len(ROLES))]
    lines += [
        [f"`{scope}`", about, *("yes" if scope in allowed else "" for allowed in ROLES.values())]
        for scope, about in SCOPES.items()
    ]
    ours = [["scope", "lets"], ["---", "---"], *([f"`{scope}`", about] for scope, about in MERCHANT.items())]
    return "\n\n".join("\n".join(f"| {' | '.join(cells)} |" for cells in part) for part in (lines, ours))


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
