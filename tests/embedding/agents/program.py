"""Uses the client under one agent, and writes as JSON what came of it and all that the agent would send.

    python -m tests.embedding.agents.program AGENT before|after

`before` and `after` is whether the agent is started before aiohttp is imported. A process of its own for each, as an
agent wraps aiohttp for good.
"""

from __future__ import annotations

import asyncio
import json
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tests.embedding.agents.agents import AGENTS
from tests.support import detector  # its KEY is in no local here: agents keep the locals of frames

if TYPE_CHECKING:
    from aiozilliz import ZillizClient
    from aiozilliz.testing import FakeZillizCloud
    from tests.embedding.agents.agents import Agent


async def use(client: ZillizClient, cloud: FakeZillizCloud, agent: Agent) -> dict[str, Any]:
    """List three pages with a retry, list while the service is down, and after a lost connection."""
    from aiozilliz import ZillizError
    from aiozilliz.testing import Fault

    cloud.fail_next(Fault.status(503))
    with agent.transaction():
        listed = len({cluster.cluster_id async for cluster in client.iter_clusters()})
    cloud.fail_next(Fault.status(503), times=None)
    with agent.transaction():
        try:
            await client.list_clusters()
        except ZillizError as error:
            failed = type(error).__name__
            agent.capture(error)
        else:
            failed = "not at all"
    cloud.clear_faults()
    cloud.fail_next(Fault.reset())
    with agent.transaction():
        again = (await client.list_clusters()).count
    return {"listed": listed, "failed": failed, "again": again}


async def calls(agent: Agent) -> dict[str, Any]:
    """Use a client with a session of its own, and one with a borrowed session."""
    import aiohttp

    from aiozilliz import RetryPolicy, ZillizClient
    from aiozilliz.testing import FakeZillizCloud

    retry = RetryPolicy(attempts=2, wait_initial=0.0, wait_max=0.0, wait_jitter=0.0)
    came_of_it: dict[str, Any] = {}
    async with (
        FakeZillizCloud(clusters=250, api_key=detector.KEY) as cloud,
        aiohttp.ClientSession(trace_configs=agent.trace_configs()) as session,
    ):
        for way, lent in (("own", None), ("borrowed", session)):
            asked, recorded = len(cloud.requests), agent.recorded()
            async with ZillizClient(
                detector.KEY, base_url=cloud.url, session=lent, limiter=None, retry=retry
            ) as client:
                outcome = await use(client, cloud, agent)
            requests = cloud.requests[asked:]
            came_of_it[way] = {
                **outcome,
                "propagated": [request.headers.get(agent.header) for request in requests],
                "recorded": agent.recorded().removeprefix(recorded),
            }
        with agent.transaction():
            try:
                fail()
            except RuntimeError as error:
                agent.capture(error)
    return {**came_of_it, "planted": agent.recorded()}


def fail() -> None:
    """Raise an error that shows the key."""
    raise RuntimeError(detector.KEY)


def main(name: str, order: str) -> None:
    """Start the agent, use the client, and write the outcome."""
    if order == "after":
        import_module("aiozilliz._client")
    assert ("aiohttp" in sys.modules) == (order == "after")
    agent = AGENTS[name]()
    outcome = asyncio.run(calls(agent))
    sys.stdout.write(json.dumps(outcome))


main(*sys.argv[1:])
