"""What one running sandbox consists of, and the desk from which a call works on one account's things."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from .clock import Clock
from .ledger import Json, Ledger, dumps
from .settings import Settings

if TYPE_CHECKING:
    from .faults import Faults
    from .listener import Listener
    from .timers import Timers
    from .webhook_sender import WebhookSender


@dataclass(slots=True)
class Account:
    """A merchant at the provider. `options` holds what only one provider knows."""

    id: str
    secret_key: str
    webhook_url: str | None = None
    webhook_secret: str | None = None
    webhook_events: list[str] = field(default_factory=lambda: ["*"])
    publishable_key: str | None = None
    options: Json = field(default_factory=dict)


class Accounts:
    """All accounts, held in memory beside the table that keeps them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._by_key: dict[str, Account] = {}
        self._by_id: dict[str, Account] = {}
        for (body,) in ledger.run("SELECT body FROM accounts").fetchall():
            self._remember(Account(**json.loads(body)))

    def _remember(self, account: Account) -> None:
        self._by_key[account.secret_key] = account
        self._by_id[account.id] = account

    def keep(self, account: Account) -> None:
        self._ledger.run(
            "INSERT INTO accounts VALUES (?, ?) ON CONFLICT (secret_key) DO UPDATE SET body = excluded.body",
            (account.secret_key, dumps(asdict(account))),
        )
        self._remember(account)

    def by_key(self, secret_key: str) -> Account | None:
        return self._by_key.get(secret_key)

    def by_id(self, id: str) -> Account | None:
        return self._by_id.get(id)

    def all(self) -> list[Account]:
        return list(self._by_id.values())


@dataclass(slots=True)
class World:
    provider: str
    ledger: Ledger
    clock: Clock
    settings: Settings
    accounts: Accounts
    faults: Faults
    timers: Timers
    webhooks: WebhookSender
    listener: Listener
    public_url: str


@dataclass(slots=True)
class Desk:
    """One account's things, reached during one call, page or timer."""

    world: World
    account: Account
    request_id: str | None = None
    idempotency_key: str | None = None

    @property
    def moment(self) -> float:
        """Sandbox time; while a timer's action runs, the time it was due, however far the clock has jumped since."""
        due = self.world.timers.moment
        return self.world.clock.now() if due is None else due

    @property
    def now(self) -> int:
        return int(self.moment)

    def get(self, kind: str, id: str) -> Json | None:
        return self.world.ledger.get(self.account.id, kind, id)

    def held(self, kind: str, id: str) -> Json:
        """An object that another object of this account names; raises LookupError if the ledger lost it."""
        found = self.get(kind, id)
        if found is None:
            raise LookupError(f"{kind} {id} is named but not kept")
        return found

    def add(self, kind: str, body: Json, parent: str | None = None) -> Json:
        self.world.ledger.add(self.account.id, kind, str(body["id"]), body, self.now, parent)
        return body

    def save(self, kind: str, body: Json) -> None:
        self.world.ledger.save(self.account.id, kind, str(body["id"]), body)

    def children(self, kind: str, parent: str) -> list[Json]:
        return self.world.ledger.children(self.account.id, kind, parent)

    def later(self, action: str, target: str, seconds: float | None = None) -> None:
        """Has `action` done on `target` after so many sandbox seconds (the settle time if none given)."""
        delay = self.world.settings.settle_ms / 1000 if seconds is None else seconds
        self.world.timers.add(self.account.id, action, target, self.moment + delay)

    def url(self, path: str) -> str:
        return self.world.public_url + path

    def publish(self, event: Json, type: str, body: Any = None) -> None:
        """Stores an event and lines it up for the account's webhook address."""
        self.add("event", event, parent=type)
        self.world.webhooks.line_up(self.account, str(event["id"]), type)
