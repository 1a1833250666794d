"""Each retry is a line of the library's own logger: what is requested, which attempt, the cause, and the wait."""

from __future__ import annotations

import asyncio
import logging
import re
from itertools import pairwise
from typing import TYPE_CHECKING

import orjson
import pytest
import stamina

from aiozilliz import Account, Inventory, InventoryError, RetryPolicy, ZillizClient, ZillizError
from tests.support.fake_time import run_in_fake_time
from tests.support.scripted_wire import Reply, context_of, fetch, scripted
from tests.support.wire_server import OK, Exchange, WireServer, answering, response

if TYPE_CHECKING:
    from tests.support.wire_server import Script

KEY = "key0123456789abcdefghij"
LINE = re.compile(r"(.*), page (\d+): attempt (\d+) of (\d+) failed, retrying in (\d+\.\d) s: (.*)")
NO_WAIT = RetryPolicy(attempts=3, wait_initial=0, wait_jitter=0)


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, ...]]:
    """Give the parts of each line of a retry. There is nothing else to be told of at WARNING."""
    told = [
        record for record in caplog.records if record.levelno == logging.WARNING and record.name != "stamina"
    ]
    assert {record.name for record in told} <= {"aiozilliz"}
    assert all(vars(record)["transient"] is True for record in told), (
        "the command line shows it for a moment only"
    )
    found = [LINE.fullmatch(record.getMessage()) for record in told]
    assert all(found)
    return [line.groups() for line in found if line is not None]


def busy(message: str) -> bytes:
    return response(orjson.dumps({"code": 503, "message": message}), status=503)


@pytest.mark.parametrize("failures", [0, 1, 2, 3])
async def test_there_is_one_for_each_retry(failures: int, caplog: pytest.LogCaptureFixture) -> None:
    answers = answering(*[busy("later")] * failures, OK)
    async with (
        WireServer(answers) as server,
        ZillizClient(KEY, base_url=server.url, retry=NO_WAIT, limiter=None) as client,
    ):
        outcome = (await asyncio.gather(client.list_clusters(current_page=7), return_exceptions=True))[0]
        assert isinstance(outcome, ZillizError) is (failures == 3)
        assert len(server.requests) == min(failures + 1, 3)
        cause = "later (HTTP 503, code 503)."
        assert lines(caplog) == [
            (server.url, "7", str(number), "3", "0.0", cause) for number in range(1, min(failures, 2) + 1)
        ]


async def test_it_names_the_account(caplog: pytest.LogCaptureFixture) -> None:
    async with WireServer(answering(busy("later"))) as server:
        accounts = [
            Account(name, KEY * times, base_url=server.url) for times, name in enumerate(("prod", "a\nb"), 1)
        ]
        async with Inventory(accounts, retry=NO_WAIT, limiter=None) as inventory:
            with pytest.raises(InventoryError):
                _ = [pair async for pair in inventory.iter_clusters()]
    assert sorted({line[0] for line in lines(caplog)}) == [r"account 'a\nb'", "account 'prod'"]
    assert len(caplog.records) >= 4


async def test_its_cause_is_redacted_on_one_line_and_bounded(caplog: pytest.LogCaptureFixture) -> None:
    message = f"hello {KEY}\r\n\x1b[31mred \u202e" + "x" * 100_000
    async with (
        WireServer(answering(busy(message), OK)) as server,
        ZillizClient(KEY, base_url=server.url, retry=NO_WAIT, limiter=None) as client,
    ):
        await client.list_clusters()
    ((*_, cause),) = lines(caplog)
    assert cause.startswith("hello <key>")
    assert cause.isprintable()
    assert len(cause) < 1000


async def reset(exchange: Exchange) -> None:
    exchange.reset()


async def cut(exchange: Exchange) -> None:
    await exchange.send(response(b"{", length=9))
    exchange.cut()


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        (reset, "The connection was lost before a response arrived"),
        (cut, "The response was cut short"),
        (answering(response(b"<html>")), "The response (HTTP 200) is HTML, not JSON"),
        (answering(response(status=502)), "The service gave no reason (HTTP 502)"),
    ],
)
async def test_each_cause_is_said_without_advice(
    script: Script, cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        WireServer(script) as server,
        ZillizClient(KEY, base_url=server.url, retry=NO_WAIT, limiter=None) as client,
    ):
        with pytest.raises(ZillizError):
            await client.list_clusters()
    assert len(lines(caplog)) == 2
    for line in lines(caplog):
        assert line[5].startswith(cause)
        assert "Try again later" not in line[5]


def test_the_wait_that_it_says_is_the_wait_that_follows(caplog: pytest.LogCaptureFixture) -> None:
    failed = [
        Reply(0.0, 503),
        Reply(0.0, None),
        Reply(0.0, 429, 7),
        Reply(0.0, 500),
        Reply(0.0, 503),
        Reply(0.0),
    ]

    async def main() -> list[float]:
        async with scripted(30.0, *failed) as transport:
            policy = RetryPolicy(attempts=9, deadline=1000.0, wait_initial=3.0, wait_max=20.0)
            await fetch(context_of(transport, policy))
            return transport.wire.sent_at

    sent_at = run_in_fake_time(main())
    caplog.handler.records[:] = [
        record for record in caplog.records if "(Retry-After)" not in record.getMessage()
    ]
    waits = [float(line[4]) for line in lines(caplog)]
    assert [later - earlier for earlier, later in pairwise(sent_at)] == pytest.approx(waits, abs=0.051)
    for wait, least in zip(waits, (3.0, 6.0, 7.0, 20.0, 20.0), strict=True):
        assert least <= wait <= min(least + 1.0, 20.0)


def test_a_retry_that_the_deadline_forbids_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with scripted(30.0, Reply(1.0, 503)) as transport:
            policy = RetryPolicy(deadline=60.0, wait_initial=100.0, wait_max=100.0)
            with pytest.raises(ZillizError) as caught:
                await fetch(context_of(transport, policy))
            assert caught.value.elapsed == 60.0

    run_in_fake_time(main())
    assert lines(caplog) == []


@pytest.mark.parametrize(("attempts", "told"), [(None, 0), (1, 0), (2, 1), (4, 3)])
async def test_it_is_told_as_staminas_switches_for_tests_have_it(
    attempts: int | None, told: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        WireServer(answering(busy("later"))) as server,
        ZillizClient(KEY, base_url=server.url, limiter=None) as client,
    ):
        if attempts is None:
            stamina.set_active(False)
        else:
            stamina.set_testing(True, attempts=attempts)
        try:
            with pytest.raises(ZillizError):
                await client.list_clusters()
        finally:
            stamina.set_active(True)
            stamina.set_testing(False)
    assert len(lines(caplog)) == told
