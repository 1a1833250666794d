"""What becomes of requests that are given up, on a clock that jumps."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from aiozilliz import Cluster, ClusterPage, ServerError
from aiozilliz._aio.cancel_scope import CancelScope, Lifetime
from aiozilliz._iteration.reader import AccountReader
from aiozilliz._settings.checks import ListQuery
from tests.support.fake_time import run_in_fake_time
from tests.support.listing_server import read_into

if TYPE_CHECKING:
    from aiozilliz._aio.limiter import PageRoom


async def nothing() -> None:
    """Have nothing to release."""


class Service:
    """Its second page can't be had; the others after it take their time, also to end."""

    pages = 0
    fixed_key = True

    def is_refusal(self, error: Exception) -> bool:
        return False

    async def fetch(
        self,
        query: ListQuery,
        page: int,
        scope: CancelScope,
        room: PageRoom | None = None,
    ) -> ClusterPage:
        del scope, room
        if page == 1:
            return ClusterPage([Cluster("a"), Cluster("b")], 20, page, query.page_size)
        if page == 2:
            await asyncio.sleep(10)
            raise ServerError("out of order", status=500)
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(page)
        raise AssertionError("it was given up")


def test_the_error_comes_once_all_requests_that_were_given_up_have_ended() -> None:
    async def main() -> None:
        life = Lifetime("client", "", lambda: True, nothing)
        reader = AccountReader(Service(), life, name="the service", url="http://service")
        clusters = reader.iter_clusters(ListQuery(2), concurrency=4, verify=False, max_passes=5)
        now = asyncio.get_running_loop().time
        began = now()
        ids: list[str] = []
        with pytest.raises(ServerError):
            await read_into(ids, clusters)
        assert ids == ["a", "b"]
        assert now() - began == 10 + 5  # the last of pages 3, 4 and 5
        await life.close()

    run_in_fake_time(main())
