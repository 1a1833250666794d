"""What goes on beside the operations until the end: services change and fail, and their lists are watched."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Final

from aiozilliz import AuthenticationError, Cluster, InventoryError, InventoryReport, Snapshot
from benchmarks.soak.oracle import Replay
from benchmarks.soak.service import FAULTS
from benchmarks.soak.world import WATCHED, World

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiozilliz import ClusterEvent

_INTERVAL: Final = 0.05
_SETTLES_WITHIN: Final = 60.0


async def change(world: World, cloud: int) -> None:
    """Add, modify and remove clusters of a cloud until `calm` is set."""
    rng = Random(f"{world.seed}/changes/{cloud}")
    history = world.histories[cloud]
    size = len(history.now)
    while not world.calm.is_set():
        ids = list(history.now)
        kinds = ["update"] * bool(ids) + ["add"] * (len(ids) < size + 5) + ["remove"] * (len(ids) > size - 5)
        match rng.choice(kinds) if ids else "add":
            case "add":
                command = world.services.do(cloud, "add", index=rng.randint(0, len(ids)))
            case "remove":
                command = world.services.do(cloud, "remove", id=rng.choice(ids))
            case _:
                command = world.services.do(cloud, "update", id=rng.choice(ids), cu_size=rng.randint(1, 256))
        await history.change(command)
        await asyncio.sleep(0.5 if rng.random() < 0.1 else rng.uniform(0.005, 0.1))


async def fail(world: World, cloud: int) -> None:
    """Make a cloud's responses fail now and then until `calm` is set."""
    rng = Random(f"{world.seed}/faults/{cloud}")
    history = world.histories[cloud]
    while not world.calm.is_set():
        await asyncio.sleep(rng.uniform(0.0, 0.5))
        fault = rng.choice(list(FAULTS))
        # An old page looks like a new one, and without a count a page that is not found is the end of the list.
        misleading = fault == "repeat_page" or (fault == "404" and not history.counted)
        spell = history.trouble(misleading=misleading)
        await world.services.do(cloud, "fail", fault=fault, times=rng.choice((1, 1, 2, 4)))
        await asyncio.sleep(rng.uniform(0.0, 0.1))
        await world.services.do(cloud, "clear")
        spell.over()


async def watch(world: World, cloud: int) -> None:
    """Watch a cloud, from an empty list and with many restarts, until the events add up to the final list."""
    rng = Random(f"{world.seed}/watch/{cloud}")
    known: Snapshot | None = None
    for last in _sessions(world):
        replay = Replay({cluster.cluster_id: cluster for cluster in known or ()})
        client = world.clients[cloud]
        watcher = client.watch_clusters(interval=_INTERVAL, since=known, confirmations=rng.choice((1, 2, 3)))
        try:
            async with asyncio.timeout(_SETTLES_WITHIN if last else rng.uniform(0.1, 1.5)), watcher:
                while not (last and replay.clusters == world.histories[cloud].now):
                    _replay(world, f"cloud {cloud}, watch", replay, await anext(watcher))
        except TimeoutError:
            if last:
                world.ledger.report(f"cloud {cloud}: the watch has not reached the final list")
        except AuthenticationError:
            pass
        known = watcher.snapshot if watcher.snapshot is not None else known


async def watch_all(world: World) -> None:
    """Do the same for all clouds in one inventory, with fewer restarts."""
    rng = Random(f"{world.seed}/watch all")
    known: InventoryReport | None = None
    for last in _sessions(world):
        snapshots: Mapping[str, Snapshot] = known.snapshots if known else {}
        replays = [
            Replay({cluster.cluster_id: cluster for cluster in snapshots.get(str(cloud), ())})
            for cloud in WATCHED
        ]
        async with world.inventory(rng, refused=False) as inventory:
            watcher = inventory.watch_clusters(interval=_INTERVAL, since=known)
            try:
                async with asyncio.timeout(_SETTLES_WITHIN if last else rng.uniform(1, 4)):
                    while not (last and _final_lists(world) == [replay.clusters for replay in replays]):
                        account, event = await anext(watcher)
                        _replay(world, f"account {account.name}, watch", replays[int(account.name)], event)
            except TimeoutError:
                if last:
                    world.ledger.report("the watch of all accounts has not reached the final lists")
            except InventoryError:
                pass
            known = watcher.report or known


def _final_lists(world: World) -> list[dict[str, Cluster]]:
    return [world.histories[cloud].now for cloud in WATCHED]


def _replay(world: World, what: str, replay: Replay, event: ClusterEvent) -> None:
    wrong = replay.take(event)
    if wrong is not None:
        world.ledger.report(f"{what}: {wrong}")


def _sessions(world: World) -> Iterator[bool]:
    """Yield False for each session of a watch while the lists still change, and True for the last one."""
    while not world.settle.is_set():
        yield False
    yield True
