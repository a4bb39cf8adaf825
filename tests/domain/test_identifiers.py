"""Ids: time-ordered inside, prefixed words outside, and nothing else is read back."""

from __future__ import annotations

import time
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.identifiers import PREFIXES, InvalidIdentifier, new_id, parse_id, public_id

KINDS = sorted(PREFIXES)
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def test_prefixes_are_those_of_the_api_and_each_stands_for_one_kind() -> None:
    promised = {
        "payment": "pay",
        "transaction": "txn",
        "refund": "ref",
        "customer": "cus",
        "payment_method": "pm",
        "job": "job",
        "event": "evt",
        "dispute": "dsp",
    }
    assert {kind: PREFIXES[kind] for kind in promised} == promised
    assert len(set(PREFIXES.values())) == len(PREFIXES)


@given(st.sampled_from(KINDS), st.uuids())
def test_what_is_written_is_read_back(kind: str, value: UUID) -> None:
    text = public_id(kind, value)
    prefix, _, word = text.rpartition("_")
    assert prefix == PREFIXES[kind]
    assert len(word) == 26
    assert set(word) <= set(ALPHABET)
    assert parse_id(kind, text) == value


@given(st.sampled_from(KINDS), st.uuids(), st.uuids())
def test_words_sort_as_their_values_do(kind: str, one: UUID, other: UUID) -> None:
    assert (public_id(kind, one) < public_id(kind, other)) == (one < other)


@given(st.text(max_size=40))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidIdentifier):
        parse_id("payment", text)


@given(st.uuids(), st.integers(0, 25), st.characters())
def test_no_two_texts_name_one_id(value: UUID, position: int, letter: str) -> None:
    text = public_id("payment", value)
    at = len("pay_") + position
    changed = text[:at] + letter + text[at + 1 :]
    if changed == text:
        return
    try:
        assert parse_id("payment", changed) != value
    except InvalidIdentifier:
        return


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pay",
        "pay_",
        "pay_0",
        "pay_" + "0" * 25,
        "pay_" + "0" * 27,
        "pay_" + "8" + "0" * 25,  # 129 bits
        "pay_" + "z" * 26,
        "pay_" + "0" * 25 + "I",
        "pay_" + "0" * 25 + "u",
        "PAY_" + "0" * 26,
        "pay_" + "A" * 26,
        "pay-" + "0" * 26,
        " pay_" + "0" * 26,
        "pay_" + "0" * 26 + "\n",
        "pay_" + "0" * 25 + "\x00",
        "ref_" + "0" * 26,  # another kind
        "00000000-0000-7000-8000-000000000000",
        "pay_" + "٠" * 26,  # digits, but not ours
    ],
)
def test_malformed(text: str) -> None:
    with pytest.raises(InvalidIdentifier) as caught:
        parse_id("payment", text)
    assert str(caught.value) == "not a payment id", "the text itself is not echoed"


def test_smallest_and_largest() -> None:
    assert parse_id("payment", "pay_" + "0" * 26) == UUID(int=0)
    assert parse_id("payment", "pay_" + "7" + "z" * 25) == UUID(int=2**128 - 1)


def test_new_ids_are_uuids_of_version_7_with_the_time_in_front() -> None:
    before = time.time_ns() // 1_000_000
    made = new_id()
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, RFC_4122)
    assert before <= made.int >> 80 <= after


def test_ids_of_a_later_millisecond_sort_later(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = [0, 1, 999, 1_700_000_000_000, 1_700_000_000_001, 2**47, 2**48 - 1]
    made = []
    for moment in moments:
        monkeypatch.setattr(time, "time_ns", lambda moment=moment: moment * 1_000_000)
        made.append(new_id())
    assert made == sorted(made)
    assert [one.int >> 80 for one in made] == moments
    assert [public_id("job", one) for one in made] == sorted(public_id("job", one) for one in made)


def test_ids_do_not_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
    made = [new_id() for _ in range(10_000)]
    assert len(set(made)) == len(made)
    # All 74 random bits are used: over so many, each has been both 0 and 1.
    union, common = 0, 2**128 - 1
    for one in made:
        union |= one.int
        common &= one.int
    assert (union ^ common).bit_count() == 74
