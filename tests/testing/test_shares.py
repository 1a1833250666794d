"""A share of the requests fails by chance, which is a function of the seed and of what was asked."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from aiozilliz import RetryPolicy, ZillizClient
from aiozilliz.testing import FakeZillizCloud, Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

FAILS = Fault.status(503)
QUERY = "/v2/clusters?pageSize=10&currentPage="


async def failed(
    cloud: FakeZillizCloud, pages: Iterable[int], *, at_once: int = 1, key: str = "k", more: str = ""
) -> dict[int, list[bool]]:
    """What fails, page by page, in the order of the requests for a page."""
    outcomes: dict[int, list[bool]] = {}
    waiting = iter(pages)

    async def work(session: aiohttp.ClientSession) -> None:
        for page in waiting:
            async with session.get(f"{cloud.url}{QUERY}{page}{more}") as response:
                outcomes.setdefault(page, []).append(response.status != 200)

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        await asyncio.gather(*(work(session) for _ in range(at_once)))
    return outcomes


async def run(seed: int, pages: Iterable[int], **how: Any) -> dict[int, list[bool]]:
    async with FakeZillizCloud(50, seed=seed) as cloud:
        cloud.fail_some(FAILS, 0.3)
        return await failed(cloud, pages, **how)


async def test_neither_order_nor_concurrency_nor_key_changes_which_fail() -> None:
    once = [*range(1, 61)]
    shuffled = random.Random(1).sample(once, len(once))
    first = await run(3, once * 2)
    assert first == await run(3, [*shuffled, *once])
    assert first == await run(3, sorted(once * 2), key="another")
    # Requests for one page at once have no order, so each page is asked for once.
    assert {page: seen[:1] for page, seen in first.items()} == await run(3, shuffled, at_once=12)
    assert first != await run(4, once * 2)


async def test_about_the_share_fails() -> None:
    outcomes = await run(0, [*range(1, 401)])
    assert 80 <= sum(seen[0] for seen in outcomes.values()) <= 160


async def test_each_key_has_its_own_count() -> None:
    async with FakeZillizCloud(50, seed=3) as cloud:
        cloud.fail_some(FAILS, 0.3)
        assert await failed(cloud, range(1, 40)) == await failed(cloud, range(1, 40), key="b")


async def test_another_query_is_another_request_and_a_refused_one_does_not_count() -> None:
    plain = await run(3, range(1, 41))
    assert plain != await run(3, range(1, 41), more="&region=az-eastus")
    async with FakeZillizCloud(50, seed=3, api_key="k") as cloud:
        cloud.fail_some(FAILS, 0.3)
        await failed(cloud, range(1, 41), key="wrong")
        await failed(cloud, range(1, 41), more="&region=nowhere")
        assert await failed(cloud, range(1, 41)) == plain


async def test_refusals_are_no_part_of_the_share() -> None:
    async with FakeZillizCloud(5, api_key="other") as cloud, aiohttp.ClientSession() as session:
        cloud.fail_some(FAILS, 1)
        assert [(await session.get(cloud.url + path)).status for path in ("/", "/v2/clusters")] == [404, 401]


async def test_scripted_faults_come_first_and_clearing_ends_it() -> None:
    async with FakeZillizCloud(5) as cloud:
        cloud.fail_next(Fault.status(500))
        cloud.fail_some(FAILS, 1)
        await failed(cloud, [1, 1])
        cloud.clear_faults()
        await failed(cloud, [1])
        assert [request.status for request in cloud.requests] == [500, 503, 200]
        assert [request.fault for request in cloud.requests] == [Fault.status(500), FAILS, None]


async def test_a_client_gets_all_through_a_service_that_fails_now_and_then() -> None:
    async with FakeZillizCloud(250, seed=1) as cloud:
        cloud.fail_some(FAILS)
        cloud.fail_some(Fault.reset(), 0.1)
        policy = RetryPolicy(attempts=9, wait_initial=0.001, wait_jitter=0)
        async with ZillizClient("k", base_url=cloud.url, retry=policy, limiter=None) as client:
            found = [cluster.cluster_id async for cluster in client.iter_clusters(page_size=5)]
        assert found == [record["clusterId"] for record in cloud.clusters]
        assert {request.status for request in cloud.requests} == {200, 503, None}


async def test_a_share_that_meets_no_request_is_no_mistake() -> None:
    async with FakeZillizCloud(5) as cloud:
        cloud.fail_some(FAILS, 0)
        assert await failed(cloud, [1, 2]) == {1: [False], 2: [False]}


@pytest.mark.parametrize("share", [-0.1, 1.01, float("nan")])
def test_a_share_lies_between_0_and_1(share: float) -> None:
    with pytest.raises(ValueError, match="share must be between 0 and 1"):
        FakeZillizCloud(1).fail_some(FAILS, share)
