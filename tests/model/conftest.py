"""One stand a module: examples follow each other on it, each with a merchant of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.embedded import Embedded
from tests.model.stand import Stand, standing
from tests.support import databases


@pytest.fixture(scope="module")
def stand(embedded: Embedded, database: databases.Urls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with standing(embedded, database, tmp_path_factory.mktemp("providers")) as made:
        yield made
