"""The listing of one region: the parameter goes with every page, and nothing of another region passes for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

import pytest
from attrs import define
from hypothesis import given, settings, strategies as st

from aiozilliz import (
    Account,
    APIError,
    Cluster,
    ClusterEvent,
    Inventory,
    InventoryError,
    InventoryReport,
    ResponseError,
    Snapshot,
    ZillizClient,
    ZillizError,
)
from aiozilliz._http.wire import page_url, read_answer
from aiozilliz._settings.checks import ListQuery, is_elsewhere
from aiozilliz.testing import FakeZillizCloud
from tests.support.listing_server import QUICK, names, quick_client, read_into
from tests.support.wire_server import Exchange, WireServer, response

WEST = "aws-us-west-2"
EAST = "az-eastus"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAGE_SIZE = 2
SOON = 0.001
"""An interval, in seconds, that no test has to wait for."""

UNKNOWN_REGION = {"code": 96001, "message": "The region id is unknown."}


@define
class Cloud:
    """Clusters in regions, and a service that lists them.

    Attributes:
        regions: Cluster id to region id; None is a record without one.
        knows_parameter: Whether it lists only what is in the region asked for.
        shape: Whether its answers are the object or the bare array.
        refusing_from: The page from which it does not know the region any more.
        status: The HTTP status of such a refusal.
    """

    regions: dict[str, str | None]
    knows_parameter: bool = True
    shape: str = "object"
    refusing_from: int | None = None
    status: int = 200

    async def __call__(self, exchange: Exchange) -> None:
        query = {
            name: values[0] for name, values in parse_qs(urlsplit(exchange.request.target).query).items()
        }
        region = query.get("region") if self.knows_parameter else None
        page, size = int(query["currentPage"]), int(query["pageSize"])
        if self.refusing_from is not None and page >= self.refusing_from:
            await exchange.send(response(UNKNOWN_REGION, status=self.status))
            return
        listed = [
            {"clusterId": cluster_id} if of is None else {"clusterId": cluster_id, "regionId": of}
            for cluster_id, of in self.regions.items()
            if region is None or of is None or of == region.lower()
        ]
        clusters = listed[(page - 1) * size : page * size]
        data: Any = {"count": len(listed), "currentPage": page, "pageSize": size, "clusters": clusters}
        await exchange.send(response({"code": 0, "data": data if self.shape == "object" else clusters}))


WESTERN = names(5)
BOTH = Cloud({**dict.fromkeys(WESTERN, WEST), **dict.fromkeys(names(4, 5), EAST)})

List: TypeAlias = Callable[[str, str | None, list[str]], Awaitable[object]]
"""Lists what is at an address, in a region, and adds the ids."""


async def by_iter_clusters(url: str, region: str | None, ids: list[str]) -> None:
    async with quick_client(url) as client:
        await read_into(ids, client.iter_clusters(page_size=PAGE_SIZE, region=region))


async def by_iter_clusters_concurrently(url: str, region: str | None, ids: list[str]) -> None:
    async with quick_client(url) as client:
        await read_into(ids, client.iter_clusters(page_size=PAGE_SIZE, region=region, concurrency=4))


async def by_iter_pages(url: str, region: str | None, ids: list[str]) -> None:
    async with quick_client(url) as client:
        async for page in client.iter_pages(page_size=PAGE_SIZE, region=region):
            ids += [cluster.cluster_id for cluster in page.clusters]


async def by_list_clusters(url: str, region: str | None, ids: list[str]) -> None:
    async with quick_client(url) as client:
        for number in (1, 2, 3):
            page = await client.list_clusters(current_page=number, page_size=PAGE_SIZE, region=region)
            ids += [cluster.cluster_id for cluster in page.clusters]


async def by_snapshot(url: str, region: str | None, ids: list[str]) -> None:
    async with quick_client(url) as client:
        snapshot = await client.snapshot(page_size=PAGE_SIZE, region=region)
        ids += [cluster.cluster_id for cluster in snapshot]


def inventory_of(url: str) -> Inventory:
    return Inventory([Account("a", "k", base_url=url)], limiter=None, retry=QUICK)


async def by_inventory(url: str, region: str | None, ids: list[str]) -> None:
    async with inventory_of(url) as inventory:
        async for _, cluster in inventory.iter_clusters(page_size=PAGE_SIZE, region=region):
            ids.append(cluster.cluster_id)


async def by_collect(url: str, region: str | None, ids: list[str]) -> None:
    async with inventory_of(url) as inventory:
        report = await inventory.collect(page_size=PAGE_SIZE, region=region)
        for error in report.failures.values():
            raise error
        ids += [cluster.cluster_id for _, cluster in report.clusters]


READERS: list[List] = [
    *(by_iter_clusters, by_iter_clusters_concurrently, by_iter_pages, by_list_clusters),
    *(by_snapshot, by_inventory, by_collect),
]

every_reader = pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)


async def failure_of(read: List, cloud: Cloud, region: str) -> tuple[ZillizError, list[str]]:
    ids: list[str] = []
    async with WireServer(cloud) as server:
        try:
            await read(server.url, region, ids)
        except InventoryError as group:
            error = group.failures["a"]
        except ZillizError as raised:
            error = raised
        else:
            raise AssertionError(f"no error, but {ids}")
    assert isinstance(error, ZillizError)
    return error, ids


@every_reader
async def test_every_page_is_asked_for_with_the_region_and_only_its_clusters_come(read: List) -> None:
    ids: list[str] = []
    async with WireServer(BOTH) as server:
        await read(server.url, WEST, ids)
    assert ids == WESTERN
    assert len(server.requests) >= 3
    for request in server.requests:
        assert parse_qs(urlsplit(request.target).query)["region"] == [WEST]


@every_reader
async def test_without_a_region_nothing_is_sent(read: List) -> None:
    ids: list[str] = []
    async with WireServer(Cloud(dict.fromkeys(names(6), WEST))) as server:
        await read(server.url, None, ids)
    assert ids == names(6)
    assert all("region" not in request.target for request in server.requests)


@every_reader
@pytest.mark.parametrize("shape", ["object", "array"])
@pytest.mark.parametrize("western", [0, 2, 3])
async def test_a_service_that_does_not_know_the_parameter_is_told_apart_and_not_asked_again(
    western: int, shape: str, read: List
) -> None:
    regions = {name: WEST if n < western else EAST for n, name in enumerate(names(5))}
    cloud = Cloud(dict(regions), knows_parameter=False, shape=shape)
    error, ids = await failure_of(read, cloud, WEST)
    assert type(error) is ResponseError
    assert not error.retryable
    assert error.attempts == 1
    assert error.page == western // PAGE_SIZE + 1
    assert f"another region, {EAST}" in error.message
    assert "region_id" in error.advice
    assert f"region={WEST}" in str(error)
    assert {regions[cluster_id] for cluster_id in ids} <= {WEST}


@every_reader
async def test_records_without_a_region_pass(read: List) -> None:
    ids: list[str] = []
    async with WireServer(Cloud({"a": None, "b": WEST, "c": None, "d": WEST, "e": None})) as server:
        await read(server.url, WEST, ids)
    assert ids == ["a", "b", "c", "d", "e"]


@every_reader
@pytest.mark.parametrize("status", [200, 400, 404])
@pytest.mark.parametrize("page", [1, 2])
async def test_an_unknown_region_is_the_services_refusal_on_whatever_page(
    page: int, status: int, read: List
) -> None:
    error, ids = await failure_of(read, Cloud(BOTH.regions, refusing_from=page, status=status), WEST)
    assert isinstance(error, APIError)
    assert (error.code, error.attempts, error.page) == (96001, 1, page)
    assert error.message == "The region id is unknown."
    assert "region id" in error.advice
    assert ids == ([] if page == 1 or read in (by_snapshot, by_collect) else WESTERN[:PAGE_SIZE])


@pytest.mark.parametrize("region", ["a b", "a&pageSize=1", "a+b", "a%41", "a#b?c", "é/ü", "100%", "a\nb"])
async def test_a_region_arrives_as_it_was_given(region: str) -> None:
    async with WireServer() as server, quick_client(server.url) as client:
        await client.list_clusters(region=region)
    query = parse_qs(urlsplit(server.requests[0].target).query, strict_parsing=True)
    assert query == {"pageSize": ["100"], "currentPage": ["1"], "region": [region]}


@given(st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip))
def test_every_text_has_a_form_in_the_url(region: str) -> None:
    url = page_url("https://host", ListQuery(7, region), 3)
    assert url.isascii()
    assert url.isprintable()
    assert dict(parse_qs(urlsplit(url).query)) == {
        "pageSize": ["7"],
        "currentPage": ["3"],
        "region": [region],
    }


@pytest.mark.parametrize("asked", [WEST, WEST.upper(), WEST.title()])
async def test_case_makes_no_other_region(asked: str) -> None:
    ids: list[str] = []
    async with WireServer(BOTH) as server:
        await by_iter_clusters(server.url, asked, ids)
    assert ids == WESTERN


@pytest.mark.parametrize(
    ("listed", "asked", "elsewhere"),
    [
        *((WEST, WEST, False), (WEST, EAST, True), (WEST, None, False), ("", WEST, False)),
        *((WEST, WEST[:-1], True), (WEST[:-1], WEST, True), (f" {WEST}", WEST, True)),
    ],
)
def test_a_part_of_an_id_is_another_region(listed: str, asked: str | None, *, elsewhere: bool) -> None:
    assert is_elsewhere(listed, asked) is elsewhere


def test_what_is_no_page_stays_what_it_is() -> None:
    body = json.dumps({"code": 0, "data": {"clusters": [{"regionId": EAST}]}}).encode()
    with pytest.raises(ResponseError, match="clusterId"):
        read_answer(200, {}, body, page=1, page_size=1, now=NOON, max_bytes=1000, region=WEST)


# Arguments

client = ZillizClient("k", base_url="http://localhost")
inventory = Inventory([Account("prod", "k")])
CALLS: list[Callable[[Any], object]] = [
    *(lambda region: client.list_clusters(region=region), lambda region: client.iter_pages(region=region)),
    *(lambda region: client.iter_clusters(region=region), lambda region: client.snapshot(region=region)),
    lambda region: client.watch_clusters(region=region),
    lambda region: inventory.iter_clusters(region=region),
    lambda region: inventory.collect(region=region),
    lambda region: inventory.watch_clusters(region=region),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("region", "error"),
    [
        *(("", ValueError), (" \n", ValueError), ("a\ud83d", ValueError)),
        *((1, TypeError), (True, TypeError), (b"a", TypeError), (["a"], TypeError)),
    ],
)
def test_a_region_that_is_none_is_refused_at_the_call(
    region: object, error: type[Exception], call: Callable[[Any], object]
) -> None:
    with pytest.raises(error, match=r"^region ") as raised:
        call(region)
    assert type(raised.value) is error


async def test_a_key_that_was_passed_as_the_region_is_in_no_error() -> None:
    key = "0123456789abcdef0123"
    refusing = Cloud(BOTH.regions, refusing_from=1)
    async with WireServer(refusing) as server, quick_client(server.url, key) as client:
        with pytest.raises(APIError) as raised:
            await client.list_clusters(region=key)
    assert key not in f"{raised.value} {raised.value!r} {vars(raised.value)}"


# The fake cloud


async def test_the_fake_cloud_lists_the_clusters_of_the_region() -> None:
    async with FakeZillizCloud(250, max_page_size=3) as cloud, quick_client(cloud.url) as client:
        everything = await client.snapshot()
        region = everything.clusters[0].region_id
        western = await client.snapshot(region=region)
    assert western.consistent
    assert list(western) == [cluster for cluster in everything if cluster.region_id == region]
    assert 0 < len(western) < len(everything)


# Watches


def told(event: ClusterEvent) -> tuple[str, str]:
    return str(event.kind), event.cluster.cluster_id


async def test_a_watch_reads_its_region_only_and_goes_on_from_what_it_has_told() -> None:
    cloud = Cloud({"a": WEST, "b": EAST})
    async with WireServer(cloud) as server, quick_client(server.url) as client:
        async with client.watch_clusters(interval=SOON, region=WEST) as watcher:
            assert told(await anext(watcher)) == ("added", "a")
            del cloud.regions["b"]
            cloud.regions["c"] = WEST
            assert told(await anext(watcher)) == ("added", "c")
            since = watcher.snapshot
        del cloud.regions["a"]
        async with client.watch_clusters(interval=SOON, region=WEST.upper(), since=since) as watcher:
            assert told(await anext(watcher)) == ("removed", "a")
    assert all(f"region={WEST}" in request.target.lower() for request in server.requests)


async def test_the_answer_of_a_service_that_does_not_know_the_parameter_is_an_outage_of_a_watch() -> None:
    cloud = Cloud({"a": WEST, "b": EAST})
    async with (
        WireServer(cloud) as server,
        quick_client(server.url) as client,
        client.watch_clusters(interval=SOON, region=WEST) as watcher,
    ):
        assert told(await anext(watcher)) == ("added", "a")
        cloud.knows_parameter = False
        cloud.regions = {"b": EAST, "c": WEST}
        reading = asyncio.ensure_future(watcher.__anext__())
        while watcher.last_error is None:
            await server.received(len(server.requests) + 1)
        assert type(watcher.last_error) is ResponseError
        cloud.knows_parameter = True
        assert told(await reading) == ("added", "c")


def snapshot_of(*clusters: Cluster) -> Snapshot:
    return Snapshot(clusters, NOON, 1, consistent=True)


def test_what_a_watch_of_other_regions_has_told_is_no_beginning_for_one_of_this_region() -> None:
    since = snapshot_of(Cluster("in01-w", region_id=WEST), Cluster("in01-e", region_id=EAST))
    with pytest.raises(ValueError, match=rf"in01-e .* region {EAST}, .* region {WEST}"):
        client.watch_clusters(region=WEST, since=since)
    with pytest.raises(ValueError, match=rf"in01-e .*'prod' in region {EAST}"):
        inventory.watch_clusters(region=WEST, since=InventoryReport({"prod": since}, {}, NOON))


def test_what_fits_the_region_is_a_beginning() -> None:
    since = snapshot_of(Cluster("in01-w", region_id=WEST.upper()), Cluster("in01-n"))
    assert client.watch_clusters(region=WEST, since=since).snapshot == since
    everything = snapshot_of(*since, Cluster("in01-e", region_id=EAST))
    assert client.watch_clusters(since=everything).snapshot == everything
    # An account that this inventory does not have is not watched.
    report = InventoryReport({"prod": since, "other": everything}, {}, NOON)
    inventory.watch_clusters(region=WEST, since=report)


Reading: TypeAlias = frozenset[str] | str
"""What a reading meets: the clusters of the region, or an outage: "refused", or an answer with "all regions"."""

READINGS = st.lists(
    st.frozensets(st.sampled_from("abc")) | st.sampled_from(["refused", "all regions"]),
    min_size=1,
    max_size=6,
)


@given(READINGS, st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_a_watch_of_a_region_reports_what_its_good_readings_agree_on(
    readings: list[Reading], confirmations: int
) -> None:
    last = frozenset("a")
    script = [*readings, *[last] * confirmations, last | {"end"}]
    asyncio.run(watch_through(script, confirmations))


async def watch_through(script: Sequence[Reading], confirmations: int) -> None:
    async def answer(exchange: Exchange) -> None:
        reading = script[min(exchange.number, len(script)) - 1]
        cloud = Cloud({"east": EAST, **dict.fromkeys(sorted(set(reading) if is_good(reading) else ()), WEST)})
        cloud.knows_parameter = reading != "all regions"
        cloud.refusing_from = 1 if reading == "refused" else None
        await cloud(exchange)

    reported: set[str] = set()
    async with (
        WireServer(answer) as server,
        quick_client(server.url) as client,
        client.watch_clusters(interval=SOON, region=WEST, confirmations=confirmations) as watcher,
    ):
        while "end" not in reported:
            kind, cluster_id = told(await anext(watcher))
            good = [set(reading) for reading in script[: len(server.requests)] if is_good(reading)]
            assert is_good(script[len(server.requests) - 1])
            if kind == "added":
                assert cluster_id in good[-1] - reported
                reported.add(cluster_id)
            else:
                assert kind == "removed"
                reported.remove(cluster_id)
                assert len(good) > confirmations
                assert all(cluster_id not in ids for ids in good[-confirmations:])
        assert watcher.snapshot is not None
        assert {cluster.cluster_id for cluster in watcher.snapshot} == reported
        assert reported == {"a", "end"}
        assert len(server.requests) == len(script)


def is_good(reading: Reading) -> bool:
    return isinstance(reading, frozenset)
