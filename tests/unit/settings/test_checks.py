from __future__ import annotations

import math
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, strategies as st

from aiozilliz import CHINA, GLOBAL, ConfigurationError
from aiozilliz._settings.checks import (
    check_base_url,
    check_count,
    check_flag,
    check_seconds,
    is_loopback,
    key_error,
    key_fault,
)

BAD_KEYS: list[tuple[object, str]] = [
    ("", "empty"),
    ("abc\n", "white space"),
    ("a bc", "white space"),
    ("\tabc", "white space"),
    ("ab\rc", "white space"),
    ("abc\u00a0", "white space"),
    ("abc\x00", "control"),
    ("abc\x7f", "control"),
    ("abc\x1b[0m", "control"),
    ("schlüssel", "non-ASCII"),
    ('"abc"', "quotation marks"),
    ("'abc'", "quotation marks"),
    ("abc'", "quotation marks"),
    ('"', "quotation marks"),
    ("\u201cabc\u201d", "quotation marks"),
    ("abc\ud800", "non-ASCII"),
    ("abc\u200b", "non-ASCII"),
    (b"abc", "of type bytes"),
    (12345, "of type int"),
    (None, "of type NoneType"),
]


@pytest.mark.parametrize(("key", "fault"), BAD_KEYS)
def test_a_bad_key_is_told_by_its_kind(key: object, fault: str) -> None:
    assert fault in (key_fault(key) or "")


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1))
def test_any_printable_ascii_without_white_space_and_quotation_marks_around_it_is_a_key(key: str) -> None:
    assert (key_fault(key) is None) == (not {key[0], key[-1]} & {*"\"'`"})


@given(st.text())
def test_a_fault_is_one_of_a_few_texts_and_so_never_the_key(key: str) -> None:
    fault = key_fault(key)
    assert fault is None or fault in {key_fault(example) for example in ("", " ", "\x00", "ü", "'")}
    bare = key != "" and not {key[0], key[-1]} & {*"\"'`"}
    assert (fault is None) == (bare and all(0x21 <= ord(c) <= 0x7E for c in key))


def test_the_error_names_the_source_and_what_to_do() -> None:
    error = key_error("it is empty", "the moon")
    assert str(error) == (
        "The API key can't be used: it is empty. "
        "It came from the moon. Pass it exactly as the Zilliz Cloud console shows it."
    )


GOOD_URLS = [
    (GLOBAL, GLOBAL),
    (CHINA, CHINA),
    ("https://host", "https://host"),
    ("https://host/", "https://host"),
    ("https://host///", "https://host"),
    ("https://host/prefix/x/", "https://host/prefix/x"),
    ("https://host:8443", "https://host:8443"),
    ("https://host:65535/x", "https://host:65535/x"),
    ("https://host./x", "https://host./x"),
    ("https://my_host-1.example/@x:y", "https://my_host-1.example/@x:y"),
    ("HTTPS://HOST", "HTTPS://HOST"),
    ("https://bücher.example", "https://bücher.example"),
    ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    ("https://[2001:db8::1]/x", "https://[2001:db8::1]/x"),
    ("https://10.0.0.1", "https://10.0.0.1"),
    ("http://127.0.0.1:1/x", "http://127.0.0.1:1/x"),
    ("http://127.8.9.10", "http://127.8.9.10"),
    ("http://[::1]:8080", "http://[::1]:8080"),
    ("http://localhost", "http://localhost"),
    ("HTTP://LOCALHOST:1/", "HTTP://LOCALHOST:1"),
]

BAD_URLS = [
    ("", "empty"),
    (" https://host", "white space"),
    ("https://host ", "white space"),
    ("https://ho st", "white space"),
    ("https://host\n", "white space"),
    ("https://host/\tx", "control characters"),
    ("https://host\x00", "control characters"),
    ("https://host\u200b", "control characters"),
    ("http://evil.com\\@127.0.0.1", "backslashes"),
    ("host", "does not begin with https://"),
    ("host:443", "does not begin with https://"),
    ("//host", "does not begin with https://"),
    ("ftp://host", "does not begin with https://"),
    ("file:///etc/passwd", "does not begin with https://"),
    ("https://user:SECRET@host", "user info"),
    ("https://SECRET@host", "user info"),
    ("https://@host", "user info"),
    ("https://user:SECRET@host?SECRET", "user info"),
    ("http://SECRET@127.0.0.1", "user info"),
    ("https://host?key=SECRET", "query"),
    ("https://host/x?", "query"),
    ("https://host#SECRET", "fragment"),
    ("https://host/#", "fragment"),
    ("http://evil.com?SECRET", "query"),
    ("https://", "no host"),
    ("https:///x", "no host"),
    ("https:host", "no host"),
    ("https://:443", "no host"),
    ("https://a..b", "can't exist"),
    ("https://.", "can't exist"),
    ("https://exa<mple", "can't exist"),
    ("https://h%20x", "can't exist"),
    (f"https://{'a' * 64}.example", "can't exist"),
    (f"https://{'a.' * 127}example", "can't exist"),
    ("https://bücher..example", "can't exist"),
    (f"https://{'ü' * 64}.example", "can't exist"),
    ("https://bü<cher.example", "can't exist"),
    ("https://1.2.3", "can't exist"),
    ("https://1.2.3.256", "can't exist"),
    ("https://\uff11.2.3", "can't exist"),
    ("https://[::1", "not a URL"),
    ("https://[::g]", ""),
    ("https://[v1.a:b]", "can't exist"),
    ("https://host\uff03x", "not a URL"),
    ("https://host:0", "port"),
    ("https://host:65536", "port"),
    ("https://host:-1", "port"),
    ("https://host:x", "port"),
    ("https://::1", ""),
    ("http://host", "in clear to host;"),
    ("http://api.cloud.zilliz.com", "in clear to api.cloud.zilliz.com;"),
    ("http://127.0.0.1.evil.com", "in clear to 127.0.0.1.evil.com;"),
    ("http://localhost.evil.com", "in clear to localhost.evil.com;"),
    ("http://evil.localhost", "in clear to evil.localhost;"),
    ("http://evillocalhost", "in clear to evillocalhost;"),
    ("http://10.0.0.1", "in clear to 10.0.0.1;"),
    ("http://0.0.0.0", "in clear to 0.0.0.0;"),
    ("http://2130706433", "can't exist"),
    ("http://[::2]", "in clear to ::2;"),
    ("http://bücher.example", "in clear to bücher.example;"),
]


@pytest.mark.parametrize(("url", "kept"), GOOD_URLS)
def test_a_good_base_url_loses_its_trailing_slashes_only(url: str, kept: str) -> None:
    assert check_base_url(url) == kept
    assert check_base_url(kept) == kept


@pytest.mark.parametrize(("url", "fault"), BAD_URLS)
def test_a_bad_base_url_is_refused_and_nothing_secret_repeated(url: str, fault: str) -> None:
    with pytest.raises(ConfigurationError, match="The base URL can't be used") as raised:
        check_base_url(url)
    assert fault in str(raised.value)
    assert "SECRET" not in str(raised.value) + repr(raised.value) + repr(raised.value.args)
    assert raised.value.__context__ is None
    assert str(raised.value).isprintable()


@given(st.text(st.characters(exclude_characters="/?#@"), max_size=20), st.text(max_size=20))
def test_user_info_and_query_never_get_into_the_error(name: str, tail: str) -> None:
    url = f"https://{name}S3CR3T@host/x?{tail}S3CR3T"
    with pytest.raises(ConfigurationError) as raised:
        check_base_url(url)
    assert "S3CR3T" not in f"{raised.value} {raised.value!r} {raised.value.args}"


@given(st.one_of(st.text(), st.text().map("https://{}".format)))
def test_any_text_is_refused_or_can_take_a_path(url: str) -> None:
    with suppress(ConfigurationError):
        parts = urlsplit(f"{check_base_url(url)}/v2/clusters")
        assert parts.scheme in {"http", "https"}
        assert parts.hostname
        assert parts.path.endswith("/v2/clusters")
        assert not parts.query


@pytest.mark.parametrize("url", [None, b"https://host", 1])
def test_a_base_url_of_another_type_is_a_type_error(url: object) -> None:
    with pytest.raises(TypeError, match="base_url must be a str"):
        check_base_url(url)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.255.255.254", "::1"])
def test_loopback_hosts(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", [None, "", "host", "localhost.", "a.localhost", "127.0.0.1.x", "128.0.0.1", "::"]
)
def test_other_hosts(host: str | None) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("value", [1, 7, 10**30])
def test_counts(value: int) -> None:
    assert check_count("n", value) == value


@pytest.mark.parametrize("value", [0, -1])
def test_a_count_below_one_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match=f"n must be at least 1, not {value}"):
        check_count("n", value)


@pytest.mark.parametrize("value", [True, 1.0, "1", None])
def test_a_count_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="n must be an int, not"):
        check_count("n", value)


def test_flags() -> None:
    assert check_flag("f", value=True) is True
    assert check_flag("f", value=False) is False
    for wrong in (1, 0, None, "yes"):
        with pytest.raises(TypeError, match="f must be a bool, not"):
            check_flag("f", wrong)


@pytest.mark.parametrize("value", [1, 0.001, 3600.0, 5e-324])
def test_seconds_are_given_as_float(value: float) -> None:
    assert check_seconds("s", value) == value
    assert type(check_seconds("s", value)) is float


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("value", [-1, -0.5, math.nan, math.inf, -math.inf, 10**400, -(10**400)])
def test_seconds_out_of_range_are_refused(value: float, positive: bool) -> None:
    with pytest.raises(ValueError, match="s must be a finite number of seconds"):
        check_seconds("s", value, positive=positive)


def test_no_seconds_are_seconds_only_where_that_is_allowed() -> None:
    assert check_seconds("s", 0, positive=False) == 0.0
    with pytest.raises(ValueError, match="above 0, not 0"):
        check_seconds("s", 0)


@pytest.mark.parametrize("value", [True, "1", None, 1j])
def test_seconds_of_another_type_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="s must be a number of seconds, not"):
        check_seconds("s", value)
