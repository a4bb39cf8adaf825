"""Takes the rule of every send away: the last one alone says what happened, as if no earlier one could have arrived."""

from __future__ import annotations

from dataclasses import replace
from typing import Any


def apply() -> None:
    from core.orchestration import announce

    again = announce.announce_again

    def forgetful(*arguments: Any) -> Any:
        return replace(again(*arguments), was_ambiguous=False)

    announce.announce_again = forgetful
