"""The watches of many accounts as one, on a clock that jumps."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TypeAlias

import pytest
from attrs import define, field

from aiozilliz import (
    Account,
    AuthenticationError,
    Cluster,
    ConfigurationError,
    InventoryError,
    InventoryReport,
    InventoryWatcher,
    ServerError,
    Snapshot,
)
from aiozilliz._aio.cancel_scope import CancelScope, Lifetime, sleep
from aiozilliz._http.wire import is_refusal_by_service
from aiozilliz._iteration.poller import Poller
from tests.support.fake_time import run_in_fake_time

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
INTERVAL = 60.0

Told: TypeAlias = tuple[str, str, str]
Reading: TypeAlias = Callable[[str, int], list[str] | Exception]


def snapshot(ids: list[str], number: int = 0) -> Snapshot:
    clusters = [Cluster(cluster_id) for cluster_id in ids]
    return Snapshot(clusters, NOON + timedelta(minutes=number), 1, consistent=True)


def listed(report: InventoryReport | None) -> dict[str, list[str]] | None:
    if report is None:
        return None
    return {name: [cluster.cluster_id for cluster in one] for name, one in report.snapshots.items()}


def refused() -> AuthenticationError:
    return AuthenticationError("refused", status=401, code=21119)


async def nothing() -> None:
    """Have nothing to release."""


def running() -> int:
    """Give how many readings are under way."""
    return sum(task.get_name().startswith("aiozilliz") for task in asyncio.all_tasks())


@define
class World:
    """Accounts, and what each of their readings brings.

    Attributes:
        names: The accounts.
        reading: Gives the ids, or the error, of an account's reading with this number, from 0.
        takes: Seconds that a reading takes.
    """

    names: list[str]
    reading: Reading
    takes: Callable[[str], float] = lambda _: 1.0
    starts: dict[str, list[float]] = field(factory=dict[str, list[float]], init=False)
    life: Lifetime = field(factory=lambda: Lifetime("inventory", "", lambda: True, nothing), init=False)

    def watch(self, since: InventoryReport | None = None, confirmations: int = 2) -> InventoryWatcher:
        def make_poller(account: Account, known: Snapshot | None, offset: float) -> Poller:
            async def take(scope: CancelScope, listed_before: Collection[str], seen: set[str]) -> Snapshot:
                del listed_before
                starts = self.starts.setdefault(account.name, [])
                starts.append(asyncio.get_running_loop().time())
                await sleep(self.takes(account.name), scope)
                found = self.reading(account.name, len(starts) - 1)
                if isinstance(found, Exception):
                    raise found
                seen.update(found)
                return snapshot(found, len(starts))

            return Poller(
                take,
                sleep,
                CancelScope(self.life.scope),
                name=account.name,
                interval=INTERVAL,
                since=known,
                confirmations=confirmations,
                is_refusal=is_refusal_by_service,
                fixed_key=True,
                check_open=self.life.check_open,
                offset=offset,
            )

        accounts = [Account(name, "k") for name in self.names]
        return InventoryWatcher(accounts, make_poller, self.life, since)


async def take(watcher: InventoryWatcher, number: int) -> list[Told]:
    told: list[Told] = []
    for _ in range(number):
        account, event = await anext(watcher)
        told.append((account.name, str(event.kind), event.cluster.cluster_id))
    return told


def growing(name: str, number: int) -> list[str]:
    """Have one cluster more in each reading."""
    return [f"{name}-{n}" for n in range(number + 1)]


def test_each_account_tells_what_changes_in_it() -> None:
    async def main() -> None:
        async with World(["a", "b"], growing).watch() as watcher:
            assert sorted(await take(watcher, 2)) == [("a", "added", "a-0"), ("b", "added", "b-0")]
            assert sorted(await take(watcher, 2)) == [("a", "added", "a-1"), ("b", "added", "b-1")]
            assert listed(watcher.report) == {"a": ["a-0", "a-1"], "b": ["b-0", "b-1"]}

    run_in_fake_time(main())


def test_readings_are_spread_over_the_interval_and_never_closer_than_it() -> None:
    names = [f"a{n:02}" for n in range(20)]
    world = World(names, growing)

    async def main() -> None:
        async with world.watch() as watcher:
            await take(watcher, 20 * 6)

    run_in_fake_time(main())
    begin = min(starts[0] for starts in world.starts.values())
    assert all(starts[0] == begin for starts in world.starts.values())
    for starts in world.starts.values():
        assert all(later - earlier >= INTERVAL * 0.95 for earlier, later in pairwise(starts))
        assert all(later - earlier <= INTERVAL * 1.05 for earlier, later in pairwise(starts[1:]))
    second = sorted(starts[1] - begin for starts in world.starts.values())
    assert all(later - earlier <= INTERVAL / 20 + INTERVAL * 0.1 for earlier, later in pairwise(second))
    assert second[-1] - second[0] >= INTERVAL * 0.8


def test_one_accounts_outage_holds_nobody_back(caplog: pytest.LogCaptureFixture) -> None:
    def reading(name: str, number: int) -> list[str] | Exception:
        return (
            ServerError("out of order", status=500) if name == "b" and number < 3 else growing(name, number)
        )

    world = World(["a", "b", "c"], reading, takes=lambda name: 300.0 if name == "b" else 1.0)

    async def main() -> None:
        async with world.watch() as watcher:
            told = await take(watcher, 10)
            assert {name for name, _, _ in told} == {"a", "c"}
            while told[-1][0] != "b":
                told += await take(watcher, 1)

    run_in_fake_time(main())
    assert len(world.starts["a"]) > 15
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 2


def test_a_refused_key_ends_that_accounts_watch_and_is_told_to_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def reading(name: str, number: int) -> list[str] | Exception:
        return refused() if name == "b" and number >= 2 else growing(name, number)

    async def main() -> None:
        world = World(["a", "b"], reading)
        async with world.watch() as watcher:
            told = await take(watcher, 9)
            assert [name for name, _, _ in told].count("b") == 2
            assert len(world.starts["b"]) == 4
            known = listed(watcher.report)
            assert known is not None
            assert known["b"] == ["b-0", "b-1"]  # what was known last

    run_in_fake_time(main())
    outage, record = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert (outage.levelno, record.levelno) == (logging.WARNING, logging.ERROR)
    assert "'b'" in record.getMessage()
    assert "refused" in record.getMessage()


def test_when_no_account_is_left_the_error_names_them_all_and_comes_again() -> None:
    def reading(name: str, number: int) -> list[str] | Exception:
        if name == "late" and number < 3:
            return growing(name, number)
        return ConfigurationError("no key") if name == "odd" else refused()

    async def main() -> None:
        watcher = World(["late", "early", "odd"], reading).watch()
        assert len(await take(watcher, 3)) == 3
        for _ in range(2):
            with pytest.raises(InventoryError, match="No account is left") as caught:
                await anext(watcher)
            assert list(caught.value.failures) == ["late", "early", "odd"]
            assert type(caught.value.failures["early"]) is AuthenticationError
            assert type(caught.value.failures["odd"]) is ConfigurationError
        assert listed(watcher.report) == {"late": ["late-0", "late-1", "late-2"]}

    run_in_fake_time(main())


def test_of_no_accounts_there_is_nothing_to_tell() -> None:
    async def main() -> None:
        watcher = World([], growing).watch()
        assert [pair async for pair in watcher] == []
        assert watcher.report is None

    run_in_fake_time(main())


# the report


def test_the_report_moves_on_with_each_event_and_stays_when_it_is_closed() -> None:
    def reading(name: str, number: int) -> list[str]:
        return [f"{name}-{n}" for n in range(3 + number)]

    async def main() -> None:
        told: dict[str, list[str]] = {}
        world = World(["a", "b"], reading, takes=lambda name: 1.0 if name == "a" else 9.0)
        async with world.watch() as watcher:
            assert watcher.report is None
            for _ in range(9):
                ((name, _, cluster_id),) = await take(watcher, 1)
                told.setdefault(name, []).append(cluster_id)
                assert listed(watcher.report) == told
                await asyncio.sleep(0)
                assert listed(watcher.report) == told
            report = watcher.report
            assert report is not None
            await asyncio.sleep(20 * INTERVAL)
            assert watcher.report == report
        assert watcher.report == report
        await world.life.close()
        assert watcher.report == report

    run_in_fake_time(main())


def test_the_report_is_only_consistent_where_nothing_of_a_reading_is_left() -> None:
    def reading(name: str, number: int) -> list[str]:
        return [f"{name}-{n}" for n in range(2)]

    async def main() -> None:
        async with World(["a", "b"], reading).watch() as watcher:
            for unproven in (["a"], [], ["b"], []):
                await take(watcher, 1)
                assert watcher.report is not None
                assert list(watcher.report.unproven) == unproven

    run_in_fake_time(main())


def test_a_quiet_reading_moves_the_report_and_closing_does_not_turn_it_back() -> None:
    async def main() -> None:
        world = World(["a"], lambda name, number: ["a-0"])
        watcher = world.watch()
        await take(watcher, 1)
        waiting = asyncio.create_task(take(watcher, 1))
        await asyncio.sleep(10 * INTERVAL)
        report = watcher.report
        assert report is not None
        assert report.taken_at >= NOON + timedelta(minutes=9)
        await watcher.aclose()
        await asyncio.wait([waiting])
        assert isinstance(waiting.exception(), RuntimeError)
        assert watcher.report == report

    run_in_fake_time(main())


@pytest.mark.parametrize("kill_at", range(1, 11))
def test_stopped_after_any_event_it_goes_on_without_a_gap_or_a_repeat(kill_at: int) -> None:
    stories = {
        "a": [["x", "y"], ["y", "z"], ["y", "z"], ["z"]],
        "b": [["x"], [], [], ["x", "y", "z"]],
    }

    async def run(told: list[Told], stored: str | None, left: int) -> tuple[str | None, dict[str, int]]:
        since = None if stored is None else InventoryReport.from_json(stored)
        world = World(["a", "b"], lambda name, n: stories[name][min(n, len(stories[name]) - 1)])
        async with world.watch(since) as watcher, asyncio.timeout(30 * INTERVAL):
            while left:
                told += await take(watcher, 1)
                assert watcher.report is not None
                stored, left = watcher.report.to_json(), left - 1
        return stored, {name: len(starts) for name, starts in world.starts.items()}

    async def main() -> list[Told]:
        told: list[Told] = []
        stored, read = await run(told, None, kill_at)
        for name in stories:
            stories[name] = stories[name][max(0, read[name] - 1) :]
        with suppress(TimeoutError):
            await run(told, stored, 99)
        return told

    assert sorted(run_in_fake_time(main())) == sorted(
        [
            *[("a", "added", "x"), ("a", "added", "y"), ("a", "added", "z")],
            *[("a", "removed", "x"), ("a", "removed", "y")],
            *[("b", "added", "x"), ("b", "removed", "x")],
            *[("b", "added", "x"), ("b", "added", "y"), ("b", "added", "z")],
        ]
    )


def test_it_says_whose_watch_has_ended_and_who_fails_now() -> None:
    def reading(name: str, number: int) -> list[str] | Exception:
        if name == "gone" and number >= 1:
            return refused()
        if name == "ill" and 1 <= number < 4:
            return ServerError("out of order", status=500)
        return growing(name, number)

    async def main() -> None:
        since = InventoryReport({"gone": snapshot([])}, {"ill": refused()}, NOON)
        async with World(["ill", "gone", "well"], reading).watch(since) as watcher:
            assert (watcher.failures, watcher.outages) == ({}, {})
            states: list[tuple[list[str], list[str]]] = []
            while (await take(watcher, 1))[0][2] != "ill-4":
                state = list(watcher.failures), list(watcher.outages)
                if state not in states:
                    states.append(state)
                assert watcher.report is not None
                assert watcher.report.failures == watcher.failures
            assert states[0] == ([], [])
            assert (["gone"], ["ill"]) in states
            assert all("well" not in failures + outages for failures, outages in states)
            assert type(watcher.failures["gone"]) is AuthenticationError
            assert watcher.outages == {}
            known = listed(watcher.report)
            assert known is not None
            assert known["gone"] == ["gone-0"]
            assert list(known) == ["ill", "gone", "well"]

    run_in_fake_time(main())


def test_an_account_that_can_not_be_read_stays_in_the_report_as_it_was() -> None:
    def reading(name: str, number: int) -> list[str] | Exception:
        return ConfigurationError("no key") if name == "b" else growing(name, number)

    async def main() -> None:
        since = InventoryReport({"b": snapshot(["b-7"])}, {}, NOON)
        async with World(["a", "b"], reading).watch(since) as watcher:
            assert listed(watcher.report) == {"b": ["b-7"]}
            await take(watcher, 3)
            assert listed(watcher.report) == {"a": growing("a", 2), "b": ["b-7"]}
            assert list(watcher.failures) == ["b"]

    run_in_fake_time(main())


def test_the_report_follows_readings_that_tell_nothing() -> None:
    def reading(name: str, number: int) -> list[str]:
        return [] if name == "empty" else ["a-0"] if name == "quiet" else growing(name, number)

    async def main() -> None:
        async with World(["empty", "quiet", "busy"], reading).watch() as watcher:
            await take(watcher, 1)
            while (await take(watcher, 1))[0][2] != "busy-5":
                pass
            report = watcher.report
            assert listed(report) == {"empty": [], "quiet": ["a-0"], "busy": growing("busy", 5)}
            assert report is not None
            assert report.snapshots["quiet"].taken_at > NOON + timedelta(minutes=1)
            assert report.taken_at == max(one.taken_at for one in report.snapshots.values())
            assert not report.failures

    run_in_fake_time(main())


def test_a_restarted_watch_goes_on_without_a_gap_or_a_repeat() -> None:
    hour = [0]

    def reading(name: str, number: int) -> list[str]:
        return [f"{name}-{n}" for n in range(hour[0] + 1)]

    async def main() -> None:
        async with World(["a", "b"], reading).watch() as watcher:
            await take(watcher, 2)
            report = watcher.report
        assert report is not None
        hour[0] = 2
        since = InventoryReport.from_json(report.to_json())
        async with World(["b", "c", "a"], reading).watch(since) as watcher:
            assert listed(watcher.report) == {"a": ["a-0"], "b": ["b-0"]}
            told = await take(watcher, 7)
            assert sorted(told) == sorted(
                [(name, "added", f"{name}-{n}") for name in "ab" for n in (1, 2)]
                + [("c", "added", f"c-{n}") for n in range(3)]
            )
            assert listed(watcher.report) == {name: [f"{name}-{n}" for n in range(3)] for name in "bca"}

    run_in_fake_time(main())


def test_a_removal_awaits_its_confirmation() -> None:
    def reading(name: str, number: int) -> list[str]:
        return ["a-0"] if number != 0 else ["a-0", "a-1"]

    async def main() -> None:
        world = World(["a"], reading)
        async with world.watch(confirmations=3) as watcher:
            await take(watcher, 2)
            assert await take(watcher, 1) == [("a", "removed", "a-1")]
            assert len(world.starts["a"]) == 4

    run_in_fake_time(main())


# its life


def test_closing_ends_all_readings_and_the_task_that_waits() -> None:
    async def main() -> None:
        world = World([f"a{n}" for n in range(50)], growing, takes=lambda _: 30.0)
        watcher = world.watch()
        waiting = asyncio.create_task(anext(watcher))
        await asyncio.sleep(10.0)
        assert running() == 50
        await watcher.aclose()
        assert not running()
        with pytest.raises(RuntimeError, match="closed"):
            await waiting
        await watcher.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await anext(watcher)

    run_in_fake_time(main())


def test_closing_what_it_belongs_to_ends_it_and_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        world = World(["a", "b"], growing)
        watcher = world.watch()
        await take(watcher, 2)
        waiting = asyncio.create_task(anext(watcher))
        await asyncio.sleep(5.0)
        await world.life.close()
        with pytest.raises(RuntimeError, match="the inventory is closed"):
            await waiting
        with pytest.raises(RuntimeError, match="the inventory is closed"):
            await anext(watcher)

    run_in_fake_time(main())
    assert not caplog.records


def test_a_second_task_is_refused() -> None:
    async def main() -> None:
        async with World(["a"], growing).watch() as watcher:
            first = asyncio.create_task(take(watcher, 2))
            await asyncio.sleep(0.5)
            with pytest.raises(RuntimeError, match="another task"):
                await anext(watcher)
            assert await first == [("a", "added", "a-0"), ("a", "added", "a-1")]

    run_in_fake_time(main())


def test_after_a_cancelled_wait_nothing_is_lost() -> None:
    async def main() -> None:
        async with World(["a", "b", "c"], growing).watch() as watcher:
            told: list[Told] = []

            async def read() -> None:
                while True:
                    told.extend(await take(watcher, 1))

            for _ in range(40):
                task = asyncio.create_task(read())
                await asyncio.sleep(17.3)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            for name in "abc":
                mine = [i for account, _, i in told if account == name]
                assert len(mine) > 5
                assert mine == [f"{name}-{n}" for n in range(len(mine))]

    run_in_fake_time(main())


def test_a_slow_consumer_lets_no_account_read_ahead() -> None:
    async def main() -> None:
        world = World(["a", "b"], growing)
        async with world.watch() as watcher:
            await take(watcher, 1)
            await asyncio.sleep(100 * INTERVAL)
            assert [len(starts) for starts in world.starts.values()] == [1, 1]

    run_in_fake_time(main())


def test_one_that_is_forgotten_takes_its_tasks_with_it() -> None:
    async def main() -> None:
        world = World(["a", "b", "c"], growing)
        watcher = world.watch()
        await take(watcher, 4)
        assert running()
        forgotten = weakref.ref(watcher)
        del watcher
        gc.collect()
        assert forgotten() is None
        await asyncio.sleep(1.0)
        assert not running()

    run_in_fake_time(main())


def test_it_says_what_it_watches() -> None:
    async def main() -> None:
        assert repr(World(["a", "b"], growing).watch()) == "<InventoryWatcher of 2 accounts>"

    run_in_fake_time(main())
