"""Every class of error and every fault of the fake cloud, over one account and many: nothing tells the key.

The faults repeat the key wherever a text goes, as careless services do.
"""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from rich.console import Console
from rich.traceback import Traceback

import aiozilliz
from aiozilliz import (
    Account,
    APIError,
    AuthenticationError,
    ConfigurationError,
    DecodeError,
    IncompleteListingError,
    Inventory,
    InventoryError,
    InventoryReport,
    ResponseError,
    ServerError,
    TransportError,
    ZillizClient,
    ZillizError,
)
from aiozilliz.testing import FakeZillizCloud, Fault
from tests.support.detector import (
    KEY,
    assert_silent,
    has_key,
    told_by_logs,
    told_by_warnings,
    without_tests,
)
from tests.support.listing_server import QUICK
from tests.support.wire_server import WireServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HTML = {"Content-Type": "text/html"}
TOLD = f"you sent Bearer {KEY}"
HEADERS = {"requestid": TOLD, "Set-Cookie": f"key={KEY}", "WWW-Authenticate": TOLD, "Server": TOLD}


def body(**fields: Any) -> str:
    return orjson.dumps({"code": 0, "message": TOLD, "data": [], **fields}).decode()


def record(**fields: Any) -> str:
    return body(data=[{"clusterId": f"in01-{KEY}", TOLD: TOLD, **fields}])


def redirect(status: int, target: str) -> Fault:
    return Fault.status(status, body=f"<a href='{target}'>{TOLD}</a>", headers={**HTML, "Location": target})


FAULTS: dict[str, tuple[Fault, type[ZillizError]]] = {
    "400": (Fault.status(400, body=body(code=400), headers=HEADERS), APIError),
    "401": (Fault.status(401, body=body(code=21119), headers=HEADERS), AuthenticationError),
    "403 in HTML": (Fault.status(403, body=f"<p>{TOLD}", headers=HTML | HEADERS), AuthenticationError),
    "407": (Fault.status(407, body=TOLD, headers={"Proxy-Authenticate": TOLD}), APIError),
    "429": (Fault.status(429, body=body(code=429), retry_after=TOLD), aiozilliz.RateLimitError),
    "503": (Fault.status(503, body=TOLD, headers=HEADERS), ServerError),
    "a code": (Fault.code(80001, TOLD), AuthenticationError),
    "an unknown code": (Fault.code(12345, TOLD, status=500), ServerError),
    "HTML under 200": (Fault.html(), ResponseError),
    "HTML that tells": (Fault.status(200, body=f"<p>{TOLD}", headers=HTML), ResponseError),
    "a text": (Fault.status(200, body=f'"{TOLD}"'), ResponseError),
    "not JSON": (Fault.status(200, body=TOLD, headers=HEADERS), ResponseError),
    "a wrong count": (Fault.status(200, body=body(data={"count": TOLD, "clusters": []})), ResponseError),
    "a wrong record": (Fault.status(200, body=record(cuSize=TOLD)), DecodeError),
    "a record that is none": (Fault.status(200, body=body(data=[TOLD])), DecodeError),
    "reset": (Fault.reset(), TransportError),
    "cut": (Fault.cut(), TransportError),
    "malformed": (Fault.malformed(), ResponseError),
    "delay": (Fault.delay(3600), TransportError),
    "no gzip": (Fault.status(200, body=TOLD, headers={"Content-Encoding": "gzip"}), TransportError),
    "a repeated page": (Fault.repeat_page(), IncompleteListingError),
    **{
        f"{status} to {target}": (redirect(status, target), ResponseError)
        for status in (301, 302, 303, 307, 308)
        for target in (f"https://elsewhere.example/{KEY}", f"https://u:{KEY}@{KEY}.example/?k={KEY}#{KEY}")
    },
}


async def read(source: AsyncIterator[Any]) -> None:
    async for _ in source:
        pass


async def fail_in_each_way(
    cloud: FakeZillizCloud, fault: str, **options: Any
) -> AsyncIterator[BaseException]:
    options = {"limiter": None, "retry": QUICK, **options}
    cloud.fail_next(FAULTS[fault][0], times=None)
    accounts = [Account(name, KEY, base_url=cloud.url) for name in ("a", "b")]
    async with (
        ZillizClient(KEY, base_url=cloud.url, **options) as client,
        Inventory(accounts, **options) as inventory,
    ):
        works: list[Any] = [
            read(client.iter_clusters(page_size=2)),
            read(client.iter_clusters(page_size=2, concurrency=3, verify=True)),
            read(inventory.iter_clusters(page_size=2)),
        ]
        if fault != "a repeated page":
            works += [client.list_clusters(), client.snapshot(), read(client.iter_pages())]
            report = await inventory.collect()
            assert set(report.failures) == {"a", "b"}
            text = report.to_json()
            assert not has_key(text)
            for error in (*report.failures.values(), *InventoryReport.from_json(text).failures.values()):
                yield error
        for work in works:
            with pytest.raises(ZillizError) as raised:
                await work
            yield raised.value


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_fault_of_the_fake_cloud_brings_the_key_out(
    fault: str, everything_logged: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    options: dict[str, Any] = {"timeout": 0.01} if fault == "delay" else {}
    classes: set[type] = set()
    async with FakeZillizCloud(clusters=7, api_key=KEY) as cloud:
        async for error in fail_in_each_way(cloud, fault, **options):
            assert isinstance(error, ZillizError)
            assert_silent(error)
            classes.add(type(error))
            if isinstance(error, InventoryError):
                matched, rest = error.split(type(error.failures["a"]))
                assert isinstance(matched, InventoryError)
                assert rest is None
                assert_silent(matched)
                classes |= {type(part) for part in error.exceptions}
        assert cloud.requests
        assert {request.headers["Authorization"] for request in cloud.requests} == {f"Bearer {KEY}"}
    assert FAULTS[fault][1] in classes
    assert not told_by_logs(everything_logged)
    assert not told_by_warnings(recwarn)


def test_every_class_of_error_is_among_them() -> None:
    public = [getattr(aiozilliz, name) for name in aiozilliz.__all__]
    classes = {kind for kind in public if isinstance(kind, type) and issubclass(kind, ZillizError)}
    elsewhere = {
        ZillizError,
        ConfigurationError,
        InventoryError,
    }  # the base; misuse; raised by each of the faults

    assert {kind for _, kind in FAULTS.values()} == classes - elsewhere


@pytest.mark.parametrize("fault", ["401", "reset", "a wrong record", "a repeated page"])
async def test_a_traceback_as_rich_prints_it_does_not_show_the_key(fault: str) -> None:
    async with FakeZillizCloud(clusters=7, api_key=KEY) as cloud:
        async for error in fail_in_each_way(cloud, fault):
            printed = print_richly(error)
            assert type(error).__name__ in printed
            assert not has_key(printed)


def print_richly(error: BaseException) -> str:
    shown = Traceback.from_exception(
        type(error),
        error,
        without_tests(error.__traceback__),
        show_locals=True,
        width=None,
        locals_max_string=100_000,
    )
    console = Console(file=io.StringIO(), width=1000)
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_that_print_shows_a_planted_key(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.py"
    path.write_text("headers = {'Authorization': key}\nraise RuntimeError\n", "utf-8")
    with pytest.raises(RuntimeError) as raised:
        exec(compile(path.read_text("utf-8"), path, "exec"), {"key": KEY})  # noqa: S102 - the text above it
    assert has_key(print_richly(raised.value))


async def test_the_key_is_not_told_where_a_task_is_cancelled() -> None:
    async with (
        WireServer(lambda exchange: exchange.silence()) as server,
        ZillizClient(KEY, base_url=server.url) as client,
    ):
        reading = asyncio.create_task(client.list_clusters())
        await server.received(1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError) as raised:
            await reading
        assert not has_key(print_richly(raised.value))
