"""What a `Retry-After` holds back, and for how long at most: under fake time, and with real servers."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from aiozilliz import RateLimitError, RetryPolicy, ServerError, TransportError, ZillizClient, ZillizError
from aiozilliz._aio.cancel_scope import CancelScope
from tests.support.fake_time import run_in_fake_time
from tests.support.scripted_wire import Reply, ScriptedTransport, context_of, fetch, scripted
from tests.support.wire_server import OK, Exchange, WireServer, response

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiozilliz import ClusterPage
    from aiozilliz._http.request import RequestContext

FOR_EVER = Reply(0.25, 429, 10**9)
POLICY = RetryPolicy(attempts=1, wait_jitter=0.0)
PATIENT = RetryPolicy(attempts=1, wait_jitter=0.0, deadline=5000.0)


async def _refused(context: RequestContext) -> None:
    with pytest.raises(RateLimitError) as caught:
        await fetch(context)
    assert caught.value.retry_after == 1e9
    assert caught.value.elapsed == 0.25


async def _held_back(
    context: RequestContext, transport: ScriptedTransport, number: int
) -> list[asyncio.Task[ClusterPage]]:
    """Refuse one request, and start others, until the pause is over and the first of them is in flight."""
    await _refused(context)
    tasks = [asyncio.create_task(fetch(context)) for _ in range(number)]
    await asyncio.sleep(300.125)
    assert transport.wire.sent_at == [1000.0, 1300.25]
    return tasks


def test_a_call_fails_at_once_until_its_deadline_reaches_beyond_the_pause() -> None:
    async def main() -> None:
        async with scripted(30.0, FOR_EVER, Reply(1.0)) as transport:
            context = context_of(transport, POLICY)
            await _refused(context)
            for _ in range(24):
                with pytest.raises(TransportError, match="the pause that the service asked for") as caught:
                    await fetch(context)
                assert caught.value.elapsed == 0.0
                await asyncio.sleep(10.0)
            await asyncio.sleep(5.0)
            await fetch(context)
            assert transport.wire.sent_at == [1000.0, 1300.25]

    run_in_fake_time(main())


@pytest.mark.parametrize("status", [200, 404, 401, 503, 301])
def test_after_the_longest_pause_one_probes_and_any_response_lets_the_others_follow(status: int) -> None:
    async def main() -> None:
        async with scripted(30.0, FOR_EVER, Reply(7.0, status), *[Reply(1.0)] * 9) as transport:
            context = context_of(transport, PATIENT)
            tasks = await _held_back(context, transport, 10)
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert transport.wire.sent_at[2:] == [1307.25] * 9
            assert sum(isinstance(outcome, ZillizError) for outcome in outcomes) == (status != 200)
            assert not context.gate.asked

    run_in_fake_time(main())


def test_a_probe_that_is_refused_holds_back_again() -> None:
    async def main() -> None:
        async with scripted(30.0, FOR_EVER, FOR_EVER, FOR_EVER, *[Reply(1.0)] * 9) as transport:
            context = context_of(transport, PATIENT)
            tasks = await _held_back(context, transport, 5)
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert transport.wire.sent_at == [1000.0, 1300.25, 1600.5, 1900.75, *[1901.75] * 2]
            assert sum(isinstance(outcome, RateLimitError) for outcome in outcomes) == 2

    run_in_fake_time(main())


def test_those_whose_deadline_is_before_the_end_of_a_new_pause_fail_at_once() -> None:
    async def main() -> None:
        async with scripted(30.0, FOR_EVER, FOR_EVER) as transport:
            context = context_of(transport, RetryPolicy(attempts=1, wait_jitter=0.0, deadline=400.0))
            tasks = await _held_back(context, transport, 2)
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            (probe,) = [outcome for outcome in outcomes if isinstance(outcome, RateLimitError)]
            (other,) = [outcome for outcome in outcomes if isinstance(outcome, TransportError)]
            assert probe.elapsed == 300.25
            assert "the pause that the service asked for" in str(other)
            assert other.elapsed == 300.25
            assert transport.sent == 2

    run_in_fake_time(main())


@pytest.mark.parametrize("end", ["lost", "timeout", "cancelled", "scope"])
def test_a_probe_without_a_response_lets_the_next_one_probe(end: str) -> None:
    async def main() -> None:
        silent = Reply(3.0, None) if end == "lost" else Reply(3600.0)
        async with scripted(30.0, FOR_EVER, silent, Reply(2.0), *[Reply(1.0)] * 9) as transport:
            context = context_of(transport, PATIENT)
            await _refused(context)
            scope = CancelScope()
            tasks = [asyncio.create_task(fetch(context, scope))]
            await asyncio.sleep(0)
            tasks += [asyncio.create_task(fetch(context)) for _ in range(3)]
            loop = asyncio.get_running_loop()
            if end == "cancelled":
                loop.call_at(1303.25, tasks[0].cancel)
            elif end == "scope":
                loop.call_at(1303.25, scope.cancel, "closed")
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            ended = 1330.25 if end == "timeout" else 1303.25
            assert transport.wire.sent_at[1:] == [1300.25, ended, ended + 2.0, ended + 2.0]
            assert isinstance(
                outcomes[0],
                {"cancelled": asyncio.CancelledError, "scope": RuntimeError}.get(end, TransportError),
            )
            assert not any(isinstance(outcome, BaseException) for outcome in outcomes[1:])

    run_in_fake_time(main())


def test_a_wait_for_the_probe_of_another_call_ends_with_its_deadline_or_its_cancellation() -> None:
    async def main() -> None:
        async with scripted(1000.0, FOR_EVER, Reply(900.0)) as transport:
            context = context_of(transport, PATIENT)
            (probe,) = await _held_back(context, transport, 1)
            brief = context_of(transport, POLICY)
            brief.gate = context.gate
            loop = asyncio.get_running_loop()
            began = loop.time()
            with pytest.raises(
                TransportError, match="exceeded while waiting for the response to a probe"
            ) as caught:
                await fetch(brief)
            assert caught.value.elapsed == 60.0
            assert caught.value.attempts == 0
            for end in ("cancel", "scope"):
                scope = CancelScope()
                task = asyncio.create_task(fetch(context, scope))
                if end == "cancel":
                    loop.call_later(5.0, task.cancel)
                else:
                    loop.call_later(5.0, scope.cancel, "closed")
                await asyncio.wait([task])
                assert task.cancelled() or isinstance(task.exception(), RuntimeError)
            assert loop.time() == began + 70.0
            await probe
            assert transport.sent == 2

    run_in_fake_time(main())


def test_the_refused_call_itself_probes_if_its_deadline_allows_what_was_asked() -> None:
    async def main() -> None:
        async with scripted(30.0, Reply(0.25, 429, 1000), Reply(1.0)) as transport:
            context = context_of(transport, RetryPolicy(wait_jitter=0.0, deadline=1001.0))
            await fetch(context)
            assert transport.wire.sent_at == [1000.0, 1300.25]

    run_in_fake_time(main())


def test_a_pause_within_the_limit_ends_for_all_at_once() -> None:
    async def main() -> None:
        async with scripted(30.0, Reply(0.25, 429, 300), *[Reply(1.0)] * 9) as transport:
            context = context_of(transport, PATIENT)
            with pytest.raises(RateLimitError):
                await fetch(context)
            await asyncio.gather(*(fetch(context) for _ in range(5)))
            assert transport.wire.sent_at == [1000.0, *[1300.25] * 5]
            assert not context.gate.asked

    run_in_fake_time(main())


@pytest.mark.parametrize("way", ["limiter", "slot"])
def test_those_who_queue_behind_a_probe_give_up_their_slots_and_are_not_forgotten(way: str) -> None:
    async def main() -> None:
        async with scripted(30.0, FOR_EVER, Reply(7.0), *[Reply(1.0)] * 9) as transport:
            context = context_of(transport, PATIENT, way=way)
            if way == "limiter":
                context.limiter = asyncio.Semaphore(3)
            await asyncio.gather(*await _held_back(context, transport, 10))
            assert transport.sent == 11

    run_in_fake_time(main())


# With real servers


def _refusal(retry_after: str, status: int = 429) -> bytes:
    return response({"code": status, "message": "no"}, status=status, headers=[("Retry-After", retry_after)])


def _in_a_year() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(days=365), usegmt=True)


@pytest.mark.parametrize(
    "value",
    [
        lambda: "1000000000",
        lambda: "9" * 400,
        lambda: str(int(time.time()) + 5),
        lambda: "5000",
        _in_a_year,
    ],
    ids=["1e9", "many digits", "Unix time", "milliseconds", "a date a year on"],
)
async def test_no_response_decides_over_the_life_of_a_client(
    value: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    probe_is_in = asyncio.Event()
    let_it_go = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if exchange.number == 1:
            await exchange.send(_refusal(value()))
            return
        if exchange.number == 2:
            probe_is_in.set()
            await let_it_go.wait()
        await exchange.send(OK)

    policy = RetryPolicy(hold_back_max=0.2)
    async with (
        WireServer(script) as server,
        ZillizClient("k", base_url=server.url, retry=policy, limiter=None) as client,
    ):
        with pytest.raises(RateLimitError) as caught:
            await client.list_clusters()
        assert caught.value.attempts == 1
        assert caught.value.retry_after is not None
        assert caught.value.retry_after >= 4999
        calls = [asyncio.create_task(client.list_clusters(current_page=page)) for page in range(1, 21)]
        await probe_is_in.wait()
        assert len(server.requests) == 2
        let_it_go.set()
        await asyncio.gather(*calls)
        assert len(server.requests) == 21
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(lines) == 1
    assert "no request is sent until" in lines[0]


async def test_many_that_are_refused_at_once_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    everyone_is_in = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if exchange.number == 20:
            everyone_is_in.set()
        await everyone_is_in.wait()
        await exchange.send(_refusal("3600", 503))

    async with WireServer(script) as server:
        async with ZillizClient("k", base_url=server.url, limiter=None) as client:
            calls = [client.list_clusters(current_page=page) for page in range(1, 21)]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(outcome, ServerError) for outcome in outcomes)
        (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert line.startswith(f"{server.url}: no request is sent until ")
        assert "UTC, as the service asks to wait 3600 s (Retry-After)" in line
        assert line.endswith("one is sent then, as a probe")
