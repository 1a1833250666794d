"""What a walk keeps for a snapshot: which records, in which order, of which moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from aiozilliz import Cluster, ClusterPage, ServerError, Snapshot, ZillizError
from aiozilliz._aio.cancel_scope import CancelScope, Lifetime
from aiozilliz._iteration.reader import AccountReader
from aiozilliz._settings.checks import ListQuery

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiozilliz._aio.limiter import PageRoom

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """Goes on by a second each time it is looked at."""

    looks = 0

    @classmethod
    def now(cls, zone: Any) -> datetime:
        assert zone is UTC
        cls.looks += 1
        return NOON + timedelta(seconds=cls.looks)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock.looks = -1  # the first look is at when the reading begins
    monkeypatch.setattr("aiozilliz._iteration.reader.datetime", Clock)


def seconds(snapshot: Snapshot) -> float:
    return (snapshot.taken_at - NOON).total_seconds()


class Service:
    """A list of clusters in pages of two; what is done before a request is a function of its number, from 1."""

    def __init__(self, *ids: str, before: Callable[[list[Cluster], int], None] | None = None) -> None:
        self.clusters = [Cluster(cluster_id) for cluster_id in ids]
        self.asked: list[int] = []
        self.pages = 0
        self.counted = True
        self._before = before

    fixed_key = True

    def is_refusal(self, error: ZillizError) -> bool:
        raise NotImplementedError(error)

    async def fetch(
        self,
        query: ListQuery,
        page: int,
        scope: CancelScope,
        room: PageRoom | None = None,
    ) -> ClusterPage:
        del scope, room
        page_size = query.page_size
        self.asked.append(page)
        if self._before is not None:
            self._before(self.clusters, len(self.asked))
        records = self.clusters[(page - 1) * page_size : page * page_size]
        return ClusterPage(tuple(records), len(self.clusters) if self.counted else None, page, page_size)

    async def snapshot(self, *, concurrency: int = 1, max_passes: int = 5) -> Snapshot:
        life = Lifetime("client", "", lambda: True, nothing)
        reader = AccountReader(self, life, name="the service", url="http://service")
        return await reader.snapshot(ListQuery(2), concurrency=concurrency, max_passes=max_passes)


async def nothing() -> None:
    """Have nothing to release."""


def ids(snapshot: Snapshot) -> str:
    return "".join(cluster.cluster_id for cluster in snapshot)


async def test_a_proven_listing_is_of_the_moment_of_its_last_page() -> None:
    service = Service(*"abcde")
    snapshot = await service.snapshot()
    assert (ids(snapshot), snapshot.consistent, snapshot.requests) == ("abcde", True, 5)
    assert service.asked == [1, 2, 3, 2, 1]
    assert seconds(snapshot) == 3  # when the third request was sent


async def test_an_empty_listing_is_proven_by_its_one_answer() -> None:
    snapshot = await Service().snapshot()
    assert snapshot == Snapshot((), NOON + timedelta(seconds=1), 1, consistent=True)


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_of_a_cluster_that_came_twice_the_last_record_is_kept(concurrency: int) -> None:
    def before(clusters: list[Cluster], number: int) -> None:
        clusters[0] = Cluster("a", cu_size=number)

    service = Service(*"abcde", before=before)
    snapshot = await service.snapshot(concurrency=concurrency)
    assert (ids(snapshot), snapshot.consistent) == ("abcde", True)
    assert snapshot["a"].cu_size in range(4, 6)  # the backward pass asks for page 1 as one of its two


async def test_what_was_gone_at_the_proven_moment_is_not_in_it() -> None:
    def before(clusters: list[Cluster], number: int) -> None:
        if number == 2:
            clusters[:] = [cluster for cluster in clusters if cluster.cluster_id != "a"]

    snapshot = await Service(*"abcde", before=before).snapshot()
    assert ids(snapshot) == "bcde"
    assert snapshot.consistent


async def test_the_order_is_that_in_which_clusters_were_last_seen() -> None:
    def before(clusters: list[Cluster], number: int) -> None:
        if number == 4:
            clusters[1], clusters[2] = clusters[2], clusters[1]

    assert ids(await Service(*"abcde", before=before).snapshot()) == "acbde"


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_without_a_proof_it_holds_the_last_pass_and_when_that_began(concurrency: int) -> None:
    def before(clusters: list[Cluster], number: int) -> None:
        clusters.insert(0, Cluster(f"n{number}"))
        del clusters[3]

    service = Service(*"abcde", before=before)
    snapshot = await service.snapshot(concurrency=concurrency, max_passes=3)
    assert not snapshot.consistent
    assert snapshot.requests == len(service.asked)
    assert "a" not in snapshot
    last = max(place for place, page in enumerate(service.asked, 1) if page == 1)
    assert 1 < seconds(snapshot) <= last + 1  # where two passes turn, the page belongs to both


async def test_without_a_count_one_clean_pass_is_all_and_proves_nothing() -> None:
    service = Service(*"abcde")
    service.counted = False
    snapshot = await service.snapshot()
    assert (ids(snapshot), snapshot.consistent) == ("abcde", False)
    assert service.asked == [1, 2, 3, 4]
    assert seconds(snapshot) == 1


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("at", range(1, 6))
async def test_a_page_that_can_not_be_had_is_an_error_and_no_snapshot(at: int, concurrency: int) -> None:
    def before(_: list[Cluster], number: int) -> None:
        if number == at:
            raise ServerError("out of order", status=500)

    with pytest.raises(ServerError):
        await Service(*"abcde", before=before).snapshot(concurrency=concurrency)
