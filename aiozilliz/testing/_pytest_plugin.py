"""The pytest plugin: fixtures that run a fake Zilliz Cloud.

Every test run in this environment imports it, so it imports pytest and nothing else.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from aiozilliz import testing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def fake_zilliz_cloud() -> Iterator[testing.FakeZillizCloud]:
    """A running `aiozilliz.testing.FakeZillizCloud` with 250 made-up clusters that accepts any key."""
    with testing.FakeZillizCloud(clusters=250) as cloud:
        yield cloud


@pytest.fixture
def make_fake_zilliz_cloud() -> Iterator[Callable[..., testing.FakeZillizCloud]]:
    """A function that starts a `FakeZillizCloud`, with the same arguments as the class.

    Yields:
        The function. When the test ends, all fakes are closed, the last one first.
    """
    with ExitStack() as clouds:

        def make(*args: Any, **options: Any) -> testing.FakeZillizCloud:
            return clouds.enter_context(testing.FakeZillizCloud(*args, **options))

        yield make
