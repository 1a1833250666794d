from __future__ import annotations

import copy
import json
import pickle
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

import aiozilliz
from aiozilliz import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    DecodeError,
    IncompleteListingError,
    InventoryError,
    RateLimitError,
    ResponseError,
    ServerError,
    TransportError,
    ZillizError,
)
from aiozilliz._errors import SETTINGS, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

URL = "https://api.cloud.zilliz.com/v2/clusters?pageSize=100&currentPage=3"
ASKED: dict[str, Any] = {"advice": "Try later.", "method": "GET", "url": URL, "page": 3, "retryable": True}
SAID: dict[str, Any] = {"status": 429, "code": 42, "request_id": "r-1", "retry_after": 2.5}


def _lost() -> TransportError:
    error = TransportError("Lost", **ASKED)
    error.lost_connection = True
    return error


SAMPLES: dict[type[ZillizError], Callable[[], ZillizError]] = {
    ZillizError: lambda: ZillizError("Failed", **ASKED),
    ConfigurationError: lambda: ConfigurationError("No key", **ASKED),
    TransportError: _lost,
    ResponseError: lambda: ResponseError("Not JSON", **ASKED),
    DecodeError: lambda: DecodeError("Bad cuSize", index=7, cluster_id="in01-a", field="cuSize", **ASKED),
    IncompleteListingError: lambda: IncompleteListingError("No", expected=9, received=8, passes=5, **ASKED),
    APIError: lambda: APIError("No", **SAID, **ASKED),
    AuthenticationError: lambda: AuthenticationError("No", **SAID, **ASKED),
    RateLimitError: lambda: RateLimitError("No", **SAID, **ASKED),
    ServerError: lambda: ServerError("No", **SAID, **ASKED),
    InventoryError: lambda: InventoryError("Some failed", {"prod": _lost(), "cn": ServerError("No", **SAID)}),
}


def _subclasses(cls: type[ZillizError]) -> Iterator[type[ZillizError]]:
    yield cls
    for sub in cls.__subclasses__():
        if sub.__module__.startswith("aiozilliz"):
            yield from _subclasses(sub)


ALL = sorted(set(_subclasses(ZillizError)), key=lambda cls: cls.__name__)


def _sample(cls: type[ZillizError]) -> ZillizError:
    error = SAMPLES[cls]()
    error.attempts = 4
    error.elapsed = 12.34
    error.add_note("a note")
    error.add_note("another")
    return error


def _facts(error: BaseException) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "class": type(error),
        "str": str(error),
        "repr": repr(error),
        "args": error.args,
        **vars(error),
    }
    if isinstance(error, TransportError):
        facts["lost"] = error.lost_connection
    if isinstance(error, InventoryError):
        facts["failures"] = {name: _facts(failure) for name, failure in error.failures.items()}
        facts["exceptions"] = [_facts(failure) for failure in error.exceptions]
        assert list(map(id, error.failures.values())) == list(map(id, error.exceptions))
        del facts["args"]
    return facts


def test_every_class_has_a_sample_here() -> None:
    assert set(ALL) == set(SAMPLES)


@pytest.mark.parametrize("cls", ALL)
def test_it_is_public_and_names_the_public_place(cls: type[ZillizError]) -> None:
    assert cls.__module__ == "aiozilliz"
    assert getattr(aiozilliz, cls.__name__) is cls
    assert cls.__name__ in aiozilliz.__all__


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("cls", ALL)
def test_pickle_keeps_all(cls: type[ZillizError], protocol: int) -> None:
    error = _sample(cls)
    twin = pickle.loads(pickle.dumps(error, protocol))
    assert twin is not error
    assert _facts(twin) == _facts(error)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("cls", ALL)
def test_copies_keep_all(cls: type[ZillizError], duplicate: Callable[[ZillizError], ZillizError]) -> None:
    error = _sample(cls)
    twin = duplicate(error)
    assert twin is not error
    assert _facts(twin) == _facts(error)


@pytest.mark.parametrize("cls", ALL)
def test_its_args_alone_rebuild_its_message_also_as_json(cls: type[ZillizError]) -> None:
    error = _sample(cls)
    rebuilt = cls(*json.loads(json.dumps(error.args)))

    assert type(rebuilt) is cls
    assert (rebuilt.message, rebuilt.args) == (error.message, error.args)
    assert str(rebuilt) == f"{error.message}."
    assert str(pickle.loads(pickle.dumps(rebuilt))) == str(rebuilt)
    assert copy.copy(rebuilt).args == error.args


@pytest.mark.parametrize("cls", ALL)
def test_changing_a_copy_leaves_the_original(cls: type[ZillizError]) -> None:
    error = _sample(cls)
    before = _facts(error)
    twin = copy.copy(error)
    twin.args = ("other",)
    twin.attempts = 99
    twin.page = 77
    assert _facts(error) == before


def test_pickle_keeps_changed_args() -> None:
    error = _sample(APIError)
    error.args = ("redacted",)
    assert pickle.loads(pickle.dumps(error)).message == "redacted"


@pytest.mark.parametrize(
    ("cls", "base"),
    [
        (ConfigurationError, ValueError),
        (DecodeError, ResponseError),
        (IncompleteListingError, ResponseError),
        (AuthenticationError, APIError),
        (RateLimitError, APIError),
        (ServerError, APIError),
        (InventoryError, ExceptionGroup),
    ],
)
def test_the_tree(cls: type[ZillizError], base: type[Exception]) -> None:
    assert issubclass(cls, base)
    assert issubclass(cls, ZillizError)


@pytest.mark.parametrize("cls", [cls for cls in ALL if cls is not InventoryError])
def test_text_names_what_was_asked_attempts_time_and_advice(cls: type[ZillizError]) -> None:
    text = str(_sample(cls))
    assert f"[GET {URL}, page 3; 4 attempts in 12.3 s]" in text
    assert text.startswith(SAMPLES[cls]().message)
    assert text.endswith(" Try later.")
    assert repr(_sample(cls)) == f"{cls.__name__}({text!r})"


@pytest.mark.parametrize("cls", [cls for cls in ALL if issubclass(cls, APIError)])
def test_text_of_a_refusal_names_status_code_and_request_id(cls: type[ZillizError]) -> None:
    assert str(SAMPLES[cls]()).startswith("No (HTTP 429, code 42, request id r-1). [GET ")


def test_text_of_a_refusal_without_a_word() -> None:
    assert str(APIError("", status=502)) == "The service gave no reason (HTTP 502)."


def test_text_of_a_refusal_has_one_full_stop() -> None:
    assert str(APIError("Not authenticated.", status=401)) == "Not authenticated (HTTP 401)."
    assert APIError("Not authenticated.", status=401).message == "Not authenticated."


@pytest.mark.parametrize(
    ("message", "text"),
    [("It failed", "It failed."), ("It failed.", "It failed."), ("Cut…", "Cut…"), ("Why?", "Why?"), ("", "")],
)
def test_text_where_nothing_was_asked(message: str, text: str) -> None:
    assert str(ZillizError(message)) == text


def test_text_of_one_attempt() -> None:
    error = TransportError("Lost", method="GET", url="https://h/v2/clusters")
    assert str(error) == "Lost. [GET https://h/v2/clusters]"
    error.attempts, error.elapsed = 1, 0.25
    assert str(error) == "Lost. [GET https://h/v2/clusters; 1 attempt in 0.2 s]"


def test_text_where_the_deadline_came_before_any_attempt() -> None:
    error = TransportError("Out of time", method="GET", url="https://h/v2/clusters", page=1)
    error.elapsed = 60.0
    assert "page 1; 0 attempts in 60.0 s" in str(error)


@given(st.text(), st.text(), st.sampled_from([cls for cls in ALL if cls is not InventoryError]))
def test_text_is_one_printable_line(message: str, advice: str, cls: type[ZillizError]) -> None:
    error = SAMPLES[cls]()
    error.args = (message,)
    error.advice = advice
    assert str(error).isprintable()
    assert repr(error).isprintable()


def test_text_of_an_inventory_error_is_one_line_whatever_accounts_are_called() -> None:
    error = InventoryError("1 of 2 accounts failed", {"prod\n\x1b[31m": _lost()})
    assert str(error) == "1 of 2 accounts failed. Failed: prod\\n\\x1b[31m."


@pytest.mark.parametrize(
    ("errors", "retryable"),
    [
        ([TransportError("lost", retryable=True), TransportError("late", retryable=True)], True),
        ([TransportError("lost", retryable=True), AuthenticationError("refused", status=401)], False),
        ([TransportError("lost", retryable=True), OSError("no key file")], False),
    ],
)
def test_an_inventory_error_is_retryable_if_all_failures_are(
    errors: list[Exception], *, retryable: bool
) -> None:
    error = InventoryError("2 of 2 accounts failed", {str(number): one for number, one in enumerate(errors)})
    assert error.retryable == retryable
    assert not InventoryError(*error.args[:1]).retryable


@given(st.text(), st.integers(1, 50))
def test_printable_is_bounded_and_shows_what_can_be_shown(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit
    if len(text) <= limit and text.isprintable():
        assert shown == text
    if len(text) > limit:
        assert shown.endswith("…")
        assert len(shown) == limit
    if len(text) * len("\\U00000000") <= limit:
        assert not shown.endswith("…") or text.endswith("…")


# Advice names settings.


def _itself(error: ZillizError) -> ZillizError:
    return error


def _pickled(error: ZillizError) -> ZillizError:
    twin: ZillizError = pickle.loads(pickle.dumps(error))
    return twin


@pytest.mark.parametrize("duplicate", [_itself, copy.copy, copy.deepcopy, _pickled])
@pytest.mark.parametrize("cls", ALL)
def test_advice_names_settings_as_the_reader_calls_them(
    cls: type[ZillizError], duplicate: Callable[[ZillizError], ZillizError]
) -> None:
    original = SAMPLES[cls]()
    original.advice = "Ask for smaller pages ({page_size}), {patience} or a longer {timeout}."
    error = duplicate(original)
    library = "Ask for smaller pages (page_size), {patience} or a longer timeout=."
    assert error.advice == library
    assert str(error).endswith(f" {library}")
    assert error.describe({}) == str(error)
    assert error.describe({"page_size": "--page-size", "other": "x"}) == str(error).removesuffix(library) + (
        "Ask for smaller pages (--page-size), {patience} or a longer timeout=."
    )


def test_advice_may_be_given_as_an_argument_or_set() -> None:
    error = ZillizError("Failed", advice="See {page_size}.")
    assert error.advice == "See page_size."
    error.advice = "See nothing."
    assert (error.advice, str(error)) == ("See nothing.", "Failed. See nothing.")


@given(st.text(), st.text())
def test_only_settings_are_named_anew_and_only_in_advice(message: str, advice: str) -> None:
    error = ZillizError(f"{message}{{page_size}}", advice=advice.replace("{", "("))
    assert error.advice == advice.replace("{", "(")
    assert error.describe(dict.fromkeys(SETTINGS, "X")) == str(error)
    assert "{page_size}" in str(error)


def test_describe_is_one_printable_line() -> None:
    assert ZillizError("a\nb", advice="{verify}").describe({"verify": "\x1b"}) == "a\\nb. \\x1b"


def test_describe_names_the_settings() -> None:
    assert set(re.findall(r"`(\w+)`", ZillizError.describe.__doc__ or "")) == {*SETTINGS, "str"}


def test_attributes_have_defaults() -> None:
    error = TransportError("Lost")
    assert (error.method, error.url, error.page, error.attempts, error.elapsed) == (None, None, None, 0, None)
    assert (error.advice, error.retryable, error.lost_connection) == ("", False, False)
    assert (APIError("", status=400).code, APIError("", status=400).retry_after) == (None, None)
    assert IncompleteListingError("").expected is None


# InventoryError

GONE = TransportError("gone")
DOWN = ServerError("down", status=503)
SHUT = AuthenticationError("shut", status=401)


def _inventory(**failures: Exception) -> InventoryError:
    return InventoryError("Some accounts failed", failures)


def test_the_group_holds_the_failures() -> None:
    error = _inventory(a=GONE, b=DOWN)
    assert error.exceptions == (GONE, DOWN)
    assert error.failures == {"a": GONE, "b": DOWN}
    assert str(error) == "Some accounts failed. Failed: a, b."


def test_the_failures_are_the_groups_own() -> None:
    given_failures: dict[str, Exception] = {"a": GONE}
    error = InventoryError("Some accounts failed", given_failures)
    given_failures["b"] = DOWN
    assert error.failures == {"a": GONE}


def test_a_group_without_failures_is_refused() -> None:
    with pytest.raises(ValueError, match="non-empty"):
        InventoryError("None failed", {})


def test_split_keeps_the_failures_of_each_part() -> None:
    error = _inventory(a=GONE, b=DOWN, c=SHUT)
    error.add_note("kept")
    matching, rest = error.split(APIError)
    assert isinstance(matching, InventoryError)
    assert isinstance(rest, InventoryError)
    assert matching.failures == {"b": DOWN, "c": SHUT}
    assert rest.failures == {"a": GONE}
    assert matching.message == rest.message == error.message
    assert matching.__notes__ == rest.__notes__ == ["kept"]
    assert str(rest) == "Some accounts failed. Failed: a."


def test_subgroup_keeps_its_failures() -> None:
    part = _inventory(a=GONE, b=DOWN, c=SHUT).subgroup(lambda error: error is DOWN)
    assert isinstance(part, InventoryError)
    assert part.failures == {"b": DOWN}
    assert _inventory(a=GONE).subgroup(APIError) is None


def _handle_refused_keys(
    group: ExceptionGroup[Exception],
) -> tuple[BaseExceptionGroup[AuthenticationError], ExceptionGroup[Exception]]:
    handled: list[BaseExceptionGroup[AuthenticationError]] = []
    try:
        try:
            raise group
        except* AuthenticationError as part:
            handled.append(part)
    except ExceptionGroup as rest:
        return handled[0], rest
    raise AssertionError("nothing was left")


def test_except_star_keeps_the_failures_on_both_sides() -> None:
    handled, rest = _handle_refused_keys(_inventory(a=GONE, b=DOWN, c=SHUT))
    assert isinstance(handled, InventoryError)
    assert handled.failures == {"c": SHUT}
    assert isinstance(rest, InventoryError)
    assert rest.failures == {"a": GONE, "b": DOWN}


def test_except_star_keeps_the_failures_of_a_nested_group() -> None:
    handled, rest = _handle_refused_keys(ExceptionGroup("tasks", [KeyError("k"), _inventory(a=GONE, b=SHUT)]))
    inner, outer = handled.exceptions[0], rest.exceptions[1]
    assert isinstance(inner, InventoryError)
    assert inner.failures == {"b": SHUT}
    assert isinstance(outer, InventoryError)
    assert outer.failures == {"a": GONE}


def test_a_failure_that_is_a_group_is_split_under_its_account() -> None:
    group = ExceptionGroup(
        "key callable", [KeyError("k"), OSError("o"), ExceptionGroup("in", [KeyError("l")])]
    )
    matching, rest = _inventory(a=group, b=GONE).split(KeyError)
    assert isinstance(matching, InventoryError)
    assert isinstance(rest, InventoryError)
    assert list(matching.failures) == ["a"]
    assert tuple(matching.failures.values()) == matching.exceptions
    assert repr(matching.failures["a"]) == repr(group.subgroup(KeyError))
    assert list(rest.failures) == ["a", "b"]
    assert tuple(rest.failures.values()) == rest.exceptions
    again = rest.subgroup(OSError)
    assert isinstance(again, InventoryError)
    assert list(again.failures) == ["a"]


def test_accounts_that_failed_with_the_same_error_both_stay() -> None:
    part = _inventory(a=DOWN, b=GONE, c=DOWN).subgroup(ServerError)
    assert isinstance(part, InventoryError)
    assert part.failures == {"a": DOWN, "c": DOWN}


def test_errors_of_nobody_make_a_plain_group() -> None:
    part = _inventory(a=DOWN).derive([GONE])
    assert type(part) is ExceptionGroup
    assert part.exceptions == (GONE,)


def test_a_part_can_be_pickled() -> None:
    part = _inventory(a=GONE, b=DOWN).subgroup(ServerError)
    assert part is not None
    assert _facts(pickle.loads(pickle.dumps(part))) == _facts(part)


@given(st.lists(st.sampled_from([TransportError, ServerError, KeyError]), min_size=1), st.data())
def test_parts_together_are_the_whole(kinds: list[type[Exception]], data: st.DataObject) -> None:
    failures: dict[str, Exception] = {
        str(n): kind("x", status=500) if kind is ServerError else kind("x") for n, kind in enumerate(kinds)
    }
    chosen = data.draw(st.sets(st.sampled_from(sorted(failures))))
    kept = {id(failures[name]) for name in chosen}
    parts = InventoryError("Failed", failures).split(lambda error: id(error) in kept)
    names = [set(part.failures) if isinstance(part, InventoryError) else set[str]() for part in parts]
    assert names == [chosen, set(failures) - chosen]
    for part in parts:
        if isinstance(part, InventoryError):
            assert all(failures[name] is error for name, error in part.failures.items())
