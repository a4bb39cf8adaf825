"""Every provider of the contract beside its double; the tests' own one is registered as any other would be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from core.providers.registry import PROVIDERS
from tests.providers.bank_transfer import BankTransfer
from tests.providers.driver import Driver, Inbox, inbox
from tests.providers.drivers import DRIVERS
from tests.support.sandboxes import Sandbox


@pytest.fixture(scope="session")
def doubles(sandboxes: dict[str, Sandbox], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Sandbox]]:
    """All that `drivers.py` names: the two that every test may use, and what is not started yet."""
    base = tmp_path_factory.mktemp("doubles")
    modules = {name: kind.sandbox_module for name, kind in DRIVERS.items() if name not in sandboxes}
    started = {name: Sandbox(name, base / name, module) for name, module in modules.items()}
    yield {**sandboxes, **started}
    for sandbox in started.values():
        sandbox.stop()


@pytest.fixture(scope="session")
def bank(doubles: dict[str, Sandbox]) -> Sandbox:
    return doubles[BankTransfer.name]


@pytest.fixture(scope="module")
def with_bank() -> Iterator[None]:
    """All that a merchant's gate would have to change: one line of the registry."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cast(dict[str, Any], PROVIDERS), BankTransfer.name, BankTransfer)
        yield


@pytest.fixture(params=sorted(DRIVERS))
def driver(request: pytest.FixtureRequest, doubles: dict[str, Sandbox], with_bank: None) -> Driver:
    return DRIVERS[request.param](doubles[request.param])


@pytest.fixture(scope="module")
def box() -> Iterator[Inbox]:
    with inbox() as found:
        yield found


@pytest.fixture(params=sorted(DRIVERS))
def heard(request: pytest.FixtureRequest, doubles: dict[str, Sandbox], box: Inbox, with_bank: None) -> Driver:
    """A driver whose webhooks arrive in `box`."""
    box.received.clear()
    return DRIVERS[request.param](doubles[request.param], webhook_url=box.url)
