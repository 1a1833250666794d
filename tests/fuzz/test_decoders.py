from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from aiozilliz import Cluster, DecodeError, ZillizError
from tests.fuzz.decoders import BY_NAME, DECODERS, check_text, read_body
from tests.fuzz.shapes import INPUTS, SLOW
from tests.support.strategies import bodies

if TYPE_CHECKING:
    from typing import Any


def test_every_decoder_is_given_something() -> None:
    assert INPUTS.keys() == BY_NAME.keys()
    assert {name for name, _ in SLOW} == BY_NAME.keys()


@pytest.mark.parametrize("name", BY_NAME)
def test_whatever_comes_there_is_a_result_or_the_documented_error(name: str) -> None:
    decode = BY_NAME[name]

    @given(INPUTS[name])
    def attempt(data: bytes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            decode(data)

    attempt()


@pytest.mark.parametrize(("name", "shape"), SLOW)
@pytest.mark.parametrize("size", [10, 5_000])
def test_large_and_deep_input_is_no_exception(name: str, shape: str, size: int) -> None:
    BY_NAME[name](SLOW[name, shape](size))


_header_texts = st.text(st.characters(exclude_categories=()), max_size=20)


@given(
    status=st.integers(100, 999),
    headers=st.dictionaries(
        st.sampled_from(["Retry-After", "Date", "Location", "Content-Type", "requestid"]), _header_texts
    ),
    body=bodies() | st.binary(max_size=40) | INPUTS["answer"],
)
def test_an_answer_with_any_status_and_headers_is_a_page_or_a_zilliz_error(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    try:
        read_body(body, status, headers)
    except ZillizError as error:
        check_text(error)


def test_a_record_that_holds_itself_is_refused() -> None:
    record: dict[str, Any] = {"clusterId": "in01-a"}
    record["labels"] = record

    with pytest.raises(DecodeError, match="nested more than 100 deep"):
        Cluster.from_dict(record)


def test_the_decoders_errors_are_never_so_wide_that_they_hide_a_bug() -> None:
    wide = {Exception, ArithmeticError, LookupError, TypeError, RuntimeError}

    assert not {error for decoder in DECODERS for error in decoder.errors} & wide
