"""JSON text to plain values and back, also where orjson refuses."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from aiozilliz._records.json import InvalidJSON, dump, load, parse
from tests.support import strategies as own


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [1, 2.5, null, true, "\xc3\xa9"]}', {"a": [1, 2.5, None, True, "é"]}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'"\\ud83d"', "\ud83d"),
        (b'["\\ud83d", 18446744073709551615, -9223372036854775808]', ["\ud83d", 2**64 - 1, -(2**63)]),
        (b'"\\ud83d\\ude00"', "😀"),
        (b" 7 ", 7),
    ],
)
def test_json_is_read(body: bytes, value: object) -> None:
    assert parse(body) == value


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30])
@pytest.mark.parametrize("beside", [b'""', b'"\\ud83d"'])
def test_an_integer_beyond_64_bits_is_a_float_on_both_ways(number: int, beside: bytes) -> None:
    value = parse(b"[%d, %s]" % (number, beside))
    assert repr(value).startswith(f"[{float(number)!r}, ")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"<!DOCTYPE html>", "HTML, not JSON"),
        (b"\xef\xbb\xbf <html>", "HTML, not JSON"),
        (b"{", "not JSON"),
        (b"hello", "not JSON"),
        (b'"\xff"', "not JSON"),
        (b"NaN", "not JSON"),
        (b"[-Infinity]", "not JSON"),
        (b'["\\ud83d", NaN]', "not JSON"),
        (b"{}{}", "not JSON"),
    ],
)
def test_what_is_no_json_may_be_whole_the_next_time(body: bytes, reason: str) -> None:
    assert parse(body) == InvalidJSON(reason, retryable=True)


@pytest.mark.parametrize("body", [b"[" * 100_000 + b"]" * 100_000, b"1e999", b"-" + b"9" * 5000])
def test_json_that_is_too_much_is_too_much_the_next_time_too(body: bytes) -> None:
    answer = parse(body)
    assert isinstance(answer, InvalidJSON)
    assert not answer.retryable
    assert "nested too deep" in answer.reason


@given(st.binary())
def test_any_bytes_are_a_value_or_unusable(body: bytes) -> None:
    value = parse(body)
    if not isinstance(value, InvalidJSON):
        assert parse(json.dumps(value).encode()) == value


def through_the_wire(value: Any) -> Any:
    return json.loads(json.dumps(value))


@given(own.json_values.map(through_the_wire))
def test_what_is_written_is_read_again(value: Any) -> None:
    text = dump(value)
    text.encode()
    assert repr(load(text, "it")) == repr(load(text.encode(), "it")) == repr(value)


def test_both_writers_write_the_same_but_for_the_half_emoji() -> None:
    value: dict[str, Any] = {
        "a": [1, 2.5, -0.0, None, True, 'é😀\x00\x1f\x7f\n"\\/'],
        "b": {},
        "c": [],
        "d": [[]],
    }
    fast, slow = dump([value, "+"]), dump([value, "\ud83d"])
    assert slow == fast.replace("+", "\\ud83d")


@pytest.mark.parametrize("value", [math.nan, math.inf, [-math.inf, "\ud83d"]])
def test_a_number_that_json_has_not_is_never_written_as_one(value: Any) -> None:
    try:
        text = dump(value)
    except ValueError:
        return
    json.loads(text, parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "it is empty"), ("{", "it is not JSON"), ("\ud800", "it is not JSON"), (b"<p>", "it is HTML")],
)
def test_a_text_that_can_not_be_read_is_named(text: str | bytes, says: str) -> None:
    with pytest.raises(ValueError, match=f"^the file can't be read: {says}"):
        load(text, "the file")
