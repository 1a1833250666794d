from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import pytest

from aiozilliz import Cluster, ClusterEvent, EventKind
from benchmarks.soak import __main__ as soak
from benchmarks.soak.oracle import History, Replay, Span
from benchmarks.soak.service import FAULTS
from tests.support.exhaustive import EXHAUSTIVE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from aiozilliz.testing import Fault

linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what a process holds")

slow = pytest.mark.skipif(
    not EXHAUSTIVE,
    reason="each takes seconds, whatever it does: AIOZILLIZ_EXHAUSTIVE=1 runs them",
)


def records(*ids: str) -> list[dict[str, Any]]:
    return [{"clusterId": name, "cuSize": 1} for name in ids]


async def history_of(*states: Sequence[str], counted: bool = True) -> tuple[History, Span]:
    history = History(counted=counted)
    history.begin(records(*states[0]))
    ticket = history.open()
    for ids in states[1:]:

        async def change(given: Sequence[str] = ids) -> list[dict[str, Any]]:
            return records(*given)

        await history.change(change())
    return history, await history.close(ticket)


@linux
def test_a_small_soak_finds_nothing_wrong_and_leaves_nothing() -> None:
    result = soak.run(20, seed=20)

    # What a process that has run other tests still allocates, one as short as this can't tell from a leak.
    assert [text for text in result.ledger.violations if "allocated memory" not in text] == []
    assert result.ledger.outcomes.total() == 20
    assert result.after.tasks == 1
    assert result.after.connections == result.before.connections


@slow
@linux
@pytest.mark.parametrize("loop", soak.LOOPS)
def test_it_runs_on_each_loop(loop: str) -> None:
    if loop == "eager" and sys.version_info < (3, 12):
        pytest.skip("eager tasks came with Python 3.12")
    kinds: set[str] = set()

    def walked(clusters: AsyncIterator[Cluster]) -> AsyncIterator[Cluster]:
        running = asyncio.get_running_loop()
        kinds.add("eager" if running.get_task_factory() else type(running).__module__.partition(".")[0])
        return clusters

    result = soak.run(8, seed=20, loop=loop, walked=walked)

    assert kinds == {loop}
    assert [text for text in result.ledger.violations if "memory" not in text] == []
    assert result.operations == result.ledger.outcomes.total() == 8


@slow
@linux
def test_none_begins_after_the_bound() -> None:
    result = soak.run(sys.maxsize, seed=20, seconds=0.0)

    assert (result.operations, result.ledger.violations) == (0, [])


@slow
@linux
def test_an_iterator_that_drops_a_record_is_caught() -> None:
    async def walked(clusters: AsyncIterator[Cluster]) -> AsyncIterator[Cluster]:
        number = 0
        async for cluster in clusters:
            number += 1
            if number != 2:
                yield cluster

    result = soak.run(20, seed=20, walked=walked)

    assert any("existed throughout and is missing" in text for text in result.ledger.violations)


@slow
@linux
def test_a_task_that_is_left_is_caught() -> None:
    left: list[asyncio.Task[bool]] = []

    def walked(clusters: AsyncIterator[Cluster]) -> AsyncIterator[Cluster]:
        if not left:
            left.append(asyncio.create_task(asyncio.Event().wait()))
        return clusters

    result = soak.run(8, seed=20, walked=walked)

    assert "2 tasks are left, and there were 1 before" in result.ledger.violations


@slow
@linux
def test_memory_that_grows_is_caught(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hoard: list[bytes] = []

    def walked(clusters: AsyncIterator[Cluster]) -> AsyncIterator[Cluster]:
        hoard.append(bytes(1 << 18))
        return clusters

    def run(operations: int, seed: int, **bounds: Any) -> soak.Result:
        return ordinary(operations, seed, **bounds, walked=walked)

    ordinary = soak.run
    monkeypatch.setattr(soak, "run", run)

    assert soak.main(["--operations", "24", "--seed", "20"]) == 1
    told = capsys.readouterr().out
    assert "WRONG: allocated memory grew from" in told
    assert told.endswith("Again: python -m benchmarks.soak --operations 24 --seed 20 --loop asyncio\n")


@linux
def test_many_accounts_are_read_at_once_with_a_tenth_failing(capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(["--accounts", "40"]) == 0

    rows = [line.split("|")[1:3] for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    told = {name.strip(): value.strip() for name, value in rows}
    assert told["of which failed"] == "4"
    assert told["records"] == "9,000"
    assert told["connections left"] == "0"


async def test_a_listing_that_holds_all_is_right_and_one_that_holds_more_or_less_or_twice_is_wrong() -> None:
    history, span = await history_of("abc", "abcd")

    assert list(history.judge_ids("abc", span)) == []
    assert list(history.judge_ids("abcd", span)) == []
    assert list(history.judge_ids("abd", span)) == ["c existed throughout and is missing (1 in all)"]
    assert list(history.judge_ids("abca", span)) == ["a came twice"]
    assert list(history.judge_ids("abcx", span)) == ["x did not exist at the time"]


async def test_what_no_answer_can_show_is_not_asked_of_a_listing_without_proof() -> None:
    history, span = await history_of("abc", "bc", "bcd")

    assert list(history.judge_ids("bd", span)) == []
    assert list(history.judge_verified("bd", span)) == ["it holds the listing of no moment"]
    assert list(history.judge_verified("abcd", span)) == []


async def test_without_a_count_only_a_quiet_list_has_to_be_whole() -> None:
    changed, span = await history_of("abc", "xabc", counted=False)
    quiet, all_along = await history_of("abc", counted=False)

    assert list(changed.judge_ids("xab", span)) == []
    assert list(quiet.judge_ids("ab", all_along)) == ["c existed throughout and is missing (1 in all)"]


async def test_a_proven_listing_is_that_of_one_moment() -> None:
    history, span = await history_of("abc", "ab", "abd")
    a, b, c, d, e = (Cluster.from_dict(record) for record in records(*"abcde"))

    for right in ((a, b, c), (a, b), (b, a), (a, b, d)):
        assert list(history.judge_proven(right, span)) == []
    assert list(history.judge_proven((a, b, c, d), span)) == ["these 4 ids were never the listing"]
    assert list(history.judge_proven((a, b, b), span)) == ["these 3 ids were never the listing"]
    assert any("was never listed" in text for text in history.judge_proven((a, b, e), span))


async def test_the_order_counts_where_nothing_changed() -> None:
    history, span = await history_of("ab")
    a, b = (Cluster.from_dict(record) for record in records(*"ab"))

    assert list(history.judge_proven((a, b), span)) == []
    assert len(list(history.judge_proven((b, a), span))) == 1


async def test_misleading_answers_excuse_what_was_read_meanwhile_and_nothing_later() -> None:
    history = History()
    history.begin(records("a", "b"))
    ticket = history.open()
    spell = history.trouble(misleading=True)
    spell.over()
    meanwhile = await history.close(ticket)

    assert history.was_troubled(meanwhile)
    assert list(history.judge_ids("a", meanwhile)) == []
    later = Span(spell.ended + 1, spell.ended + 2)
    assert list(history.judge_ids("a", later)) == ["b existed throughout and is missing (1 in all)"]


def test_events_have_to_follow_from_those_before() -> None:
    small, large = Cluster("a", cu_size=1), Cluster("a", cu_size=2)
    added = ClusterEvent(EventKind.ADDED, small)
    modified = ClusterEvent(EventKind.MODIFIED, large, small, ("cu_size",))
    removed = ClusterEvent(EventKind.REMOVED, large, large)

    replay = Replay()
    assert [replay.take(event) for event in (added, modified, removed)] == [None, None, None]
    assert replay.clusters == {}
    assert replay.take(removed) is not None
    assert replay.take(modified) is not None
    assert replay.take(added) is not None


def test_every_kind_of_fault_is_used() -> None:
    from aiozilliz.testing import Fault

    makers = {name for name, value in vars(Fault).items() if isinstance(value, classmethod)}
    used = {fault_maker(make()) for make in FAULTS.values()}

    assert used == makers


def fault_maker(fault: Fault) -> str:
    return repr(fault).removeprefix("Fault.").partition("(")[0]
