"""The third provider of the tests: registered as any other, beside its own sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from core.providers.registry import PROVIDERS
from tests.providers.bank_transfer import BankTransfer
from tests.providers.driver import Driver
from tests.providers.drivers import DRIVERS
from tests.support.sandboxes import Sandbox


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    started = Sandbox(BankTransfer.name, tmp_path_factory.mktemp("bank"), "tests.providers.bank_transfer")
    yield started
    started.stop()


@pytest.fixture(scope="module")
def with_bank() -> Iterator[None]:
    """All that a merchant's gate would have to change: one line of the registry."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cast(dict[str, Any], PROVIDERS), BankTransfer.name, BankTransfer)
        yield


@pytest.fixture(scope="session")
def three(sandboxes: dict[str, Sandbox], bank: Sandbox) -> dict[str, Sandbox]:
    return {**sandboxes, bank.provider: bank}


@pytest.fixture(params=sorted(DRIVERS))
def driver(request: pytest.FixtureRequest, three: dict[str, Sandbox], with_bank: None) -> Driver:
    return DRIVERS[request.param](three[request.param])
