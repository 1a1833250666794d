"""The embedded fake clouds of `--demo`. All other options of a command treat them like the service."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp

import aiozilliz
import aiozilliz.testing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from aiozilliz.testing import FakeZillizCloud

ORGANISATIONS = {"production": 250, "staging": 40, "research": 12}
"""Name to number of clusters."""

DEFAULT = "production"
"""The one that is used without `--org` and `--all-orgs`."""

CHANGE_SECONDS = 2.0
"""Seconds between two changes of the list while a demo is watched."""


@asynccontextmanager
async def demo_accounts(
    wanted: Sequence[str] | None, *, changing: bool = False
) -> AsyncGenerator[list[aiozilliz.Account], None]:
    """Serve the demo's organisations, and provide their accounts.

    Args:
        wanted: The names of those to serve; None is all.
        changing: Whether the first one's list keeps changing by itself.

    Yields:
        The accounts.

    Raises:
        ConfigurationError: There is no organisation of this name.
    """
    names = [name for name in ORGANISATIONS if wanted is None or name in wanted]
    if wanted is not None and (unknown := {*wanted} - {*names}):
        raise aiozilliz.ConfigurationError(
            f"The demo has no organisation {', '.join(sorted(unknown))}",
            advice=f"It has {', '.join(ORGANISATIONS)}.",
        )
    accounts: list[aiozilliz.Account] = []
    clouds: list[FakeZillizCloud] = []
    async with AsyncExitStack() as stack:
        for seed, name in enumerate(ORGANISATIONS):
            if name not in names:
                continue
            key = f"demo-key-of-{name}"
            cloud = aiozilliz.testing.FakeZillizCloud(ORGANISATIONS[name], seed=seed, api_key=key)
            clouds.append(await stack.enter_async_context(cloud))
            accounts.append(aiozilliz.Account(name, key, base_url=cloud.url))
        if not changing:
            yield accounts
            return
        changes = asyncio.create_task(_keep_changing(clouds[0]))
        try:
            yield accounts
        finally:
            changes.cancel()


def demo_session() -> aiohttp.ClientSession:
    """Return a session that connects to the demo directly, whatever proxies the environment names."""
    return aiohttp.ClientSession()


async def _keep_changing(cloud: FakeZillizCloud) -> None:
    for number in itertools.count(1):
        await asyncio.sleep(CHANGE_SECONDS)
        change(cloud, number)


def change(cloud: FakeZillizCloud, number: int) -> None:
    """Change one cluster of the list: the first time one is created, then it is running, then deleted, and so on."""
    name = f"demo-{(number + 2) // 3}"
    if number % 3 == 1:
        cloud.add(clusterId=f"in01-{name}", clusterName=name, status="CREATING", plan="Standard", cuSize=1)
    elif number % 3:
        cloud.update(f"in01-{name}", status="RUNNING")
    else:
        cloud.remove(f"in01-{name}")
