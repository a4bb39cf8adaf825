"""One running service for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.running import Up, one_worker


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with one_worker(tmp_path_factory.mktemp("up")) as started:
        yield started
