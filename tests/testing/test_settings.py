"""What can be set while a fake runs, and what can't."""

from __future__ import annotations

import asyncio
import http.client
import json
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from aiozilliz import AuthenticationError, ZillizClient
from aiozilliz.testing import FakeZillizCloud, Fault

SETTABLE = "api_key, latency, max_page_size, rate_limit"


def ask(cloud: FakeZillizCloud, key: str = "k", query: str = "?pageSize=100") -> tuple[int, Any]:
    with closing(http.client.HTTPConnection(urlsplit(cloud.url).netloc, timeout=60)) as connection:
        connection.request("GET", f"/v2/clusters{query}", headers={"Authorization": f"Bearer {key}"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def test_arguments_can_be_read_again() -> None:
    cloud = FakeZillizCloud(1, api_key="k", latency=0.5, rate_limit=7, max_page_size=9)
    assert (cloud.api_key, cloud.latency, cloud.rate_limit, cloud.max_page_size) == ("k", 0.5, 7, 9)


def test_a_key_can_be_rotated() -> None:
    with FakeZillizCloud(1) as cloud:
        assert ask(cloud, "old")[0] == 200
        cloud.api_key = "new"
        assert [ask(cloud, key)[0] for key in ("old", "new")] == [401, 200]
        cloud.api_key = None
        assert ask(cloud, "old")[0] == 200


async def test_a_client_notices_a_rotated_key_in_the_same_loop() -> None:
    async with FakeZillizCloud(3, api_key="k") as cloud, ZillizClient("k", base_url=cloud.url) as client:
        assert len((await client.list_clusters()).clusters) == 3
        cloud.api_key = "other"
        with pytest.raises(AuthenticationError):
            await client.list_clusters()


def test_a_cap_counts_from_the_next_request_on() -> None:
    with FakeZillizCloud(30) as cloud:
        cloud.max_page_size = 7
        _, body = ask(cloud)
        assert (len(body["data"]["clusters"]), body["data"]["pageSize"]) == (7, 7)
        cloud.max_page_size = 100
        assert len(ask(cloud)[1]["data"]["clusters"]) == 30


def test_a_rate_limit_counts_what_arrived_before_it_was_set() -> None:
    with FakeZillizCloud(1) as cloud:
        assert ask(cloud)[0] == 200
        cloud.rate_limit = 1
        status = ask(cloud)[0]
        # A machine may take a second between the two.
        first, second = cloud.requests
        assert status == 429 or second.monotonic - first.monotonic >= 1
        cloud.rate_limit = None
        assert ask(cloud)[0] == 200


async def test_latency_holds_back_what_arrives_while_it_is_set() -> None:
    async with FakeZillizCloud(1) as cloud:
        cloud.latency = 3600
        slow = asyncio.create_task(asyncio.to_thread(ask, cloud))
        while not cloud.requests:  # noqa: ASYNC110 - an arrival has no event
            await asyncio.sleep(0.001)
        cloud.latency = 0
        assert (await asyncio.to_thread(ask, cloud))[0] == 200
        assert not slow.done()
    with pytest.raises((OSError, http.client.HTTPException)):
        await slow


@pytest.mark.parametrize(
    ("name", "value", "error", "text"),
    [
        ("api_key", "", ValueError, "api_key must not be empty"),
        ("api_key", 7, TypeError, "api_key must be a str or None, not int"),
        ("latency", -1, ValueError, "latency must be finite and not negative, not -1"),
        ("latency", float("inf"), ValueError, "latency must be finite"),
        ("latency", "1", TypeError, "not supported"),
        ("rate_limit", 0, ValueError, "rate_limit must be at least 1, not 0"),
        ("rate_limit", True, TypeError, "rate_limit must be an int, not bool"),
        ("max_page_size", 101, ValueError, "max_page_size must be between 1 and 100, not 101"),
        ("max_page_size", None, TypeError, "max_page_size must be an int, not NoneType"),
    ],
)
def test_a_wrong_value_is_refused_and_changes_nothing(
    name: str, value: Any, error: type[Exception], text: str
) -> None:
    with FakeZillizCloud(1, api_key="k", rate_limit=1000) as cloud:
        before = getattr(cloud, name)
        with pytest.raises(error, match=text):
            setattr(cloud, name, value)
        assert getattr(cloud, name) == before
        assert ask(cloud)[0] == 200


@pytest.mark.parametrize(
    "name", ["latancy", "url", "requests", "clusters", "seed", "shape", "port", "add", "_latency", "api_keys"]
)
def test_no_other_attribute_can_be_set(name: str) -> None:
    for cloud in (FakeZillizCloud(1), FakeZillizCloud(1)):
        with pytest.raises(AttributeError, match=f"^'{name}' can't be set, but these can: {SETTABLE}.$"):
            setattr(cloud, name, 1)
    with FakeZillizCloud(1) as running:
        with pytest.raises(AttributeError, match="these can"):
            setattr(running, name, 1)
        assert ask(running)[0] == 200


def test_a_type_checker_knows_what_can_be_set() -> None:
    cloud = FakeZillizCloud(1)
    with pytest.raises(AttributeError):
        cloud.latancy = 1  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue] - a typo


def test_a_setting_can_be_patched_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeZillizCloud(3) as cloud:
        with monkeypatch.context() as patched:
            patched.setattr(cloud, "max_page_size", 1)
            assert len(ask(cloud)[1]["data"]["clusters"]) == 1
        assert len(ask(cloud)[1]["data"]["clusters"]) == 3


def test_a_fault_may_wait_for_a_page() -> None:
    with FakeZillizCloud(9) as cloud:
        cloud.fail_next(Fault.status(503), 2, page=2)
        cloud.fail_next(Fault.status(500))
        asked = [ask(cloud, query=f"?currentPage={page}")[0] for page in (1, 1, 2, 3, 2, 2)]
        assert asked == [500, 200, 503, 200, 503, 200]


def test_a_fault_for_a_page_that_never_comes_is_told() -> None:
    def use() -> None:
        with FakeZillizCloud(9) as cloud:
            cloud.fail_next(Fault.status(503), page=7)
            cloud.fail_next(Fault.reset(), 3, page=8)
            ask(cloud)

    told = r"not used: Fault.status\(503\) for page 7, Fault.reset\(\) for page 8 \(3 times\)\."
    with pytest.raises(AssertionError, match=told):
        use()


@pytest.mark.parametrize(("page", "error"), [(0, ValueError), ("2", TypeError), (True, TypeError)])
def test_a_fault_waits_for_a_page_number_only(page: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="page must be"):
        FakeZillizCloud(1).fail_next(Fault.reset(), page=page)
