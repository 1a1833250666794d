from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from aiozilliz.testing.listing import Listing
from aiozilliz.testing.server import Answer, parse_head
from aiozilliz.testing.service import Asked, Service, bearer

LISTING = Listing({"clusterId": f"in01-{i}"} for i in range(25))


def head(target: str, *, key: str | None = "Bearer k", method: str = "GET") -> bytes:
    authorization = "" if key is None else f"authorization: {key}\r\n"
    return f"{method} {target} HTTP/1.1\r\nHost: x\r\n{authorization}\r\n".encode()


def ask(service: Service, query: str = "", **how: Any) -> tuple[int, Any]:
    asked = service.examine(parse_head(head(f"/v2/clusters{query}", **how)), now=0.0)
    answer = asked if isinstance(asked, Answer) else service.answer(asked, cut(service, asked))
    return answer.status, json.loads(answer.body)


def cut(service: Service, asked: Asked) -> Any:
    return LISTING.cut(asked.page, service.used_size(asked), region=asked.region)


def test_a_request_without_parameters_gets_the_first_ten() -> None:
    status, body = ask(Service())
    assert status == 200
    assert body["code"] == 0
    data = body["data"]
    assert {name: data[name] for name in ("count", "currentPage", "pageSize")} == {
        "count": 25,
        "currentPage": 1,
        "pageSize": 10,
    }
    assert [record["clusterId"] for record in data["clusters"]] == [f"in01-{i}" for i in range(10)]


def test_the_array_shape_is_the_clusters_alone() -> None:
    status, body = ask(Service(shape="array"), "?pageSize=20&currentPage=2")
    assert (status, body) == (200, {"code": 0, "data": [{"clusterId": f"in01-{i}"} for i in range(20, 25)]})


@pytest.mark.parametrize(("echo", "told"), [("used", 7), ("asked", 20)])
def test_a_cap_cuts_to_size_and_the_echo_is_chosen(echo: Any, told: int) -> None:
    _, body = ask(Service(max_page_size=7, echo_page_size=echo), "?pageSize=20&currentPage=3")
    assert body["data"]["pageSize"] == told
    assert [record["clusterId"] for record in body["data"]["clusters"]] == [
        f"in01-{i}" for i in range(14, 21)
    ]


def test_a_cap_does_not_widen_the_documented_range() -> None:
    assert ask(Service(max_page_size=7), "?pageSize=101")[1]["code"] == 96008


@pytest.mark.parametrize("size", ["0", "-1", "101", "1000", "", "ten", "1.5", "+5", " 5", "٣", "9" * 5000])
def test_a_page_size_out_of_range_is_code_96008_under_200(size: str) -> None:
    status, body = ask(Service(), f"?pageSize={quote(size)}")
    assert status == 200
    assert body == {"code": 96008, "message": "The parameter value for pageSize should be between 1 and 100."}


@pytest.mark.parametrize("page", ["0", "-1", "2147483648", "", "one"])
def test_a_page_number_out_of_range_is_code_96009_under_200(page: str) -> None:
    status, body = ask(Service(), f"?currentPage={page}")
    message = "The parameter currentPage should have a value between 1 and the maximum value of Int."
    assert (status, body) == (200, {"code": 96009, "message": message})


@pytest.mark.parametrize("region", ["", "nowhere", "aws-us-west-2,az-eastus", "none", "None"])
def test_an_unknown_region_is_code_96001_under_200(region: str) -> None:
    status, body = ask(Service(), f"?region={region}")
    message = "Invalid RegionId. Please use the ListCloudRegions API to obtain a list of supported regionIds."
    assert (status, body) == (200, {"code": 96001, "message": message})


@pytest.mark.parametrize("query", ["?pageSize=1", "?pageSize=100", "?currentPage=2147483647", "?projectId=x"])
def test_the_ends_of_the_ranges_and_unknown_parameters_are_taken(query: str) -> None:
    assert ask(Service(), query)[1]["code"] == 0


def test_a_page_beyond_the_end_is_empty_and_still_counts() -> None:
    assert ask(Service(), "?currentPage=9")[1]["data"] == {
        "count": 25,
        "currentPage": 9,
        "pageSize": 10,
        "clusters": [],
    }


@pytest.mark.parametrize(
    "key", [None, "", "Bearer", "Bearer ", "Basic k", "k", "bearer", "Bearer k k", "Bearer  k"]
)
def test_a_missing_or_malformed_key_is_refused_even_where_any_is_taken(key: str | None) -> None:
    status, body = ask(Service(), key=key)
    assert (status, body) == (401, {"code": 21119, "message": "The apikey is illegal."})


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_of_the_key_has_no_case(scheme: str) -> None:
    assert ask(Service(api_key="k"), key=f"{scheme} k")[0] == 200
    assert bearer(parse_head(head("/", key=f"{scheme} Abc"))) == "Abc"


def test_only_the_given_key_is_taken() -> None:
    service = Service(api_key="k")
    assert ask(service, key="Bearer k")[0] == 200
    assert ask(service, key="Bearer K")[0] == 401


@pytest.mark.parametrize(
    "path", ["/", "/v2/clusters/", "/v2/cluster", "/v1/clusters", "//v2/clusters", "/x/v2/clusters"]
)
def test_other_paths_are_404_in_json(path: str) -> None:
    answer = Service().examine(parse_head(head(path)), 0.0)
    assert isinstance(answer, Answer)
    assert answer.status == 404
    assert json.loads(answer.body)["code"] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "get"])
def test_other_methods_are_405_in_json(method: str) -> None:
    answer = Service().examine(parse_head(head("/v2/clusters", method=method)), 0.0)
    assert isinstance(answer, Answer)
    assert answer.status == 405
    assert ("Allow", "GET") in answer.headers
    assert json.loads(answer.body)["code"] == 405


def test_the_key_is_what_stands_after_bearer() -> None:
    assert bearer(parse_head(head("/", key="Bearer abc"))) == "abc"
    assert bearer(parse_head(head("/", key=None))) is None


@given(limit=st.integers(1, 5), gaps=st.lists(st.integers(0, 6), max_size=60))
def test_no_second_admits_more_than_the_limit_and_none_is_refused_without_need(
    limit: int, gaps: list[int]
) -> None:
    service = Service(rate_limit=limit)
    request = parse_head(head("/v2/clusters"))
    admitted: list[float] = []
    now = 0.0
    for gap in gaps:
        now += gap / 8  # eighths are exact
        recent = [arrival for arrival in admitted if arrival > now - 1]
        assert isinstance(service.examine(request, now), Asked) is (len(recent) < limit)
        if len(recent) < limit:
            admitted.append(now)


def test_beyond_the_rate_is_a_429_and_a_second_later_is_none() -> None:
    service = Service(rate_limit=2)
    request = parse_head(head("/v2/clusters"))
    outcomes = [service.examine(request, now) for now in (10.0, 10.5, 10.9, 11.0, 11.1)]
    statuses = [outcome.status if isinstance(outcome, Answer) else 200 for outcome in outcomes]
    assert statuses == [200, 200, 429, 200, 429]
    refusal = outcomes[2]
    assert isinstance(refusal, Answer)
    assert json.loads(refusal.body)["code"] == 429
    assert "Retry-After" not in dict(refusal.headers)


def test_each_key_has_its_own_rate_and_retry_after_is_told_when_wanted() -> None:
    service = Service(rate_limit=1, retry_after=3)
    ours, theirs = (parse_head(head("/v2/clusters", key=f"Bearer {key}")) for key in "ab")
    assert isinstance(service.examine(ours, 0.0), Asked)
    assert isinstance(service.examine(theirs, 0.0), Asked)
    refusal = service.examine(ours, 0.1)
    assert isinstance(refusal, Answer)
    assert dict(refusal.headers)["Retry-After"] == "3"


def test_other_paths_do_not_count_for_the_rate() -> None:
    service = Service(rate_limit=1)
    service.examine(parse_head(head("/elsewhere")), 0.0)
    assert isinstance(service.examine(parse_head(head("/v2/clusters")), 0.0), Asked)
