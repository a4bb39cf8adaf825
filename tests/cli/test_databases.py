"""Which logins follow from the addresses in the environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from cli.databases import NAMES, BadAddress, Databases, external, refuse_derived
from cli.errors import Refused
from cli.secrets_file import Secrets

OWNER = "postgresql://owner:own%40er@db.example:5433/shop?sslmode=verify-full"
API = "postgresql://gate:secret@db.example:5433/shop"
WORKER = "postgresql://carrier:secret@db.example:5433/shop"


def users(found: Databases) -> list[str | None]:
    return [make_url(url).username for url in (found.owner, found.api, found.worker)]


def derive(tmp_path: Path, **environ: str) -> Databases:
    found = external(environ, Secrets(tmp_path))
    assert found is not None
    return found


def test_nothing_named_is_nothing_found(tmp_path: Path) -> None:
    assert external({"DATABASE_URL": ""}, Secrets(tmp_path)) is None


@pytest.mark.parametrize(
    "environ",
    [
        {"DATABASE_URL": OWNER},
        {"MIGRATION_DATABASE_URL": OWNER},
        {"DATABASE_URL": OWNER, "MIGRATION_DATABASE_URL": OWNER},
    ],
)
def test_owner_alone_gets_logins_of_its_own(tmp_path: Path, environ: dict[str, str]) -> None:
    found = derive(tmp_path, **environ)
    owner, api, worker = users(found)
    assert owner == "owner"
    assert (str(api)[:13], str(worker)[:16]) == ("tollgate_api_", "tollgate_worker_")
    assert derive(tmp_path, **environ) == found
    for url in (found.api, found.worker):
        parsed = make_url(url)
        assert (parsed.host, parsed.port, parsed.database) == ("db.example", 5433, "shop")
        assert parsed.query == {"sslmode": "verify-full"}
        assert parsed.password not in (None, "own@er")


def test_two_installations_in_one_server_have_different_logins(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    assert derive(one, DATABASE_URL=OWNER).api != derive(two, DATABASE_URL=OWNER).api


def test_login_of_the_api_is_taken_as_it_is_named(tmp_path: Path) -> None:
    found = derive(tmp_path, DATABASE_URL=API, MIGRATION_DATABASE_URL=OWNER)
    assert users(found) == ["owner", "gate", "gate_worker"]
    named = derive(tmp_path, DATABASE_URL=API, MIGRATION_DATABASE_URL=OWNER, WORKER_DATABASE_URL=WORKER)
    assert users(named) == ["owner", "gate", "carrier"]


@pytest.mark.parametrize("missing", NAMES)
def test_a_release_names_all_three(missing: str) -> None:
    given = {"DATABASE_URL": API, "MIGRATION_DATABASE_URL": OWNER, "WORKER_DATABASE_URL": WORKER}
    refuse_derived(given)
    with pytest.raises(Refused, match=f"^{missing}: not set") as raised:
        refuse_derived({**given, missing: ""})
    assert "secret" not in str(raised.value)


def test_the_owner_alone_or_nobody_may_be_named_beside_up() -> None:
    refuse_derived({"DATABASE_URL": OWNER})
    refuse_derived({})


def test_driver_is_written_out(tmp_path: Path) -> None:
    found = derive(tmp_path, DATABASE_URL="postgres://owner:x@h/d")
    assert {make_url(url).drivername for url in (found.owner, found.api, found.worker)} == {"postgresql+psycopg2"}


@pytest.mark.parametrize("address", ["nonsense-hunter2", "mysql://u:hunter2@h/d", "postgresql://h/d"])
def test_wrong_address_is_named_without_its_password(tmp_path: Path, address: str) -> None:
    with pytest.raises(BadAddress, match="DATABASE_URL") as raised:
        external({"DATABASE_URL": address}, Secrets(tmp_path))
    assert "hunter2" not in str(raised.value)
