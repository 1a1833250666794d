"""Walking 10,000 clusters, one request after another: what typed records and the promises cost a page and a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

from aiozilliz import ZillizClient
from benchmarks.compare.peers.handwritten import BareConnection, aiohttp_json, aiohttp_orjson, bare_socket
from benchmarks.compare.peers.subject import walk_clusters
from benchmarks.compare.report import Row, make_row
from benchmarks.compare.stand import Loop, Server, Timing, alternate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RECORDS = 10_000


def measure_walk(rounds: int | None) -> Iterator[Row]:
    """Measure walks with large and with small pages, against loops over a session and over a bare connection."""
    yield from _walk(100, rounds or 25)
    yield from _walk(10, rounds or 8)


def _walk(page_size: int, rounds: int) -> Iterator[Row]:
    with Server(records=RECORDS, page_size=page_size) as server, Loop() as loop:
        client = loop.enter(lambda: ZillizClient("any-key", base_url=server.url, limiter=None))
        session = loop.enter(aiohttp.ClientSession)
        bare = loop.enter(lambda: BareConnection(server.port))
        works = {
            "aiozilliz": loop.work(walk_clusters, client, page_size),
            "dicts": loop.work(aiohttp_orjson, session, server.url, page_size),
            "copy": loop.work(aiohttp_orjson, session, server.url, page_size),
            "json": loop.work(aiohttp_json, session, server.url, page_size),
            "bare": loop.work(bare_socket, bare, page_size),
        }
        assert {work() for work in works.values()} == {RECORDS}
        timing = alternate(works, rounds, at_most=28.0)
    yield from _make_rows(
        timing,
        page_size,
        (
            ("aiozilliz", "aiozilliz", "aiohttp + orjson, dicts", "dicts"),
            ("aiozilliz", "aiozilliz", "aiohttp, `response.json()`", "json"),
            ("aiozilliz", "aiozilliz", "bare socket + orjson", "bare"),
            ("aiohttp + orjson, dicts", "dicts", "bare socket + orjson", "bare"),
            ("control", "copy", "aiohttp + orjson, dicts", "dicts"),
        ),
    )


def measure_pagers(rounds: int | None) -> Iterator[Row]:
    """Measure walks with 100 records on a page, against the paging classes and typed records of other packages."""
    # `walk` is measured in a process that has not loaded these large packages.
    import httpx  # noqa: PLC0415

    from benchmarks.compare.peers import pagers  # noqa: PLC0415

    with Server(records=RECORDS) as server, Loop() as loop:
        url = server.url
        client = loop.enter(lambda: ZillizClient("any-key", base_url=url, limiter=None))
        plain = loop.enter(lambda: httpx.AsyncClient(base_url=url))
        azure = loop.enter(lambda: pagers.make_azure(url))
        openai = loop.enter(lambda: pagers.make_openai(url))
        works = {
            "aiozilliz": loop.work(walk_clusters, client),
            "httpx": loop.work(pagers.httpx_pydantic, plain, 100),
            "azure": loop.work(pagers.azure_pager, azure, 100),
            "openai": loop.work(pagers.openai_pager, openai, 100),
            "copy": loop.work(pagers.httpx_pydantic, plain, 100),
        }
        assert {work() for work in works.values()} == {RECORDS}
        timing = alternate(works, rounds or 4, at_most=15.0)
    yield from _make_rows(
        timing,
        100,
        (
            ("aiozilliz", "aiozilliz", "httpx + pydantic", "httpx"),
            ("aiozilliz", "aiozilliz", "azure-core `AsyncItemPaged`, dicts", "azure"),
            ("aiozilliz", "aiozilliz", "openai `AsyncPaginator`", "openai"),
            ("control", "copy", "httpx + pydantic", "httpx"),
        ),
    )


def _make_rows(timing: Timing, page_size: int, pairs: Sequence[tuple[str, str, str, str]]) -> Iterator[Row]:
    for who, subject, against, peer in pairs:
        yield make_row(
            f"walk {RECORDS:,} records, {page_size} a page",
            who,
            against,
            timing.wall.ratio(subject, peer),
            note=f"ratio of the clients' CPU time: {timing.cpu.ratio(subject, peer).value:.2f}",
            control=who == "control",
        )
