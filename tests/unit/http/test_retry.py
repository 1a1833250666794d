from __future__ import annotations

import asyncio
import copy
import math
import pickle
from itertools import product
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, strategies as st

from aiozilliz import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    DecodeError,
    RateLimitError,
    ResponseError,
    RetryPolicy,
    ServerError,
    TransportError,
    ZillizError,
)
from aiozilliz._http.retry import MAX_SPREAD, retry_after, spread, wait_before_retry

if TYPE_CHECKING:
    from collections.abc import Callable

NUMBERS = ("deadline", "wait_initial", "wait_max", "wait_jitter", "hold_back_max")


def test_the_defaults() -> None:
    policy = RetryPolicy()
    assert (policy.attempts, policy.deadline) == (5, 60.0)
    assert (policy.wait_initial, policy.wait_max, policy.wait_jitter) == (0.1, 5.0, 1.0)
    assert policy.hold_back_max == 300.0


def test_it_is_frozen_and_a_value() -> None:
    policy = RetryPolicy(attempts=3, deadline=10)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        policy.attempts = 4  # type: ignore[misc]  # this is what is tried
    assert policy == RetryPolicy(attempts=3, deadline=10.0)
    assert hash(policy) == hash(RetryPolicy(attempts=3, deadline=10.0))
    assert pickle.loads(pickle.dumps(policy)) == copy.deepcopy(policy) == policy
    assert attrs.evolve(policy, attempts=4).attempts == 4
    with pytest.raises(ValueError, match="attempts"):
        attrs.evolve(policy, attempts=0)


@pytest.mark.parametrize("wrong", [True, False, 1.0, "3", None])
def test_attempts_of_another_type_are_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="attempts must be an int"):
        RetryPolicy(attempts=wrong)


@pytest.mark.parametrize("wrong", [0, -1])
def test_less_than_one_attempt_is_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match="attempts must be at least 1"):
        RetryPolicy(attempts=wrong)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("wrong", [True, "1", None])
def test_seconds_of_another_type_are_refused(name: str, wrong: object) -> None:
    with pytest.raises(TypeError, match=f"{name} must be a number"):
        RetryPolicy(**{name: wrong})  # type: ignore[arg-type]  # this is what is tried


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("wrong", [-0.1, math.nan, math.inf, -math.inf, 10**400])
def test_seconds_out_of_range_are_refused(name: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a finite number"):
        RetryPolicy(**{name: wrong})


def test_waits_may_be_zero_and_other_times_not() -> None:
    RetryPolicy(wait_initial=0, wait_max=0, wait_jitter=0)
    with pytest.raises(ValueError, match="deadline must be a finite number of seconds above 0"):
        RetryPolicy(deadline=0)
    with pytest.raises(ValueError, match="hold_back_max must be a finite number of seconds above 0"):
        RetryPolicy(hold_back_max=0)


# What follows a failed attempt

POLICY = RetryPolicy(wait_initial=0.25, wait_max=4.0, wait_jitter=1.0)

KINDS: dict[str, Callable[[bool, float | None], ZillizError]] = {
    "zilliz": lambda again, _: ZillizError("x", retryable=again),
    "configuration": lambda again, _: ConfigurationError("x", retryable=again),
    "transport": lambda again, _: TransportError("x", retryable=again),
    "lost": lambda again, _: _lost(retryable=again),
    "response": lambda again, _: ResponseError("x", retryable=again),
    "decode": lambda again, _: DecodeError("x", index=0, retryable=again),
    "api": lambda again, after: APIError("x", status=408, retry_after=after, retryable=again),
    "key": lambda again, after: AuthenticationError("x", status=401, retry_after=after, retryable=again),
    "rate": lambda again, after: RateLimitError("x", status=429, retry_after=after, retryable=again),
    "server": lambda again, after: ServerError("x", status=503, retry_after=after, retryable=again),
}
AFTER = [None, 0.0, 2.0, 9.999, 10.0, 3600.0, math.inf, math.nan]
REFUSALS = {"api", "key", "rate", "server"}


def _lost(*, retryable: bool) -> TransportError:
    error = TransportError("x", retryable=retryable)
    error.lost_connection = True
    return error


def _upper(_: float, high: float) -> float:
    return high


def _lower(low: float, _: float) -> float:
    return low


def _decide(
    error: BaseException,
    *,
    failed: int = 1,
    time_left: float = 10.0,
    policy: RetryPolicy = POLICY,
    uniform: Callable[[float, float], float] = _lower,
) -> float | None:
    return wait_before_retry(error, failed=failed, policy=policy, time_left=time_left, uniform=uniform)


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_table(kind: str) -> None:
    for failed, after, time_left in product([1, 2, 3, 9], AFTER, [-1.0, 0.0, 10.0]):
        case = failed, after, time_left
        assert _decide(KINDS[kind](False, after), failed=failed, time_left=time_left) is None, case
        wait = _decide(KINDS[kind](True, after), failed=failed, time_left=time_left, uniform=_upper)
        if time_left <= 0:
            assert wait is None, case
        elif kind in REFUSALS and after is not None and after > 0:
            if after < time_left:
                assert wait == (after + MAX_SPREAD if after + MAX_SPREAD < time_left else after), case
            else:
                assert wait is None, case
        elif kind == "lost" and failed == 1:
            assert wait == 0.25, case
        else:
            assert wait == {1: 1.25, 2: 1.5, 3: 2.0, 9: 4.0}[failed], case


def test_waits_double_up_to_the_longest() -> None:
    error = TransportError("x", retryable=True)
    policy = RetryPolicy(wait_initial=0.5, wait_max=10, wait_jitter=0)
    waits = [_decide(error, failed=failed, policy=policy) for failed in (1, 2, 3, 4, 5, 6, 2000, 10**9)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]


def test_the_refused_call_waits_no_longer_than_all_are_held_back() -> None:
    error = RateLimitError("x", status=429, retry_after=5000.0, retryable=True)
    policy = RetryPolicy(hold_back_max=60.0)
    assert _decide(error, policy=policy, time_left=6000.0) == 60.0
    assert _decide(error, policy=policy, time_left=6000.0, uniform=_upper) == 60.0 + MAX_SPREAD
    assert _decide(error, policy=policy, time_left=5000.0) is None


@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        KeyboardInterrupt(),
        SystemExit(),
        GeneratorExit(),
        TimeoutError(),
        ConnectionResetError(),
        ValueError("x"),
        RuntimeError("closed"),
        ExceptionGroup("x", [TransportError("x", retryable=True)]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_of_others_are_never_tried_again(error: BaseException) -> None:
    assert _decide(error) is None


def test_an_error_of_others_with_our_attributes_is_not_tried_again() -> None:
    error = OSError()
    vars(error).update(retryable=True, retry_after=1.0, lost_connection=True)
    assert _decide(error) is None


def test_a_wait_that_fits_into_the_last_moment_is_taken() -> None:
    policy = RetryPolicy(wait_initial=0.25, wait_jitter=0)
    assert _decide(TransportError("x", retryable=True), policy=policy, time_left=0.5) == 0.25


def test_a_lost_connection_waits_no_longer_than_any() -> None:
    assert _decide(_lost(retryable=True), policy=RetryPolicy(wait_initial=9.0, wait_max=0.5)) == 0.5


def test_those_held_back_are_spread() -> None:
    error = RateLimitError("x", status=429, retry_after=2.0, retryable=True)
    assert _decide(error, uniform=_upper) == 2.0 + MAX_SPREAD
    assert _decide(error, uniform=_upper, policy=RetryPolicy(wait_jitter=0.125)) == 2.125
    assert _decide(error, uniform=_upper, policy=RetryPolicy(wait_jitter=0)) == 2.0
    assert _decide(error, uniform=_upper, time_left=2.25) == 2.0
    assert _decide(error, uniform=_upper, time_left=2.0 + MAX_SPREAD) == 2.0


@given(st.floats(0.0, 1e6), st.floats(0.0, 1.0))
def test_the_spread_is_bounded(jitter: float, chance: float) -> None:
    seconds = spread(RetryPolicy(wait_jitter=jitter), lambda low, high: low + (high - low) * chance)
    assert 0.0 <= seconds <= min(jitter, MAX_SPREAD)


@pytest.mark.parametrize(
    ("after", "retryable", "asked"),
    [
        (3.5, True, 3.5),
        (3.5, False, None),
        (0.5, True, 0.5),
        (0.0, True, None),
        (-1.0, True, None),
        (math.nan, True, None),
        (None, True, None),
    ],
)
def test_what_the_service_asked_for(after: float | None, retryable: bool, asked: float | None) -> None:
    assert retry_after(RateLimitError("x", status=429, retry_after=after, retryable=retryable)) == asked
    assert retry_after(TransportError("x", retryable=retryable)) is None


@given(
    kind=st.sampled_from(sorted(KINDS)),
    retryable=st.booleans(),
    failed=st.integers(1, 10**6),
    after=st.none() | st.floats(),
    time_left=st.floats(allow_nan=False),
    chance=st.floats(0.0, 1.0),
    waits=st.tuples(*[st.floats(0.0, 1e9)] * 3),
    hold_back_max=st.floats(0.1, 1e9),
)
def test_a_wait_is_never_negative_nor_at_or_beyond_the_deadline(
    kind: str,
    retryable: bool,
    failed: int,
    after: float | None,
    time_left: float,
    chance: float,
    waits: tuple[float, float, float],
    hold_back_max: float,
) -> None:
    policy = RetryPolicy(
        wait_initial=waits[0], wait_max=waits[1], wait_jitter=waits[2], hold_back_max=hold_back_max
    )
    error = KINDS[kind](retryable, after)
    wait = wait_before_retry(
        error,
        failed=failed,
        policy=policy,
        time_left=time_left,
        uniform=lambda low, high: low + (high - low) * chance,
    )
    if not retryable:
        assert wait is None
    if wait is not None:
        assert wait >= 0
        if retry_after(error) is not None:
            assert after is not None
            assert min(after, hold_back_max) <= wait < time_left
            assert after < time_left
        else:
            assert wait <= policy.wait_max
