"""The vault: what is sealed opens at its own place and under its own key, and nowhere else."""

from __future__ import annotations

import base64
import json
import secrets
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from core.domain.identifiers import new_id
from core.persistence.database import Scope, set_scope
from core.persistence.vault import (
    DataKey,
    KeyUnavailable,
    Place,
    SealBroken,
    StoredKeys,
    Vault,
    new_keys,
    parse_keys,
    read_key_file,
)
from tests.persistence import rows
from tests.persistence.conftest import Roles

SCOPE = Scope(UUID(int=1), "test")
PLACE = Place("payments", "method_sealed", UUID(int=2))
KEY = DataKey(UUID(int=3), SCOPE, b"k" * 32)


class TestSealing:
    @given(st.binary(max_size=2000))
    def test_what_is_sealed_opens_again(self, plain: bytes) -> None:
        sealed = KEY.seal(PLACE, plain)
        assert KEY.open(PLACE, sealed) == plain
        assert KEY.open(PLACE, memoryview(sealed)) == plain, "as the driver hands it over"  # type: ignore[arg-type]

    @given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda kids: st.lists(kids)))
    def test_json_opens_again(self, value: Any) -> None:
        assert KEY.open_json(PLACE, KEY.seal_json(PLACE, value)) == value

    def test_the_same_text_never_looks_the_same(self) -> None:
        assert len({KEY.seal(PLACE, b"secret") for _ in range(100)}) == 100

    @pytest.mark.parametrize(
        "place",
        [
            replace(PLACE, table="customers"),
            replace(PLACE, column="next_action_sealed"),
            replace(PLACE, row=UUID(int=4)),
        ],
    )
    def test_another_table_column_or_row_is_refused(self, place: Place) -> None:
        with pytest.raises(SealBroken):
            KEY.open(place, KEY.seal(PLACE, b"secret"))

    @pytest.mark.parametrize("scope", [Scope(UUID(int=9), "test"), Scope(SCOPE.merchant_id, "live")])
    def test_another_merchant_or_mode_is_refused_even_with_the_same_key(self, scope: Scope) -> None:
        with pytest.raises(SealBroken):
            DataKey(KEY.key_id, scope, b"k" * 32).open(PLACE, KEY.seal(PLACE, b"secret"))

    def test_another_key_is_refused(self) -> None:
        sealed = KEY.seal(PLACE, b"secret")
        for other in (DataKey(UUID(int=9), SCOPE, b"k" * 32), DataKey(KEY.key_id, SCOPE, b"x" * 32)):
            with pytest.raises(SealBroken):
                other.open(PLACE, sealed)

    def test_every_changed_bit_is_noticed(self) -> None:
        sealed = KEY.seal(PLACE, b"secret")
        for bit in range(len(sealed) * 8):
            changed = bytearray(sealed)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(SealBroken):
                KEY.open(PLACE, bytes(changed))

    def test_every_cut_is_noticed(self) -> None:
        sealed = KEY.seal(PLACE, b"secret")
        for length in range(len(sealed)):
            with pytest.raises(SealBroken):
                KEY.open(PLACE, sealed[:length])
        with pytest.raises(SealBroken):
            KEY.open(PLACE, sealed + b"\x00")


@pytest.fixture
def vault() -> Vault:
    return Vault(parse_keys(new_keys()))


@pytest.fixture
def connection(roles: Roles) -> Iterator[Connection]:
    with roles.owner.connect() as connection:
        yield connection
        connection.rollback()


def fresh_scope(connection: Connection) -> Scope:
    return Scope(rows.make_merchant(connection), "test")


class TestMerchantKeys:
    def test_are_one_for_each_merchant_and_mode(self, connection: Connection, vault: Vault) -> None:
        one, other = fresh_scope(connection), fresh_scope(connection)
        scopes = [one, other, Scope(one.merchant_id, "live")]
        keys = {vault.merchant_key(connection, scope).key_id for scope in scopes}
        assert len(keys) == 3
        assert {vault.merchant_key(connection, scope).key_id for scope in scopes} == keys

    def test_another_process_opens_what_one_sealed(self, roles: Roles) -> None:
        keys = parse_keys(new_keys())
        with roles.owner.begin() as connection:
            scope = fresh_scope(connection)
            sealed = Vault(keys).merchant_key(connection, scope).seal(PLACE, b"secret")
        with roles.worker.scoped(scope) as connection:
            assert Vault(keys).merchant_key(connection, scope).open(PLACE, sealed) == b"secret"

    def test_one_made_in_a_transaction_that_failed_is_not_kept(self, roles: Roles, vault: Vault) -> None:
        with roles.owner.begin() as connection:
            scope = fresh_scope(connection)
        with roles.api.engine.connect() as connection:
            set_scope(connection, scope)
            lost = vault.merchant_key(connection, scope).key_id
            connection.rollback()
        with roles.api.scoped(scope) as connection:
            made = vault.merchant_key(connection, scope).key_id
        with roles.api.scoped(scope) as connection:
            stored = connection.execute(sa.text("SELECT id FROM data_keys")).scalars().all()
            assert vault.merchant_key(connection, scope).key_id == made
        assert stored == [made] != [lost]

    def test_two_processes_that_need_it_first_share_one(self, roles: Roles) -> None:
        keys = parse_keys(new_keys())
        with roles.owner.begin() as connection:
            scope = fresh_scope(connection)
        meet, found = threading.Barrier(2), []

        def use() -> None:
            with roles.api.scoped(scope) as connection:
                meet.wait(10)
                found.append(Vault(keys).merchant_key(connection, scope).key_id)

        threads = [threading.Thread(target=use) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(found) == 2
        assert len(set(found)) == 1


class TestCustomerKeys:
    def test_erasing_the_key_erases_the_person_at_once(self, roles: Roles, vault: Vault) -> None:
        customer = new_id()
        with roles.owner.begin() as connection:
            scope = fresh_scope(connection)
            sealed = vault.make_customer_key(connection, scope, customer).seal(PLACE, b"Ada")
        with roles.worker.scoped(scope) as connection:
            key = vault.customer_key(connection, scope, customer)
            assert key is not None
            assert key.open(PLACE, sealed) == b"Ada"
        with roles.owner.begin() as connection:
            connection.execute(sa.text("DELETE FROM data_keys WHERE owner_id = :id"), {"id": customer})
        with roles.worker.scoped(scope) as connection:
            assert vault.customer_key(connection, scope, customer) is None
        with roles.owner.begin() as connection, pytest.raises(SealBroken):
            vault.make_customer_key(connection, scope, customer).open(PLACE, sealed)

    def test_one_customer_cannot_open_another(self, connection: Connection, vault: Vault) -> None:
        scope = fresh_scope(connection)
        one, other = (vault.make_customer_key(connection, scope, new_id()) for _ in range(2))
        with pytest.raises(SealBroken):
            other.open(PLACE, one.seal(PLACE, b"Ada"))


class TestKeyEncryptionKeys:
    def test_an_older_version_still_opens(self, connection: Connection) -> None:
        first, index = secrets.token_bytes(32), secrets.token_bytes(32)
        scope = fresh_scope(connection)
        sealed = Vault(StoredKeys({1: first}, 1, {1: index})).merchant_key(connection, scope).seal(PLACE, b"secret")
        rotated = Vault(StoredKeys({1: first, 2: secrets.token_bytes(32)}, 2, {1: index}))
        assert rotated.merchant_key(connection, scope).open(PLACE, sealed) == b"secret"
        other = fresh_scope(connection)
        rotated.merchant_key(connection, other)
        query = sa.text("SELECT kek_version FROM data_keys WHERE merchant_id = :id")
        assert connection.execute(query, {"id": other.merchant_id}).scalar_one() == 2

    @pytest.mark.parametrize("keys", [{2: b"x" * 32}, {1: b"x" * 32, 2: b"y" * 32}])
    def test_without_the_right_one_nothing_opens(self, connection: Connection, keys: dict[int, bytes]) -> None:
        scope = fresh_scope(connection)
        Vault(StoredKeys({1: b"k" * 32}, 1, {1: b"i" * 32})).merchant_key(connection, scope)
        with pytest.raises(KeyUnavailable, match="version 1"):
            Vault(StoredKeys(keys, max(keys), {1: b"i" * 32})).merchant_key(connection, scope)

    def test_a_wrapped_key_cannot_be_moved_to_another_row(self, connection: Connection) -> None:
        keys = parse_keys(new_keys())
        scopes = [fresh_scope(connection) for _ in range(2)]
        for scope in scopes:
            Vault(keys).merchant_key(connection, scope)
        move = sa.text(
            "UPDATE data_keys SET wrapped = (SELECT wrapped FROM data_keys WHERE merchant_id = :from) "
            "WHERE merchant_id = :to"
        )
        connection.execute(move, {"from": scopes[0].merchant_id, "to": scopes[1].merchant_id})
        with pytest.raises(KeyUnavailable):
            Vault(keys).merchant_key(connection, scopes[1])


class TestKeyFile:
    def test_is_read_back(self, tmp_path: Path) -> None:
        file = tmp_path / "keys.json"
        file.touch(0o600)
        file.write_text(new_keys())
        assert read_key_file(file) == parse_keys(file.read_text())

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o606, 0o610, 0o601, 0o777])
    def test_open_to_others_is_refused(self, tmp_path: Path, mode: int) -> None:
        file = tmp_path / "keys.json"
        file.write_text(new_keys())
        file.chmod(mode)
        with pytest.raises(KeyUnavailable, match="chmod 600"):
            read_key_file(file)

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(KeyUnavailable, match="cannot be read"):
            read_key_file(tmp_path / "keys.json")

    @pytest.mark.parametrize(
        "change",
        [
            {"kek": {}},
            {"kek": {"one": "AAAA"}},
            {"kek": ["AAAA"]},
            {"kek": {"1": "c2hvcnQ="}},
            {"kek": {"1": "not base64!"}},
            {"current": 2},
            {"current": None},
            {"index_keys": {"1": "c2hvcnQ="}},
            {"index_keys": None},
            {"current_index": 2},
        ],
    )
    def test_of_another_form_is_refused_without_being_shown(self, change: dict[str, Any]) -> None:
        text = json.dumps({**json.loads(new_keys()), **change})
        with pytest.raises(KeyUnavailable) as caught:
            parse_keys(text)
        shown = str(caught.value)
        assert not any(part in shown for part in (json.loads(new_keys())["index_keys"]["1"], "c2hvcnQ", "not base64"))

    @pytest.mark.parametrize("text", ["", "[]", "null", "1", '{"kek": {}}', "{", "\x00"])
    def test_no_keys_at_all(self, text: str) -> None:
        with pytest.raises(KeyUnavailable):
            parse_keys(text)

    def test_keys_do_not_show_in_words(self) -> None:
        keys = parse_keys(new_keys())
        hidden = [*keys.keys.values(), *keys.index_keys.values()]
        assert not any(repr(key) in repr(keys) or base64.b64encode(key).decode() in repr(keys) for key in hidden)
        assert len({new_keys() for _ in range(10)}) == 10


class TestBlindIndex:
    @pytest.mark.parametrize("text", ["ada@example.com", " Ada@Example.COM\n", "ＡＤＡ@example.com"])
    def test_finds_an_address_however_it_is_written(self, vault: Vault, text: str) -> None:
        assert vault.blind_index("customer.email", text) == vault.blind_index("customer.email", "ada@example.com")

    def test_tells_apart(self, vault: Vault) -> None:
        other = Vault(parse_keys(new_keys()))
        found = {
            vault.blind_index("customer.email", "ada@example.com"),
            vault.blind_index("customer.email", "bob@example.com"),
            vault.blind_index("customer.phone", "ada@example.com"),
            other.blind_index("customer.email", "ada@example.com"),
        }
        assert len(found) == 4
        assert {len(one) for one in found} == {32}
