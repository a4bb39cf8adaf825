"""The form of keys: made, told apart, and found in texts that were not made for them."""

from __future__ import annotations

import pytest

from core.domain import key_form
from core.domain.key_form import Kind, make_key, number_of, read_key, seen_in


@pytest.mark.parametrize("kind", key_form.KINDS)
def test_keys_have_the_promised_form(kind: Kind) -> None:
    made = make_key(kind)
    assert made.text.startswith(f"tg_{kind}_{made.id}_")
    assert read_key(made.text) == (kind, made.id)
    assert made.text not in repr(made)
    assert len(made.secret_hash) == 32


def test_what_is_no_key() -> None:
    text = make_key("test").text
    wrong = "b" if text[-1] == "a" else "a"
    for other in ("", "tg", text[:-1], text + "a", text[:-1] + wrong, text.replace("tg_test", "tg_demo"), text + "_"):
        assert read_key(other) is None, other


def test_keys_are_found_in_any_text_once_and_in_order() -> None:
    first, second, cut, prefix = (make_key(kind) for kind in ("test", "admin", "live", "test"))
    log = (
        f'{{"authorization":"Bearer {first.text}"}}\nKEY={second.text}; again {first.text}\n'
        f"cut off: {cut.text[:-3]}… and only {prefix.prefix}_… or {prefix.prefix}, not xtg_test_{prefix.id}\n"
    )
    found = [(one.kind, one.id, one.whole) for one in seen_in(log)]
    assert found == [
        ("test", first.id, True),
        ("admin", second.id, True),
        ("live", cut.id, False),
        ("test", prefix.id, None),
    ]
    assert all(first.text not in repr(one) for one in seen_in(log))


def test_an_id_has_a_number_of_its_own() -> None:
    made = {number_of(make_key("test").id) for _ in range(50)}
    assert len(made) == 50
    for text in ("a-b", "ä" * 16, "a" * 17):
        with pytest.raises(ValueError, match="not the id"):
            number_of(text)
