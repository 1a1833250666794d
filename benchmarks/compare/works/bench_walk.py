"""Walking 10,000 clusters, one request after another: what typed records and the promises cost a page and a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

from aiozilliz import ZillizClient
from benchmarks.compare.peers.handwritten import BareConnection, aiohttp_json, aiohttp_orjson, bare_socket
from benchmarks.compare.peers.subject import walk_clusters
from benchmarks.compare.report import Row, make_row
from benchmarks.compare.stand import Loop, Server, alternate

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDS = 10_000


def run(rounds: int | None) -> Iterator[Row]:
    """Measure walks with large and with small pages."""
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
    for who, subject, against, peer in (
        ("aiozilliz", "aiozilliz", "aiohttp + orjson, dicts", "dicts"),
        ("aiozilliz", "aiozilliz", "aiohttp, `response.json()`", "json"),
        ("aiozilliz", "aiozilliz", "bare socket + orjson", "bare"),
        ("aiohttp + orjson, dicts", "dicts", "bare socket + orjson", "bare"),
        ("control", "copy", "aiohttp + orjson, dicts", "dicts"),
    ):
        yield make_row(
            f"walk {RECORDS:,} records, {page_size} a page",
            who,
            against,
            timing.wall.ratio(subject, peer),
            note=f"ratio of the clients' CPU time: {timing.cpu.ratio(subject, peer).value:.2f}",
            control=who == "control",
        )
