from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from aiozilliz.testing import FakeZillizCloud, Fault
from aiozilliz.testing.cloud import LOGGED

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine

    from aiozilliz.testing import RecordedRequest

    Fetch = Callable[..., Coroutine[Any, Any, tuple[int, bytes]]]


@asynccontextmanager
async def fetcher() -> AsyncGenerator[Fetch]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers={"Authorization": "Bearer k"}) as session:

        async def get(cloud: FakeZillizCloud, path: str = "/v2/clusters", **params: Any) -> tuple[int, bytes]:
            async with session.get(cloud.url + path, params=params) as response:
                return response.status, await response.read()

        yield get


@pytest.fixture
async def fetch() -> AsyncIterator[Fetch]:
    async with fetcher() as get:
        yield get


@pytest.fixture
async def fetch_elsewhere() -> AsyncIterator[Fetch]:
    """Fetches over connections of its own."""
    async with fetcher() as get:
        yield get


async def listed(fetch: Fetch, cloud: FakeZillizCloud, **params: Any) -> list[str]:
    status, body = await fetch(cloud, **params)
    assert status == 200
    return [record["clusterId"] for record in json.loads(body)["data"]["clusters"]]


def ids(cloud: FakeZillizCloud) -> list[str]:
    return [record["clusterId"] for record in cloud.clusters]


async def test_its_pages_are_its_clusters(fetch: Fetch) -> None:
    async with FakeZillizCloud(clusters=25, api_key="k") as cloud:
        pages = [await fetch(cloud, currentPage=page, pageSize=10) for page in (1, 2, 3, 4)]
        data = [json.loads(body)["data"] for _, body in pages]
        assert [record for page in data for record in page["clusters"]] == list(cloud.clusters)
        assert [len(page["clusters"]) for page in data] == [10, 10, 5, 0]
        assert {page["count"] for page in data} == {25}
        assert [page["currentPage"] for page in data] == [1, 2, 3, 4]


async def test_an_answer_is_json_of_known_length(fetch: Fetch) -> None:
    headers = {"Authorization": "Bearer x"}
    async with FakeZillizCloud(3) as cloud, aiohttp.ClientSession(headers=headers) as session:
        response = await session.get(f"{cloud.url}/v2/clusters")
        assert response.content_type == "application/json"
        assert response.content_length == len(await response.read())
        assert "Date" in response.headers


async def test_a_wrong_key_is_refused(fetch: Fetch) -> None:
    async with FakeZillizCloud(api_key="other") as cloud:
        status, body = await fetch(cloud)
        assert (status, json.loads(body)["code"]) == (401, 21119)
        assert cloud.requests[0].status == 401
        assert cloud.requests[0].page is None


async def test_options_reach_the_answers(fetch: Fetch) -> None:
    async with FakeZillizCloud(9, max_page_size=4, echo_page_size="asked") as cloud:
        data = json.loads((await fetch(cloud, pageSize=100))[1])["data"]
        assert (data["pageSize"], len(data["clusters"])) == (100, 4)
    async with FakeZillizCloud(9, shape="array") as cloud:
        assert json.loads((await fetch(cloud))[1]) == {"code": 0, "data": list(cloud.clusters)}
    async with FakeZillizCloud(3, rate_limit=1, retry_after=2) as cloud:
        statuses = [(await fetch(cloud))[0] for _ in range(2)]
        # A machine may take a second between the two.
        moments = [request.monotonic for request in cloud.requests]
        assert statuses == [200, 429] or moments[1] - moments[0] >= 1


async def test_latency_holds_answers_back_side_by_side(fetch: Fetch) -> None:
    loop = asyncio.get_running_loop()
    async with FakeZillizCloud(1, latency=0.2) as cloud:
        started = loop.time()
        await asyncio.gather(*(fetch(cloud) for _ in range(20)))
        assert loop.time() - started >= 0.2
        # All had arrived before the first was answered, or they would have waited for each other.
        arrived = [request.monotonic for request in cloud.requests]
        assert len(arrived) == 20
        assert loop.time() - started < 20 * 0.2


async def test_a_region_filters(fetch: Fetch) -> None:
    async with FakeZillizCloud(50) as cloud:
        expected = [record["clusterId"] for record in cloud.clusters if record["regionId"] == "az-eastus"]
        assert await listed(fetch, cloud, region="az-eastus", pageSize=100) == expected
        assert 0 < len(expected) < 50
        status, body = await fetch(cloud, region="nowhere")
        assert (status, json.loads(body)["code"]) == (200, 96001)


async def test_a_region_is_known_by_documentation_or_by_a_record_and_stays_known(fetch: Fetch) -> None:
    async with FakeZillizCloud([{"clusterId": "a", "regionId": "moon-1"}, {"clusterId": "b"}]) as cloud:
        assert await listed(fetch, cloud, region="moon-1") == ["a"]
        assert await listed(fetch, cloud, region="aws-us-east-1") == []
        cloud.update("b", regionId="moon-2")
        added = cloud.add(region_id="moon-3")
        assert await listed(fetch, cloud, region="moon-2") == ["b"]
        assert await listed(fetch, cloud, region="moon-3") == [added]
        cloud.remove("a")
        assert await listed(fetch, cloud, region="moon-1") == []
        for unknown in ("", "moon-4", "AWS-US-EAST-1"):
            assert json.loads((await fetch(cloud, region=unknown))[1])["code"] == 96001


async def test_a_shuffled_list_is_cut_in_another_order_each_time_but_the_same_for_a_seed(
    fetch: Fetch,
) -> None:
    runs: list[list[list[str]]] = []
    for _ in range(2):
        async with FakeZillizCloud(50, order="shuffled", seed=4) as cloud:
            runs.append([await listed(fetch, cloud, pageSize=100) for _ in range(3)])
            assert sorted(runs[-1][0]) == sorted(ids(cloud))
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[0][1] != runs[0][2]


async def test_records_are_served_as_given_broken_ones_too(fetch: Fetch) -> None:
    records: list[dict[str, Any]] = [{"clusterId": "a", "cuSize": "two"}, {"clusterName": "no id"}, {}]
    async with FakeZillizCloud(records) as cloud:
        records[0]["cuSize"] = 1
        assert json.loads((await fetch(cloud))[1])["data"]["clusters"] == [
            {"clusterId": "a", "cuSize": "two"},
            {"clusterName": "no id"},
            {},
        ]


async def test_a_changed_list_is_served_at_once(fetch: Fetch) -> None:
    async with FakeZillizCloud(3) as cloud:
        first, second, third = ids(cloud)
        added = cloud.add(cluster_name="new", cuSize=None, future="x")
        cloud.update(second, status="STOPPED", cu_size=9)
        cloud.remove(first)
        clusters = json.loads((await fetch(cloud))[1])["data"]["clusters"]
        assert [record["clusterId"] for record in clusters] == [second, third, added]
        assert (clusters[0]["status"], clusters[0]["cuSize"]) == ("STOPPED", 9)
        assert (clusters[2]["clusterName"], clusters[2]["cuSize"], clusters[2]["future"]) == (
            "new",
            None,
            "x",
        )
        assert clusters[2]["regionId"]


def test_a_new_cluster_may_have_a_position_and_an_id() -> None:
    cloud = FakeZillizCloud(2)
    assert cloud.add(index=0, clusterId="in01-x") == "in01-x"
    assert ids(cloud)[0] == "in01-x"
    with pytest.raises(ValueError, match="already"):
        cloud.add(cluster_id="in01-x")
    for change in (cloud.remove, cloud.update):
        with pytest.raises(KeyError, match="no cluster 'gone'"):
            change("gone")


def test_made_up_clusters_do_not_take_ids_that_are_there() -> None:
    cloud = FakeZillizCloud(FakeZillizCloud(5).clusters)
    assert cloud.add() not in ids(FakeZillizCloud(5))
    assert len(cloud.clusters) == 6


def test_clusters_are_the_same_for_the_same_seed_and_a_longer_list_begins_like_a_shorter() -> None:
    assert FakeZillizCloud(5, seed=1).clusters == FakeZillizCloud(9, seed=1).clusters[:5]
    assert FakeZillizCloud(5, seed=1).clusters != FakeZillizCloud(5, seed=2).clusters
    assert len(FakeZillizCloud().clusters) == 250


async def test_the_log_tells_what_arrived(fetch: Fetch) -> None:
    async with FakeZillizCloud(3) as cloud:
        before = datetime.now(UTC)
        await fetch(cloud, pageSize=2, region="az-eastus")
        await fetch(cloud, "/elsewhere")
        first, second = cloud.requests
        assert (first.method, first.path, first.query) == (
            "GET",
            "/v2/clusters",
            {"pageSize": "2", "region": "az-eastus"},
        )
        assert first.headers["AUTHORIZATION"] == "Bearer k"
        assert (first.api_key, first.page, first.page_size, first.status) == ("k", 1, 2, 200)
        assert timedelta(0) <= first.when - before < timedelta(minutes=5)
        assert first.when.tzinfo is UTC
        assert first.monotonic <= second.monotonic
        assert (second.path, second.page, second.status) == ("/elsewhere", None, 404)
        assert first.connection == second.connection == 1
        assert "Bearer" not in repr(first)


async def test_the_log_holds_the_latest_requests_and_forgets_the_oldest(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LOGGED == 10_000
    monkeypatch.setattr("aiozilliz.testing.cloud.LOGGED", 3)
    async with FakeZillizCloud(3) as cloud:
        for page in range(1, 8):
            await fetch(cloud, currentPage=page)
            assert [entry.page for entry in cloud.requests] == list(range(max(1, page - 2), page + 1))
        assert {entry.status for entry in cloud.requests} == {200}


async def test_a_request_that_the_log_has_forgotten_is_served_all_the_same(
    fetch: Fetch, fetch_elsewhere: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiozilliz.testing.cloud.LOGGED", 1)
    seen: list[RecordedRequest] = []
    async with FakeZillizCloud(3) as cloud:
        cloud.latency = 3600
        waiting = asyncio.create_task(fetch(cloud))
        while not cloud.requests:  # noqa: ASYNC110 - an arrival has no event
            await asyncio.sleep(0)
        cloud.latency = 0
        cloud.between_pages(seen.append)
        await fetch_elsewhere(cloud, currentPage=2)
        assert [entry.page for entry in cloud.requests] == [2]
        assert [entry.page for entry in seen] == [2]
        waiting.cancel()


async def test_connections_are_numbered() -> None:
    async with FakeZillizCloud(3) as cloud:
        for _ in range(2):
            async with aiohttp.ClientSession() as session, session.get(cloud.url):
                pass
        assert [request.connection for request in cloud.requests] == [1, 2]


async def test_a_callback_runs_before_the_next_answer(fetch: Fetch, fetch_elsewhere: Fetch) -> None:
    async with FakeZillizCloud(9) as cloud:
        entered = asyncio.Event()
        go_on = asyncio.Event()

        @cloud.between_pages
        async def remove_first() -> None:
            entered.set()
            await go_on.wait()
            cloud.remove(ids(cloud)[0])

        first, _, third, fourth = ids(cloud)[:4]
        assert (await listed(fetch, cloud, pageSize=2))[0] == first
        await entered.wait()
        second_page = asyncio.create_task(listed(fetch_elsewhere, cloud, pageSize=2, currentPage=2))
        while len(cloud.requests) < 2:  # noqa: ASYNC110 - an arrival has no event
            await asyncio.sleep(0)
        assert not second_page.done()
        go_on.set()
        page = await second_page
        assert page[0] == fourth
        assert third not in page


async def test_a_callback_that_needs_the_request_gets_it(fetch: Fetch) -> None:
    seen: list[RecordedRequest] = []
    calls: list[str] = []

    def with_default(text: str = "own") -> None:
        calls.append(text)

    async with FakeZillizCloud(3) as cloud:
        cloud.between_pages(seen.append)
        assert cloud.between_pages(with_default) is with_default
        await fetch(cloud, currentPage=2)
        assert [request.page for request in seen] == [2]
        assert seen[0].status == 200
        assert calls == ["own"]


async def test_refusals_and_spoilt_answers_are_no_pages(fetch: Fetch) -> None:
    seen: list[RecordedRequest] = []
    async with FakeZillizCloud(3) as cloud:
        cloud.between_pages(seen.append)
        await fetch(cloud, "/elsewhere")
        await fetch(cloud, pageSize=0)
        for fault in (Fault.status(503), Fault.malformed(), Fault.html()):
            cloud.fail_next(fault)
            await fetch(cloud)
        assert seen == []
        for fault in (Fault.delay(0), Fault.repeat_page()):
            cloud.fail_next(fault)
            await fetch(cloud)
        assert len(seen) == 2


async def test_a_function_that_does_not_tell_its_arguments_gets_none(fetch: Fetch) -> None:
    async with FakeZillizCloud(3) as cloud:
        assert cloud.between_pages(dict) is dict
        assert (await fetch(cloud))[0] == 200


def test_a_callback_with_two_arguments_is_refused() -> None:
    def greedy(one: object, two: object) -> None: ...

    with pytest.raises(TypeError, match="takes the request, or nothing"):
        FakeZillizCloud(1).between_pages(greedy)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"clusters": -1}, ValueError, "clusters must be at least 0"),
        ({"clusters": True}, TypeError, "clusters must be an int"),
        ({"clusters": ["x"]}, TypeError, "mapping or have to_dict"),
        ({"clusters": [{"clusterId": "a"}] * 2}, ValueError, "Two records"),
        ({"api_key": ""}, ValueError, "api_key must not be empty"),
        ({"api_key": b"k"}, TypeError, "api_key must be a str or None, not bytes"),
        ({"max_page_size": 0}, ValueError, "max_page_size must be between 1 and 100"),
        ({"max_page_size": 101}, ValueError, "max_page_size must be between 1 and 100"),
        ({"max_page_size": 5.0}, TypeError, "max_page_size must be an int"),
        ({"rate_limit": 0}, ValueError, "rate_limit must be at least 1"),
        ({"latency": -0.1}, ValueError, "latency must be finite"),
        ({"latency": float("nan")}, ValueError, "latency must be finite"),
        ({"shape": "list"}, ValueError, r"'shape' must be in \('object', 'array'\) \(got 'list'\)"),
        ({"echo_page_size": "none"}, ValueError, r"'echo_page_size' must be in \('used', 'asked'\)"),
        ({"order": "random"}, ValueError, r"'order' must be in \('stable', 'shuffled'\)"),
        ({"port": 70000}, ValueError, "port must be between 0 and 65535"),
    ],
)
def test_arguments_are_checked_before_anything_runs(options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        FakeZillizCloud(**options)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((503,), TypeError, "must be a Fault"),
        ((Fault.reset(), 0), ValueError, "times must be at least 1"),
        ((Fault.reset(), 1.5), TypeError, "times must be an int"),
        ((Fault.reset(), True), TypeError, "times must be an int, not bool"),
    ],
)
def test_scripted_faults_are_checked(arguments: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        FakeZillizCloud(1).fail_next(*arguments)
