"""Each cluster exactly once, whatever is created or deleted between two requests (promise 2)."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest

from aiozilliz import IncompleteListingError
from aiozilliz.testing import FakeZillizCloud
from tests.support.listing_server import Listing, ListingServer, names, page_of, quick_client, read

if TYPE_CHECKING:
    from collections.abc import Callable

CONCURRENCY = [1, 2, 3, 8]
MODES = [
    pytest.param(n, verify, id=f"{n}{' verified' * verify}")
    for n, verify in product(CONCURRENCY, (False, True))
]


def create(place: str) -> Callable[[list[str]], None]:
    def change(ids: list[str]) -> None:
        ids.insert({"front": 0, "middle": len(ids) // 2, "end": len(ids)}[place], f"new {place} {len(ids)}")

    return change


def delete(place: str) -> Callable[[list[str]], None]:
    def change(ids: list[str]) -> None:
        if ids:
            del ids[{"front": 0, "middle": len(ids) // 2, "end": -1}[place]]

    return change


CHANGES = {
    f"{kind.__name__} {place}": kind(place)
    for kind in (create, delete)
    for place in ("front", "middle", "end")
}


@pytest.mark.parametrize(("concurrency", "verify"), MODES)
@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 6, 7, 12])
async def test_a_quiet_list_comes_whole_and_in_order(number: int, concurrency: int, *, verify: bool) -> None:
    async with ListingServer(Listing(names(number))) as server, server.client() as client:
        clusters = client.iter_clusters(page_size=3, concurrency=concurrency, verify=verify)
        assert await read(clusters) == (names(number), None)
        assert clusters.count == number
        assert clusters.requests == len(server.requests)


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("change", CHANGES)
async def test_one_change_at_any_point_loses_nobody_who_stays(
    change: str, concurrency: int, *, verify: bool
) -> None:
    for number, point in product((6, 8), range(1, 9)):
        listing = Listing(names(number))
        listing.before = lambda read, point=point, ids=listing.ids: (
            CHANGES[change](ids) if read == point else None
        )  # type: ignore[misc]
        async with ListingServer(listing) as server, server.client() as client:
            ids, end = await read(
                client.iter_clusters(page_size=3, concurrency=concurrency, verify=verify, max_passes=9)
            )
        assert end is None
        assert {i for i in names(number) if i in listing.ids} <= set(ids) <= {*names(number), *listing.ids}


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("where", ["front", "middle", "end"])
async def test_verifying_finds_who_was_skipped_by_two_changes_that_hide_each_other(
    where: str, concurrency: int
) -> None:
    for point, place in product(range(1, 9), ("front", "middle", "end")):
        listing = Listing(names(7))

        def change(read: int, listing: Listing = listing, point: int = point, place: str = place) -> None:
            if read == point:
                delete(where)(listing.ids)
                create(place)(listing.ids)

        listing.before = change
        async with ListingServer(listing) as server, server.client() as client:
            ids, end = await read(
                client.iter_clusters(page_size=3, concurrency=concurrency, verify=True, max_passes=9)
            )
        assert end is None
        assert {i for i in names(7) if i in listing.ids} <= set(ids)


async def test_without_verifying_two_changes_that_hide_each_other_can_hide_a_cluster() -> None:
    listing = Listing(names(6))

    def change(read: int) -> None:
        if read == 2:
            del listing.ids[0]
            listing.ids.append("new")

    listing.before = change
    async with ListingServer(listing) as server, server.client() as client:
        ids, end = await read(client.iter_clusters(page_size=3))
    assert end is None
    assert ids == [*names(3), *names(2, 4), "new"]  # the fourth moved to the page that had been read


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_list_that_never_rests_is_told_after_all_that_was_seen(
    concurrency: int, *, verify: bool
) -> None:
    listing = Listing(names(9))
    created: list[str] = []

    def change(read: int) -> None:
        created.append(f"new {read}")
        listing.ids.insert(0, created[-1])

    listing.before = change
    async with ListingServer(listing) as server, server.client() as client:
        ids, end = await read(
            client.iter_clusters(page_size=3, concurrency=concurrency, verify=verify, max_passes=3)
        )
    assert set(names(9)) <= set(ids)
    assert end is not None
    assert end.passes == 3
    assert end.expected in range(10, 9 + len(created) + 1)
    assert 9 <= end.received <= len(ids)
    assert end.advice


@pytest.mark.parametrize(("concurrency", "verify"), MODES)
async def test_a_consumer_may_delete_each_cluster_as_it_sees_it(concurrency: int, *, verify: bool) -> None:
    listing = Listing(names(25))
    seen: list[str] = []
    async with ListingServer(listing) as server, server.client() as client:
        async for cluster in client.iter_clusters(
            page_size=5, concurrency=concurrency, verify=verify, max_passes=12
        ):
            seen.append(cluster.cluster_id)
            listing.ids.remove(cluster.cluster_id)
    assert sorted(seen) == names(25)
    assert listing.ids == []


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_a_record_that_stands_twice_on_a_page_comes_once(concurrency: int) -> None:
    pages = {1: ["a", "b", "b"], 2: ["c", "a", "d"], 3: ["d"]}
    async with (
        ListingServer(lambda page, _: page_of(pages.get(page, []), count=4)) as server,
        server.client() as client,
    ):
        ids, end = await read(client.iter_clusters(page_size=3, concurrency=concurrency))
    assert ids == ["a", "b", "c", "d"]
    assert end is not None  # a list without doubles would have been shown by one of the passes


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("count", ["first page", "odd pages"])
async def test_a_count_that_is_missing_later_is_unknown_and_not_changed(count: str, concurrency: int) -> None:
    listing = Listing(names(12), count=count)  # type: ignore[arg-type]
    async with ListingServer(listing) as server, server.client() as client:
        clusters = client.iter_clusters(page_size=3, concurrency=concurrency)
        assert await read(clusters) == (names(12), None)
        assert clusters.count == 12
        # The last page is full and has no count, so one more is asked for. Pages that were requested together are read
        # again one after another: nothing shows whether those without a count are of the same list.
        once = [1, 2, 3, 4, 5]
        assert server.pages == (once if concurrency == 1 else [*once, *once])


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_a_count_that_changed_makes_it_read_again_and_give_only_what_is_new(concurrency: int) -> None:
    listing = Listing(names(9))

    def change(read: int) -> None:
        if read == 3:
            del listing.ids[0]

    listing.before = change
    async with ListingServer(listing) as server, server.client() as client:
        ids, end = await read(client.iter_clusters(page_size=3, concurrency=concurrency))
    assert end is None
    assert sorted(ids) == names(9)
    assert server.pages.count(1) == 2


@pytest.mark.parametrize("verify", [False, True])
async def test_an_id_that_comes_back_is_not_given_again(*, verify: bool) -> None:
    listing = Listing(names(9))

    def change(read: int) -> None:
        if read == 2:
            listing.ids.remove("in01-00001")
        if read == 4:
            listing.ids.append("in01-00001")

    listing.before = change
    async with ListingServer(listing) as server, server.client() as client:
        ids, _ = await read(client.iter_clusters(page_size=3, verify=verify, max_passes=9))
    assert sorted(ids) == names(9)


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_an_order_that_differs_in_each_answer_gives_nobody_twice_and_hides_no_doubt(
    concurrency: int, *, verify: bool
) -> None:
    for seed in range(3):
        async with FakeZillizCloud(30, order="shuffled", seed=seed) as cloud:
            everybody = {record["clusterId"] for record in cloud.clusters}
            async with quick_client(cloud.url) as client:
                ids, end = await read(
                    client.iter_clusters(page_size=7, concurrency=concurrency, verify=verify, max_passes=8)
                )
        assert set(ids) <= everybody
        assert isinstance(end, IncompleteListingError) or set(ids) == everybody
