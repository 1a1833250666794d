"""The wire: one URL for a page, and every answer that the contract knows, or that can come in its stead."""

import json
import pickle
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from aiozilliz import (
    APIError,
    AuthenticationError,
    Cluster,
    ClusterPage,
    DecodeError,
    RateLimitError,
    ResponseError,
    ServerError,
    ZillizError,
)
from aiozilliz._http.header_times import MAX_RETRY_AFTER, parse_retry_after
from aiozilliz._http.wire import PATH, page_url, read_answer
from aiozilliz._settings.checks import ListQuery
from tests.support import strategies as own

NOW = datetime(2024, 7, 1, 12, 0, 0, tzinfo=UTC)
RECORD: dict[str, Any] = {"clusterId": "in01-a", "clusterName": "one"}
CLUSTER = Cluster(cluster_id="in01-a", cluster_name="one")
LISTING: dict[str, Any] = {"count": 1, "currentPage": 3, "pageSize": 10, "clusters": [RECORD]}
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


def read(
    body: bytes | dict[str, Any] | None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    page: int = 3,
    page_size: int = 50,
) -> ClusterPage:
    return read_answer(
        status,
        headers or {},
        json.dumps(body).encode() if isinstance(body, dict) else body,
        page=page,
        page_size=page_size,
        now=NOW,
        max_bytes=1000,
    )


def refusal(
    body: bytes | dict[str, Any] | None, status: int = 200, headers: Mapping[str, str] | None = None
) -> ZillizError:
    with pytest.raises(ZillizError) as caught:
        read(body, status, headers)
    error = caught.value
    assert error.advice
    assert error.__cause__ is None
    assert error.__context__ is None
    assert (error.method, error.url, error.attempts) == (None, None, 0)
    return error


def api_refusal(
    body: bytes | dict[str, Any] | None, status: int = 200, headers: Mapping[str, str] | None = None
) -> APIError:
    error = refusal(body, status, headers)
    assert isinstance(error, APIError)
    assert error.status == status
    return error


# Requests.


@pytest.mark.parametrize(
    "base", ["https://host", "https://host/", "https://host/prefix", "https://host/prefix/"]
)
def test_a_pages_url_has_path_and_both_parameters(base: str) -> None:
    assert page_url(base, ListQuery(100), 2) == f"{base.rstrip('/')}{PATH}?pageSize=100&currentPage=2"


# Success.


def test_the_documented_example_is_a_page() -> None:
    assert read({"code": 0, "data": LISTING}) == ClusterPage(
        clusters=(CLUSTER,), count=1, current_page=3, page_size=10
    )


def test_the_documented_schema_with_the_bare_list_is_a_page_without_count() -> None:
    assert read({"code": 0, "data": [RECORD]}) == ClusterPage(
        clusters=(CLUSTER,), count=None, current_page=3, page_size=50
    )


@pytest.mark.parametrize("envelope", [{"code": 0}, {"code": 200}, {"code": None}, {}])
@pytest.mark.parametrize("status", [200, 201, 206])
def test_codes_0_and_200_and_none_are_success(envelope: dict[str, Any], status: int) -> None:
    assert read({**envelope, "data": LISTING}, status).clusters == (CLUSTER,)


def test_clusters_null_is_an_empty_page() -> None:
    assert read({"data": {"clusters": None, "count": 7}}) == ClusterPage(
        count=7, current_page=3, page_size=50
    )


@pytest.mark.parametrize("listing", [{"clusters": []}, {"clusters": [], "count": None}])
def test_a_missing_or_null_count_is_no_count(listing: dict[str, Any]) -> None:
    assert read({"data": listing}).count is None


@pytest.mark.parametrize("echo", [None, 0, -1, True, "2", 2.0, [], {}])
def test_an_echo_that_is_no_positive_integer_gives_way_to_what_was_asked(echo: Any) -> None:
    page = read({"data": {**LISTING, "currentPage": echo, "pageSize": echo}})
    assert (page.current_page, page.page_size) == (3, 50)
    assert type(page.current_page) is int


@pytest.mark.parametrize("echo", [1, 2, 4, 10**9])
def test_an_echo_of_another_page_is_a_response_to_another_request(echo: int) -> None:
    error = refusal({"code": 0, "data": {**LISTING, "currentPage": echo}})
    assert type(error) is ResponseError
    assert str(error).startswith(f"The response is for page {echo}, not for page 3.")
    assert error.echoed_page == echo
    assert error.retryable


@pytest.mark.parametrize(
    ("header", "age"),
    [
        (None, 0),
        ("0", 0),
        ("3", 3),
        (" 3 ", 3),
        ("3, 7", 3),
        ("3, 7, 9", 3),
        ("soon", 1),
        ("", 1),
        ("-1", 1),
        ("1.5", 1),
        ("\u0663", 1),  # a digit of another script
        ("9" * 5000, 9_999_999_999),
    ],
)
@pytest.mark.parametrize("data", [LISTING, [RECORD]], ids=["object", "array"])
def test_the_age_of_a_response_is_what_a_cache_says(header: str | None, age: int, data: Any) -> None:
    page = read({"code": 0, "data": data}, headers={} if header is None else {"Age": header})
    assert page.age == age


def test_the_order_of_records_and_repeats_are_kept() -> None:
    ids = ["b", "a", "b", "c"]
    page = read({"data": [{"clusterId": name} for name in ids]})
    assert [cluster.cluster_id for cluster in page.clusters] == ids


@given(own.envelopes())
def test_any_good_answer_is_a_page_of_its_records(envelope: dict[str, Any]) -> None:
    data: Any = envelope["data"]
    echo: Any = None if isinstance(envelope["data"], list) else data.get("currentPage")
    page = read(envelope, page=echo if type(echo) is int and echo > 0 else 3)
    records: Iterable[Any] = data if isinstance(envelope["data"], list) else data["clusters"]
    assert page.clusters == tuple(Cluster.from_dict(record) for record in records)
    assert read({"data": [cluster.to_dict() for cluster in page.clusters]}).clusters == page.clusters


def test_a_byte_order_mark_does_no_harm() -> None:
    assert read(b"\xef\xbb\xbf" + json.dumps({"data": LISTING}).encode()).clusters == (CLUSTER,)


def test_half_an_emoji_does_not_stop_an_inventory() -> None:
    body = b'{"data": [{"clusterId": "a", "description": "cut \\ud83d", "big": 36893488147419103232}]}'
    (cluster,) = read(body).clusters
    assert cluster.description == "cut \ud83d"
    assert cluster.to_dict()["description"] == "cut \ud83d"
    assert repr(cluster).encode()


@pytest.mark.parametrize("number", [2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**30])
def test_both_json_readers_give_the_same_numbers(number: int) -> None:
    plain = json.dumps({"data": [{"clusterId": "a", "odd": number, "share": 0.1}]})
    escaped = plain.replace('"a"', '"\\ud83d"')
    (one,) = read(plain.encode()).clusters
    (other,) = read(escaped.encode()).clusters
    assert one.extra == other.extra
    assert type(one.extra["odd"]) is type(other.extra["odd"])


# Success that is none.


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"code": 0}, "data"),
        ({"code": 0, "data": None}, "data must be an object or a list, not null"),
        ({"code": 0, "data": "x"}, "data"),
        ({"code": 0, "data": 1}, "data"),
        ({"code": 0, "data": {}}, "data holds no clusters"),
        ({"code": 0, "data": {"count": 1}}, "data holds no clusters"),
        ({"data": {"clusters": {}}}, "clusters must be a list"),
        ({"data": {"clusters": "ab"}}, "clusters must be a list"),
        ({"data": {**LISTING, "count": -1}}, "count"),
        ({"data": {**LISTING, "count": "1"}}, "count"),
        ({"data": {**LISTING, "count": True}}, "count"),
        ({"data": {**LISTING, "count": 1.0}}, "count"),
        ({"data": {**LISTING, "count": []}}, "count"),
        ({"code": "0", "data": LISTING}, "code must be an integer"),
        ({"code": False, "data": LISTING}, "code must be an integer, not false"),
        ({"code": 0.0, "data": LISTING}, "code"),
        ({"code": "80001"}, "code"),
        (b"[]", "the body must be an object, not a list"),
        (b"12", "the body must be an object, not the number 12"),
        (b'"text"', "the body must be an object"),
        (b'"\\ud83d"', "the body must be an object"),
        (b"null", "the body must be an object, not null"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
        (b'{"a": 1e999}', "a number too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a number too large"),
        (b'{"a": "\\ud83d", "b": ' + b"9" * 5000 + b"}", "a number too large"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value)[:40],
)
def test_json_of_the_wrong_shape_can_not_be_used_and_is_not_asked_for_again(
    body: bytes | dict[str, Any], what: str
) -> None:
    error = refusal(body)
    assert type(error) is ResponseError
    assert what in str(error)
    assert not error.retryable


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \r\n",
        b"\xef\xbb\xbf",
        HTML,
        b"\n  <!doctype html>",
        b"upstream timed out",
        json.dumps({"code": 0, "data": LISTING}).encode()[:-2],
        b'{"data": [{"clusterId": "a\xff"}]}',
        b'{"data": [{"clusterId": "\xed\xa0\xbd"}]}',
        b'{"count": NaN}',
        b'{"count": Infinity}',
        b'{"count": -Infinity}',
        b'{"description": "\\ud83d", "count": NaN}',
        b'{"description": "\\ud83d"',
        b'{"a": "\\u12"}',
        b'{"a": 1} {"b": 2}',
    ],
)
@pytest.mark.parametrize("status", [200, 204])
def test_what_is_no_json_at_all_may_be_asked_for_again(body: bytes, status: int) -> None:
    error = refusal(body, status)
    assert type(error) is ResponseError
    assert f"HTTP {status}" in str(error)
    assert error.retryable


def test_html_and_empty_answers_are_called_so() -> None:
    assert "HTML" in str(refusal(HTML))
    assert "Bad Gateway" not in str(refusal(HTML))
    assert "empty" in str(refusal(b""))


def test_a_record_that_can_not_be_decoded_is_named() -> None:
    error = refusal({"data": {"clusters": [RECORD, {**RECORD, "cuSize": "4"}]}})
    assert isinstance(error, DecodeError)
    assert (error.index, error.cluster_id, error.field) == (1, "in01-a", "cuSize")
    assert not error.retryable


@pytest.mark.parametrize("record", [{}, {"clusterId": ""}, {"clusterId": None}, None, []])
def test_a_record_without_an_id_is_a_decode_error(record: Any) -> None:
    assert isinstance(refusal({"data": [record]}), DecodeError)


@pytest.mark.parametrize("status", [200, 204, 302, 304])
def test_a_body_too_large_to_be_read_is_a_response_error(status: int) -> None:
    error = refusal(None, status)
    assert type(error) is ResponseError
    assert "larger than the limit of 1000 bytes" in str(error)
    assert "page_size" in error.advice
    assert "max_response_bytes" in error.advice
    assert not error.retryable


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthenticationError), (404, APIError), (429, RateLimitError), (503, ServerError)],
)
def test_a_refusal_with_a_body_too_large_is_decided_by_its_status(status: int, kind: type[APIError]) -> None:
    assert type(api_refusal(None, status)) is kind


# Redirects.


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://other.example/v2/clusters?token=secret#secret", "to https://other.example/v2/clusters"),
        ("https://user:secret@other.example:8443/x", "to https://other.example:8443/x"),
        ("//user:secret@other.example/x", "to //other.example/x"),
        ("https://user:sec/secret@other.example/x", "to …other.example/x"),
        ("https:\\\\user:secret@other.example", "to …other.example"),
        ("/login?next=secret", "to /login"),
        ("?secret", "that names no target"),
        ("", "that names no target"),
        ("https://[::1", "to https://[::1"),
        ("\x1b[2J\n", "to \\x1b[2J"),
    ],
)
def test_a_redirect_shows_its_target_without_secrets(location: str, shown: str) -> None:
    error = refusal(b"", 302, {"Location": location})
    assert type(error) is ResponseError
    assert "HTTP 302" in str(error)
    assert f"{shown}." in str(error)
    assert "secret" not in repr(error)
    assert "base_url" in error.advice
    assert not error.retryable


@pytest.mark.parametrize("status", [300, 301, 304, 307, 308, 399])
def test_any_3xx_is_a_redirect_also_without_a_target_and_with_a_good_body(status: int) -> None:
    error = refusal({"code": 0, "data": LISTING}, status)
    assert type(error) is ResponseError
    assert "redirect" in str(error)


# Refusals.

CODES = [
    *[(code, AuthenticationError, "key") for code in (401, 1800, 21119, 80001, 80002)],
    *[(code, AuthenticationError, "role") for code in (403, 96012, 96013, 96014, 96015, 96016, 96027)],
    *[(code, APIError, "") for code in (404, 408, 96018, 96036, 40013, 63104, 96017)],
    (96001, APIError, "region"),
    (96008, APIError, "1 to 100"),
    (96009, APIError, "from 1"),
    (429, RateLimitError, "limiter"),
    *[(code, ServerError, "later") for code in (500, 501, 502, 503, 504, 520, 599)],
]
AGAIN = {408, 429, 500, 502, 503, 504}
STATUS_OR_CODE = st.integers(-1, 1000) | st.integers()


@pytest.mark.parametrize(("code", "kind", "advice"), CODES)
def test_a_known_code_decides_whatever_the_status(code: int, kind: type[APIError], advice: str) -> None:
    for status in (200, 302, 400, 401, 403, 404, 429, 500, 503):
        error = api_refusal({"code": code, "message": "No."}, status)
        assert type(error) is kind, status
        assert (error.code, error.message) == (code, "No."), status
        assert advice in error.advice, status
        assert error.retryable is (code in AGAIN), status


def test_a_refused_key_and_a_missing_permission_have_different_advice() -> None:
    key, role = api_refusal({"code": 80001}), api_refusal({"code": 96012})
    assert "Check the key" in key.advice
    assert "China" in key.advice
    assert "Check the key" not in role.advice
    assert "role" in role.advice


STATUSES = [
    (401, AuthenticationError),
    (403, AuthenticationError),
    (400, APIError),
    (404, APIError),
    (408, APIError),
    (422, APIError),
    (429, RateLimitError),
    (499, APIError),
    (500, ServerError),
    (501, ServerError),
    (502, ServerError),
    (503, ServerError),
    (504, ServerError),
    (520, ServerError),
]
MEANINGLESS = [
    b"",
    HTML,
    b"no JSON",
    b"\xff\xfe",
    b"[" * 5000,
    b"[]",
    b"{}",
    b'{"code": 0, "data": []}',
    b'{"code": 200, "data": []}',
    b'{"code": null}',
    b'{"code": 123456}',
    b'{"code": "80001"}',
    b'{"code": true}',
    b'{"code": 80001.0}',
    b'{"code": 99999999999999999999999}',
]


@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_without_a_known_code_the_status_decides(status: int, kind: type[APIError]) -> None:
    for body in MEANINGLESS:
        error = api_refusal(body, status)
        assert type(error) is kind, body
        assert error.retryable is (status in AGAIN), body


# A body without a code, then codes: known ones, those of success, neighbours of both, and what is no code.
SOME_CODES = [
    *sorted({near for code, _, _ in CODES for near in (code - 1, code, code + 1)} | {-429, -1, 0, 1, 200}),
    *(None, True, False, "429", 429.0, 503.0, 2**31, 10**30, [429], {"code": 429}),
]
KNOWN_CODES = {code for code, _, _ in CODES} | {*range(500, 600)}


@pytest.mark.parametrize("hundred", range(100, 600, 100))
def test_nothing_is_retried_that_the_table_does_not_name(hundred: int) -> None:
    for status in range(hundred, hundred + 100):
        _assert_retried_by_the_table(status)


def _assert_retried_by_the_table(status: int) -> None:
    for code in SOME_CODES:
        known = type(code) is int and code in KNOWN_CODES
        decides = code if known else status
        assert refusal({"code": code, "message": "No."}, status).retryable is (decides in AGAIN), (
            status,
            code,
        )
    for body in (b"[]", b"7", b"null", b'{"code": 123456}', b'{"data": 1}', b"[" * 5000 + b"]" * 5000):
        assert refusal(body, status).retryable is (status in AGAIN), (status, body)
    for body in (
        b"",
        HTML,
        b"no JSON",
        b"\xff\xfe",
        b'{"code": 0',
    ):  # may be whole the next time, if it is a page
        assert refusal(body, status).retryable is (status // 100 == 2 or status in AGAIN), (status, body)
    assert refusal(None, status).retryable is (status in AGAIN), status


@pytest.mark.parametrize("status", [200, 302, 400, 500])
def test_a_text_that_speaks_of_a_rate_limit_counts_only_where_neither_code_nor_status_decides(
    status: int,
) -> None:
    said = "Rate limit exceeded"
    assert refusal({"code": 123456, "message": said}, status).retryable is (status in {200, 500})
    assert not refusal({"code": 80001, "message": said}, status).retryable
    assert refusal({"code": "80001", "message": said}, status).retryable is (status == 500)


@given(STATUS_OR_CODE, STATUS_OR_CODE)
def test_whatever_code_and_status_only_the_table_says_what_is_retried(code: int, status: int) -> None:
    decides = code if code in KNOWN_CODES else status
    error = refusal({"code": code}, status)
    assert error.retryable is (decides in AGAIN)
    assert error.retryable <= isinstance(error, APIError)


def test_the_bodys_code_is_kept_where_the_status_decides() -> None:
    assert api_refusal({"code": 123456, "message": "x"}, 400).code == 123456
    assert api_refusal({"code": 0}, 500).code == 0
    assert api_refusal({"code": "80001"}, 500).code is None
    assert api_refusal(HTML, 500).code is None


@pytest.mark.parametrize("code", [1, -1, 400, 123456, 300])
def test_any_other_code_under_200_is_a_refusal(code: int) -> None:
    error = api_refusal({"code": code, "message": "Something else", "data": LISTING})
    assert type(error) is APIError
    assert (error.code, error.message) == (code, "Something else")
    assert not error.retryable


@pytest.mark.parametrize(
    "message", ["Rate limit exceeded", "you hit the RATE LIMIT", "x" * 600 + " rate limit"]
)
def test_an_unknown_code_that_speaks_of_a_rate_limit_is_one(message: str) -> None:
    error = api_refusal({"code": 123456, "message": message}, headers={"Retry-After": "3"})
    assert isinstance(error, RateLimitError)
    assert error.retryable
    assert (error.code, error.retry_after) == (123456, 3.0)


@pytest.mark.parametrize("status", [0, 100, 199, 600, 999, -1])
def test_a_status_that_http_does_not_know_is_a_response_error(status: int) -> None:
    error = refusal({"code": 0, "data": LISTING}, status)
    assert type(error) is ResponseError
    assert str(error).startswith(f"Unexpected HTTP status {status}. ")
    assert not error.retryable


def test_the_services_text_is_cut_and_made_visible() -> None:
    assert api_refusal({"code": 80001, "message": "a\x1b[31m\nb"}).message == "a\\x1b[31m\\nb"
    assert len(api_refusal({"code": 80001, "message": "x" * 10_000}).message) == 500
    assert api_refusal(b'{"code": 80001, "message": "\\ud83d"}').message == "\\ud83d"


@pytest.mark.parametrize("message", [None, 12, ["a"], {"a": 1}, "", "  "])
def test_a_refusal_without_a_text_says_so(message: Any) -> None:
    error = api_refusal({"code": 80001, "message": message})
    assert error.message == ""
    assert str(error).startswith("The service gave no reason (HTTP 200, code 80001).")


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        (HTML, {}, "No message, but an HTML page"),
        (b"Bad Gateway", {"Content-Type": "text/html"}, "No message, but an HTML page"),
        (b"", {"Content-Type": "text/html"}, ""),
        (b"upstream\tgone\n", {"Content-Type": "text/plain"}, "upstream\\tgone"),
        (b"x" * 1000, {}, ""),
        (b"\xff\xfe", {}, ""),
        (b'{"message": "cut', {}, ""),
        (b"{}", {"Content-Type": "text/html"}, ""),
        (b"[1]", {}, ""),
    ],
)
def test_a_refusal_that_is_no_json_quotes_short_plain_text_only(
    body: bytes, headers: dict[str, str], message: str
) -> None:
    assert api_refusal(body, 502, headers).message == message


@pytest.mark.parametrize(
    ("headers", "body", "request_id"),
    [
        ({"requestid": "r-1"}, {"code": 80001, "requestId": "r-2"}, "r-1"),
        ({}, {"code": 80001, "requestId": "r-2"}, "r-2"),
        ({}, {"code": 80001, "requestId": 5}, None),
        ({}, {"code": 80001}, None),
        ({"requestid": ""}, {"code": 80001}, None),
        ({"requestid": "r\x1b"}, {"code": 80001}, "r\\x1b"),
    ],
)
def test_the_request_id_comes_from_the_header_else_from_the_body(
    headers: dict[str, str], body: dict[str, Any], request_id: str | None
) -> None:
    error = api_refusal(body, headers=headers)
    assert error.request_id == request_id
    assert request_id is None or request_id in str(error)


# Retry-After.

AT_NOON = "Mon, 01 Jul 2024 12:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("007", 7.0),
        ("9999999999", MAX_RETRY_AFTER),
        ("9" * 10_000, MAX_RETRY_AFTER),
        ("0" * 10_000 + "5", 5.0),
        ("nan", None),
        ("inf", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1e3", None),
        ("1_0", None),
        ("٣", None),
        ("²", None),
        ("\udcff", None),
        ("soon", None),
        ("Mon, 01 Jul 2024 12:00:30 GMT", 30.0),
        ("Monday, 01-Jul-24 12:00:30 GMT", 30.0),
        ("Mon Jul  1 12:00:30 2024", 30.0),
        ("Mon, 01 Jul 2024 12:00:30 -0000", 30.0),
        ("Mon, 01 Jul 2024 12:00:30", 30.0),
        ("Mon, 01 Jul 2024 14:00:30 +0200", 30.0),
        ("Mon, 01 Jul 2024 11:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER),
        ("Mon, 01 Jul 99999 12:00:30 GMT", None),
        ("Mon, 01 Jul 2024 12:00:30 +9999", None),
        ("Mon, 99 Jul 2024 12:00:30 GMT", None),
        ("Mon, 01 Jul 2024 12:00:30 GMT" + " " * 300 + "x", None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_retry_after_is_seconds_or_a_date_or_nothing(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, None, NOW) == seconds


def test_a_retry_after_date_is_counted_from_the_answers_own_date() -> None:
    wrong_clock = NOW + timedelta(days=3)
    assert parse_retry_after("Mon, 01 Jul 2024 12:00:30 GMT", AT_NOON, wrong_clock) == 30.0
    assert parse_retry_after("Mon, 01 Jul 2024 12:00:30 GMT", "noon", NOW) == 30.0
    assert parse_retry_after("5", AT_NOON, wrong_clock) == 5.0


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimitError), (503, ServerError), (404, APIError)])
def test_every_refusal_carries_its_retry_after(status: int, kind: type[APIError]) -> None:
    error = api_refusal(b"", status, {"Retry-After": "Mon, 01 Jul 2024 12:00:30 GMT", "Date": AT_NOON})
    assert type(error) is kind
    assert error.retry_after == 30.0


@given(st.text(max_size=60) | st.text("0123456789 :,-+MonJulGT", max_size=40))
def test_no_header_text_breaks_retry_after(value: str) -> None:
    for seconds in (parse_retry_after(value, AT_NOON, NOW), parse_retry_after(AT_NOON, value, NOW)):
        assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER


# Whatever comes.

STATUS = st.sampled_from([200, 204, 302, 400, 401, 404, 429, 500, 503]) | st.integers(-1, 1000)
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "Date", "Location", "requestid", "Content-Type"]),
    st.text(st.characters(exclude_categories=()), max_size=30),
)
ENVELOPE_LIKE = st.dictionaries(
    st.sampled_from(["code", "message", "data", "requestId"]),
    own.json_values | st.dictionaries(st.sampled_from(["count", "clusters", "pageSize"]), own.json_values),
).map(lambda envelope: json.dumps(envelope).encode())


@given(
    STATUS,
    HEADERS,
    st.none() | st.binary(max_size=60) | own.bodies() | own.broken_bodies() | ENVELOPE_LIKE,
)
def test_whatever_comes_is_a_page_or_one_of_our_errors(
    status: int, headers: dict[str, str], body: bytes | None
) -> None:
    outcome: ClusterPage | ZillizError
    try:
        outcome = read(body, status, headers)
    except ZillizError as error:
        outcome = error
    assert str(outcome).encode()
    assert repr(outcome).encode()
    assert repr(pickle.loads(pickle.dumps(outcome))) == repr(outcome)
    if isinstance(outcome, ClusterPage):
        assert 200 <= status < 300
    else:
        assert outcome.__context__ is None
    if isinstance(outcome, APIError):
        assert outcome.retry_after is None or 0 <= outcome.retry_after <= MAX_RETRY_AFTER


@pytest.mark.parametrize("depth", [10, 99, 101, 500, 1000, 1020, 1023, 1024, 2000, 100_000])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("text", ["a", "\\ud83d"])
def test_no_depth_of_nesting_breaks_anything(depth: int, opening: str, text: str) -> None:
    closing = "]" if opening == "[" else "}"
    odd = opening * depth + "1" + closing * depth
    body = f'{{"data": [{{"clusterId": "{text}", "odd": {odd}}}]}}'.encode()
    if depth < 100:
        assert read(body).clusters[0].extra
        return
    error = refusal(body)
    assert isinstance(error, ResponseError)
    assert not error.retryable


def test_an_answer_is_decoded_once_and_by_the_fast_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("the slow reader is for what the fast one refuses")

    monkeypatch.setattr(json, "loads", never)
    calls: list[str] = []

    def profile(frame: Any, event: str, _: object) -> None:
        if event == "call":
            calls.append(frame.f_code.co_name)

    body = json.dumps({"code": 0, "data": {"count": 3, "clusters": [RECORD] * 3}}).encode()
    previous = sys.getprofile()
    sys.setprofile(profile)
    try:
        page = read(body)
    finally:
        sys.setprofile(previous)
    assert len(page.clusters) == 3
    assert calls.count("integer") == 3


# What stands between


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (407, APIError, "user name and password: put them into its URL, percent-encoded"),
        (421, APIError, "does not serve this host"),
        (426, APIError, "another protocol than HTTP/1.1"),
        (431, APIError, "The headers of the request are too large"),
        (511, ServerError, "captive portal"),
    ],
)
@pytest.mark.parametrize("body", [b"", HTML, b"no JSON", b'{"message": "no"}'])
def test_what_proxies_and_networks_answer_has_advice_of_its_own(
    status: int, kind: type[APIError], advice: str, body: bytes
) -> None:
    error = refusal(body, status)
    assert type(error) is kind
    assert advice in error.advice
    assert not error.retryable
    # The service's own code says it better; and these are none of its codes.
    assert isinstance(refusal({"code": 80001}, status), AuthenticationError)
    assert advice not in refusal({"code": status}, 400).advice


@pytest.mark.parametrize("encoding", ["compress", "gzip, br", "aws-chunked", "\x1b[31m" + "x" * 1000])
def test_an_encoding_that_was_not_asked_for_is_named(encoding: str) -> None:
    error = refusal(b"\x1f\x9d\x90", 200, {"Content-Encoding": encoding})
    assert type(error) is ResponseError
    assert "has an encoding that was not asked for" in str(error)
    assert "Something in between encodes responses anew" in error.advice
    assert error.retryable
    assert str(error).isprintable()
    assert len(str(error)) < 600


@pytest.mark.parametrize("encoding", ["", "identity", "gzip", " Deflate "])
def test_an_encoding_that_was_asked_for_is_not_blamed(encoding: str) -> None:
    error = refusal(b"<html>", 200, {"Content-Encoding": encoding})
    assert "encoding" not in str(error)
    read_answer(
        200,
        {"Content-Encoding": "compress"},  # it says so, and is JSON all the same
        b'{"code":0,"data":[]}',
        page=1,
        page_size=1,
        now=NOW,
        max_bytes=100,
    )
