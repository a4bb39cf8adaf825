"""What the server asks of a provider; Stripe and Paystack each fill this in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

from .http import Call, Raw, Reply, Router
from .ledger import Json
from .timers import Action
from .world import Account, Desk, World

Page = Callable[[World, Raw, tuple[str, ...]], Reply]


class Provider(Protocol):
    name: str
    pages: Router[Page]
    actions: Mapping[str, Action]
    operations: Collection[str]  # the names of its API's routes, which faults are aimed at
    webhook_timeout: float  # seconds a merchant has to answer
    later_fields: Mapping[str, Json]  # by kind: what stored objects of earlier versions lack

    def account(self, wanted: Json) -> Account:
        """A new or replaced account out of a posted body; raises ValueError."""

    def admit(self, world: World, raw: Raw) -> Call | Reply:
        """Knows the caller, applies rate limits, finds the operation and reads the parameters."""

    def begin(self, call: Call) -> Reply | None:
        """An answer that is already known (a replay, a conflict), or None to go on."""

    def perform(self, call: Call, instead: Reply | None) -> Reply:
        """Acts, inside a ledger transaction; `instead` is answered (and remembered) in place of the result."""

    def finish(self, call: Call) -> None:
        """The call begun is over, however it ended."""

    def failure(self, status: int) -> Reply:
        """The provider's error body for a status that a fault asked for."""

    def retry_after(self, account: Account) -> Sequence[float]:
        """Seconds between attempts to deliver a webhook, before scaling."""

    def sign(self, account: Account, body: bytes, timestamp: int) -> dict[str, str]:
        """Headers that prove a webhook comes from this provider."""

    def webhook_body(self, event: Json) -> Json:
        """What of a stored event is sent."""

    def oracle(self, world: World, account: Account | None) -> Json:
        """Every charge and refund that really happened."""


@runtime_checkable
class MakesDisputes(Protocol):
    """A provider at which a test can have any payment disputed, not only one by a certain card."""

    def make_dispute(self, desk: Desk, wanted: Json) -> Json:
        """Opens one as posted; raises ValueError for a wrong order, LookupError for an unknown payment."""
