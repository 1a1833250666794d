"""A share of the chaos of `tests.fuzz.chaos`; with `AIOZILLIZ_EXHAUSTIVE=1` there are more walks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.fuzz import chaos
from tests.support.exhaustive import EXHAUSTIVE

if TYPE_CHECKING:
    from collections.abc import Callable

WALKS = 20_000 if EXHAUSTIVE else 600


@pytest.mark.parametrize("mode", chaos.MODES)
def test_no_cluster_is_lost_and_nothing_is_proven_falsely(mode: str) -> None:
    came = Counter(chaos.walk(seed, mode) for seed in range(WALKS // len(chaos.MODES)))
    good = came["complete"] + came["proven"]
    assert good > 0.5 * came.total(), came
    assert came["raised"] < 0.1 * came.total(), came


@pytest.mark.parametrize("bound", [["--walks", "3"], ["--seconds", "0.001"]])
def test_it_ends_at_its_bound_and_says_how_its_walks_ended(
    bound: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert chaos.main(["--seed", "7", *bound]) == 0
    said = capsys.readouterr()
    if bound[0] == "--walks":
        assert said.out.startswith("9 walks from seed 7 on Python ")
    assert "WRONG" not in said.out + said.err


def lie(seed: int, mode: str) -> str:
    assert (seed, mode) != (8, "verify")
    return "complete"


def fail(seed: int, mode: str) -> str:
    if (seed, mode) == (8, "verify"):
        pytest.fail("lost in the open")
    return "complete"


@pytest.mark.parametrize("walk", [lie, fail])
def test_a_walk_that_breaks_a_promise_is_named(
    walk: Callable[[int, str], str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chaos, "walk", walk)
    assert chaos.main(["--seed", "7", "--walks", "3"]) == 1
    said = capsys.readouterr()
    assert "WRONG: walk(8, 'verify')" in said.err
    assert "8 complete, 1 WRONG" in said.out
