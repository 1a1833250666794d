from __future__ import annotations

import asyncio
import logging
import math
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import pytest
from attrs import define, field, frozen
from hypothesis import given, strategies as st

from aiozilliz._aio.limiter import RetryAfterGate
from tests.support.fake_time import run_in_fake_time

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMIT = 300.0


def _gate() -> RetryAfterGate:
    return RetryAfterGate("prod", LIMIT)


def test_nothing_is_held_back_at_first() -> None:
    gate = _gate()
    assert not gate.asked
    assert gate.remaining(0.0) == gate.remaining(1000.0) == 0.0
    assert not gate.is_shut(0.0)


def test_the_latest_time_counts() -> None:
    gate = _gate()
    gate.close(1000.0, 10.0)
    gate.close(1000.0, 5.0)
    assert gate.remaining(1000.0) == 10.0
    gate.close(1000.0, 20.0)
    assert gate.remaining(1000.0) == 20.0
    assert gate.remaining(1019.5) == 0.5
    assert gate.is_shut(1019.5)
    assert gate.remaining(1020.0) == gate.remaining(2000.0) == 0.0
    assert not gate.is_shut(1020.0)


@given(st.lists(st.floats(0, 1e9)), st.floats(0, 1e9))
def test_what_remains_is_never_negative(waits: list[float], now: float) -> None:
    gate = _gate()
    for seconds in waits:
        gate.close(0.0, seconds)
    assert gate.remaining(now) == max(0.0, min(max(waits, default=0.0), LIMIT) - now)


@pytest.mark.parametrize("seconds", [300.5, 1e9, math.inf])
def test_after_the_limit_one_is_sent_and_the_others_follow_its_response(seconds: float) -> None:
    gate = _gate()
    gate.close(0.0, seconds)
    assert not gate.enter("first", 299.9)
    assert gate.enter("first", 300.0)
    assert not gate.enter("second", 300.0)
    assert not gate.enter("second", 9000.0)
    gate.leave("second", answered=True)
    assert gate.is_shut(9000.0)
    gate.leave("first", answered=True)
    assert not gate.asked
    assert gate.enter("second", 300.0)
    assert gate.enter("third", 300.0)


def test_what_is_within_the_limit_needs_no_probe() -> None:
    gate = _gate()
    gate.close(0.0, LIMIT)
    assert gate.enter("first", LIMIT)
    assert gate.enter("second", LIMIT)
    assert not gate.asked


def test_a_probe_without_a_response_lets_the_next_one_probe() -> None:
    gate = _gate()
    gate.close(0.0, 1e9)
    assert gate.enter("first", 300.0)
    gate.leave("first", answered=False)
    assert gate.asked
    assert gate.enter("second", 300.0)
    assert not gate.enter("third", 300.0)


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("seconds", [1e9, 1.0])
def test_an_older_request_that_is_refused_lets_no_second_probe_pass(
    seconds: float, *, answered: bool
) -> None:
    gate = _gate()
    gate.close(0.0, 1e9)
    assert gate.enter("probe", 300.0)
    gate.close(310.0, seconds)  # in flight since before the first refusal
    gate.leave("older", answered=True)
    assert not gate.enter("other", 900.0)
    gate.leave("probe", answered=answered)
    assert gate.remaining(310.0) == min(seconds, LIMIT)
    assert gate.enter("other", 900.0)
    assert gate.enter("another", 900.0) is (seconds <= LIMIT)


def test_a_probe_that_is_refused_holds_back_again_for_no_longer_than_the_limit() -> None:
    gate = _gate()
    gate.close(0.0, 1e9)
    for began in (300.0, 600.0, 900.0):
        assert gate.enter("probe", began)
        gate.close(began, 1e9)
        gate.leave("probe", answered=True)
        assert gate.remaining(began) == LIMIT
        assert not gate.enter("other", began + 299.0)
    assert gate.enter("probe", 1200.0)
    gate.close(1200.0, 5.0)
    gate.leave("probe", answered=True)
    assert not gate.enter("other", 1204.0)
    assert gate.enter("other", 1205.0)
    assert gate.enter("another", 1205.0)


def _told(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert {(record.name, record.levelno) for record in caplog.records} <= {("aiozilliz", logging.WARNING)}
    return [record.getMessage() for record in caplog.records]


def test_one_line_tells_until_when_requests_are_held_back(caplog: pytest.LogCaptureFixture) -> None:
    gate = _gate()
    before = datetime.now(UTC) + timedelta(seconds=99)
    for now in (0.0, 0.1, 0.5, 0.9):  # requests that were in flight together
        gate.close(now, 100.0)
    (line,) = _told(caplog)
    said = re.fullmatch(
        r"prod: no request is sent until (.*) UTC, as the service asks to wait 100 s \(Retry-After\)", line
    )
    assert said
    assert before <= datetime.fromisoformat(f"{said[1]}+00:00") <= datetime.now(UTC) + timedelta(seconds=100)


def test_what_gets_longer_is_told_again_and_so_is_the_next_time(caplog: pytest.LogCaptureFixture) -> None:
    gate = _gate()
    for now, seconds in ((0.0, 10.0), (0.0, 8.0), (2.0, 100.0), (102.0, 1.0), (102.5, 1.0), (200.0, 1e9)):
        gate.close(now, seconds)
    told = _told(caplog)
    assert [re.findall("wait ([0-9]+) s", line) for line in told] == [["10"], ["100"], ["1"], ["1000000000"]]
    assert ["probe" in line for line in told] == [False, False, False, True]


def test_a_creeping_pause_is_told_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    gate = _gate()
    for step in range(100):
        gate.close(step / 10, 100.0)
    assert len(_told(caplog)) == 10


# What becomes of many requests at once, by a second definition of what may be sent


@frozen
class Request:
    """A request: when it comes, how long its response takes, what it is, and when it is cancelled."""

    arrives: float
    takes: float
    reply: Literal["answered", "lost"] | float  # or the seconds of a Retry-After
    cancelled_after: float | None


@define
class Definition:
    """Says of each moment whether a request may be sent, from what was answered before."""

    closed: list[tuple[float, float]] = field(factory=list[tuple[float, float]])
    probe: Request | None = None
    needs_probe: bool = False
    until: float = -math.inf
    refused_since_probe: bool = False

    def on_send(self, request: Request, now: float) -> None:
        assert now >= self.until
        assert self.probe is None
        if self.needs_probe:
            self.probe = request
            self.refused_since_probe = False

    def on_refused(self, seconds: float, now: float) -> None:
        pauses = [] if now >= self.until else self.closed
        self.closed = [*pauses, (now, seconds)]
        self.until = max(began + min(asked, LIMIT) for began, asked in self.closed)
        self.needs_probe = any(asked > LIMIT for _, asked in self.closed)
        self.refused_since_probe = True

    def on_end(self, request: Request, *, answered: bool) -> None:
        if self.probe is request:
            self.probe = None
            self.needs_probe = self.needs_probe and not (answered and not self.refused_since_probe)


def _ends_of(requests: Sequence[Request]) -> list[float]:
    """Let all requests pass the gate as fast as they may; return when each ended. A deadlock is an error."""

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        gate, definition = _gate(), Definition()

        async def run(request: Request) -> None:
            await asyncio.sleep(request.arrives)
            while True:
                while gate.asked and gate.is_shut(loop.time()):
                    pause = gate.remaining(loop.time())
                    await (asyncio.sleep(pause) if pause else gate.probe_ended())
                await asyncio.sleep(0)  # whatever it waits for next
                if not gate.asked or gate.enter(request, loop.time()):
                    break
            definition.on_send(request, loop.time())
            answered = False
            try:
                await asyncio.sleep(request.takes)
                answered = request.reply != "lost"
                if isinstance(request.reply, float):
                    gate.close(loop.time(), request.reply)
                    definition.on_refused(request.reply, loop.time())
            finally:
                gate.leave(request, answered=answered)
                definition.on_end(request, answered=answered)

        async def start(request: Request) -> float:
            task = asyncio.create_task(run(request))
            if request.cancelled_after is not None:
                loop.call_later(request.cancelled_after, task.cancel)
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()
            return loop.time()

        return await asyncio.gather(*map(start, requests))

    return run_in_fake_time(main())


_requests = st.builds(
    Request,
    arrives=st.sampled_from([0.0, 1.0, 10.0, 299.0, 301.0, 650.0]),
    takes=st.sampled_from([0.0, 0.5, 5.0, 310.0]),
    reply=st.sampled_from(["answered", "lost", 1.0, 20.0, 300.0, 301.0, 1e9]),
    cancelled_after=st.none() | st.sampled_from([0.0, 5.0, 300.0, 305.0, 600.0]),
)


@given(st.lists(_requests, max_size=8))
def test_whatever_happens_one_probes_and_nobody_is_forgotten(requests: list[Request]) -> None:
    ends = _ends_of(requests)
    # Each refusal holds back for the limit, and each probe for as long as it takes, one after another.
    longest = 651.0 + sum(LIMIT + request.takes for request in requests)
    assert max(ends, default=0.0) <= 1000.0 + longest
