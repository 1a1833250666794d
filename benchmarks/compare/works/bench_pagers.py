"""Walking 10,000 clusters, against the paging classes and typed records of other packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from aiozilliz import ZillizClient
from benchmarks.compare.peers.pagers import azure_pager, httpx_pydantic, make_azure, make_openai, openai_pager
from benchmarks.compare.peers.subject import walk_clusters
from benchmarks.compare.report import Row, make_row
from benchmarks.compare.stand import Loop, Server, alternate

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDS = 10_000


def run(rounds: int | None, records: int = RECORDS) -> Iterator[Row]:
    """Measure walks with 100 records on a page."""
    with Server(records=records) as server, Loop() as loop:
        url = server.url
        client = loop.enter(lambda: ZillizClient("any-key", base_url=url, limiter=None))
        plain = loop.enter(lambda: httpx.AsyncClient(base_url=url))
        azure = loop.enter(lambda: make_azure(url))
        openai = loop.enter(lambda: make_openai(url))
        works = {
            "aiozilliz": loop.work(walk_clusters, client),
            "httpx": loop.work(httpx_pydantic, plain, 100),
            "azure": loop.work(azure_pager, azure, 100),
            "openai": loop.work(openai_pager, openai, 100),
            "copy": loop.work(httpx_pydantic, plain, 100),
        }
        assert {work() for work in works.values()} == {records}
        timing = alternate(works, rounds or 4, at_most=15.0)
    for who, subject, against, peer in (
        ("aiozilliz", "aiozilliz", "httpx + pydantic", "httpx"),
        ("aiozilliz", "aiozilliz", "azure-core `AsyncItemPaged`, dicts", "azure"),
        ("aiozilliz", "aiozilliz", "openai `AsyncPaginator`", "openai"),
        ("control", "copy", "httpx + pydantic", "httpx"),
    ):
        yield make_row(
            f"walk {records:,} records, 100 a page",
            who,
            against,
            timing.wall.ratio(subject, peer),
            note=f"ratio of the clients' CPU time: {timing.cpu.ratio(subject, peer).value:.2f}",
            control=who == "control",
        )
