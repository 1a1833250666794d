"""Play one conversation, and return its outcome as what JSON can hold: what was asked, what came, and how it ended."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import aiohttp

from aiozilliz import (
    Account,
    Changes,
    ClusterEvent,
    Inventory,
    InventoryError,
    RetryPolicy,
    Snapshot,
    ZillizClient,
    ZillizError,
)
from tests.golden.conversation import (
    AnyConversation,
    Collect,
    Conversation,
    InventoryConversation,
    Iterate,
    IterateAll,
    OnePage,
    Pages,
    Snapshots,
    Watch,
    WatchAll,
)
from tests.golden.server import ANYBODY, Request, Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiozilliz import Cluster, ClusterPage

PATIENCE = 10.0
"""Seconds after which a conversation that hangs is a failure; no outcome depends on it."""

INTERVAL = 0.001
"""Seconds between the readings of a watch."""

FACTS = (
    "method",
    "page",
    "attempts",
    "retryable",
    "status",
    "code",
    "request_id",
    "retry_after",
    "index",
    "cluster_id",
    "field",
    "expected",
    "received",
    "passes",
    "lost_connection",
)
"""What is recorded of an error, where it has it. Its texts are not."""

CLEAN = "clean"


async def play(conversation: AnyConversation) -> dict[str, Any]:
    """Return the outcome of a conversation.

    Raises:
        AssertionError: It hangs: the client asks for something else than the waves of the conversation wait for.
        ExceptionGroup: The client asks for more than the script answers.
    """
    if isinstance(conversation, Conversation):
        server = Server({ANYBODY: conversation.service}, conversation.waves)
        playing = _play_client(conversation, server)
    else:
        server = Server({_key_of(name): service for name, service in conversation.accounts.items()})
        playing = _play_inventory(conversation, server)
    try:
        async with asyncio.timeout(PATIENCE):
            return await playing
    except TimeoutError:
        asked = [[request.target for request in wave] for wave in server.waves]
        raise AssertionError(f"it hangs; asked {asked}, then {server.waiting}") from None


async def _play_client(conversation: Conversation, server: Server) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if conversation.read_timeout is not None:
        options["timeout"] = aiohttp.ClientTimeout(sock_read=conversation.read_timeout)
    if conversation.max_response_bytes is not None:
        options["max_response_bytes"] = conversation.max_response_bytes
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server)
        if conversation.lent:
            own = {"Authorization": "Basic bm9ib2R5", "X-Lender": "me"}
            options["session"] = await stack.enter_async_context(aiohttp.ClientSession(headers=own))
        client = await stack.enter_async_context(
            ZillizClient(
                _key(conversation),
                base_url=server.url + conversation.prefix,
                limiter=None,
                retry=_policy(conversation.attempts),
                **options,
            )
        )
        outcome: dict[str, Any] = {}
        await _call(client, conversation.call, outcome)
        requests = [
            [_asked(request, conversation) for request in wave]
            if len(wave) > 1
            else _asked(wave[0], conversation)
            for wave in server.waves
        ]
        return {"requests": requests, **outcome}


async def _call(client: ZillizClient, call: object, outcome: dict[str, Any]) -> None:
    match call:
        case Iterate():
            await _iterate(client, call, outcome)
        case Pages():
            pages = client.iter_pages(page_size=call.page_size, start_page=call.start_page)
            outcome["pages"] = await _gather(pages, _page, outcome)
        case OnePage():
            try:
                page = await client.list_clusters(current_page=call.current_page, page_size=call.page_size)
            except ZillizError as error:
                outcome["end"] = describe(error)
            else:
                outcome["pages"] = [_page(page)]
                outcome["end"] = CLEAN
        case Snapshots():
            await _snapshots(client, call, outcome)
        case Watch():
            await _watch(client, call, outcome)
        case _:
            raise TypeError(call)


async def _iterate(client: ZillizClient, call: Iterate, outcome: dict[str, Any]) -> None:
    clusters = client.iter_clusters(
        page_size=call.page_size,
        concurrency=call.concurrency,
        verify=call.verify,
        max_passes=call.max_passes,
    )
    show: Callable[[Cluster], Any] = (lambda c: c.to_dict()) if call.whole else (lambda c: c.cluster_id)
    outcome["records"] = await _gather(clusters, show, outcome, call.take)
    outcome["count"] = clusters.count
    outcome["answers"] = clusters.requests
    if outcome["end"] != CLEAN:
        try:
            await anext(clusters)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is recorded
            outcome["asked again"] = type(error).__name__


async def _snapshots(client: ZillizClient, call: Snapshots, outcome: dict[str, Any]) -> None:
    shown: list[dict[str, Any]] = []
    outcome["snapshots"] = shown
    older: Snapshot | None = None
    try:
        for _ in range(call.number):
            snapshot = await client.snapshot(
                page_size=call.page_size, concurrency=call.concurrency, max_passes=call.max_passes
            )
            shown.append(_snapshot(snapshot, older))
            older = snapshot
    except ZillizError as error:
        outcome["end"] = describe(error)
    else:
        outcome["end"] = CLEAN


async def _watch(client: ZillizClient, call: Watch, outcome: dict[str, Any]) -> None:
    since = await client.snapshot() if call.since else None
    watcher = client.watch_clusters(interval=INTERVAL, since=since, confirmations=call.confirmations)
    async with watcher:
        outcome["events"] = await _gather(watcher, _event, outcome, call.events)
        outcome["known"] = None if watcher.snapshot is None else _ids(watcher.snapshot)


async def _play_inventory(conversation: InventoryConversation, server: Server) -> dict[str, Any]:
    async with server:
        accounts = [Account(name, _key_of(name), base_url=server.url) for name in conversation.accounts]
        async with Inventory(
            accounts,
            concurrency=conversation.concurrency,
            limiter=None,
            retry=_policy(conversation.attempts),
        ) as inventory:
            outcome: dict[str, Any] = {}
            await _call_inventory(inventory, conversation, outcome)
        requests: dict[str, list[str]] = {name: [] for name in conversation.accounts}
        for wave in server.waves:
            for request in wave:
                requests[request.key.removesuffix("-key")].append(f"{request.method} {request.target}")
        return {"requests": {name: sorted(asked) for name, asked in requests.items()}, **outcome}


async def _call_inventory(
    inventory: Inventory, conversation: InventoryConversation, outcome: dict[str, Any]
) -> None:
    call = conversation.call
    match call:
        case IterateAll():
            pairs = inventory.iter_clusters(
                page_size=call.page_size, verify=call.verify, max_passes=call.max_passes
            )
            found = await _gather(pairs, lambda pair: (pair[0].name, pair[1].cluster_id), outcome)
            outcome["records"] = _by_account(conversation, found)
        case Collect():
            reports: list[dict[str, Any]] = []
            outcome["reports"] = reports
            older = None
            for _ in range(call.number):
                report = await inventory.collect(page_size=call.page_size, max_passes=call.max_passes)
                shown: dict[str, Any] = {
                    "snapshots": {name: _snapshot(found) for name, found in report.snapshots.items()},
                    "failures": {name: describe(error) for name, error in report.failures.items()},
                }
                if older is not None:
                    changes = report.diff(older)
                    shown["changes"] = {name: _changes(changes[name]) for name in changes}
                    shown["only in older"] = list(changes.only_in_older)
                    shown["only in newer"] = list(changes.only_in_newer)
                reports.append(shown)
                older = report
        case WatchAll():
            since = await inventory.collect() if call.since else None
            watcher = inventory.watch_clusters(
                interval=INTERVAL, since=since, confirmations=call.confirmations
            )
            async with watcher:
                told = await _gather(watcher, lambda pair: (pair[0].name, _event(pair[1])), outcome)
                outcome["events"] = _by_account(conversation, told)
                last = watcher.report
                outcome["known"] = (
                    None if last is None else {name: _ids(known) for name, known in last.snapshots.items()}
                )


async def _gather(
    items: AsyncIterator[Any], show: Callable[[Any], Any], outcome: dict[str, Any], number: int | None = None
) -> list[Any]:
    """Return what comes, at most `number`, also what comes before an error; put into `outcome` how it ends."""
    found: list[Any] = []
    outcome["end"] = CLEAN
    try:
        while number is None or len(found) < number:
            try:
                item = await anext(items)
            except StopAsyncIteration:
                return found
            found.append(show(item))
    except ZillizError as error:
        outcome["end"] = describe(error)
        return found
    outcome["end"] = "left"
    return found


def describe(error: BaseException) -> dict[str, Any]:
    """Return an error's class and facts."""
    facts: dict[str, Any] = {"class": type(error).__name__}
    if isinstance(error, InventoryError):
        return {**facts, "failures": {name: describe(failure) for name, failure in error.failures.items()}}
    facts.update((name, getattr(error, name)) for name in FACTS if hasattr(error, name))
    return facts


def _key_of(account: str) -> str:
    return f"{account}-key"


def _key(conversation: Conversation) -> Any:
    keys = list(conversation.keys)
    if len(keys) == 1:
        return keys[0]

    def take() -> str:
        return keys.pop(0) if len(keys) > 1 else keys[0]

    async def take_later() -> str:
        await asyncio.sleep(0)
        return take()

    return take_later if conversation.async_key else take


def _policy(attempts: int) -> RetryPolicy:
    return RetryPolicy(attempts=attempts, deadline=60.0, wait_initial=0.0, wait_max=0.0, wait_jitter=0.0)


def _asked(request: Request, conversation: Conversation) -> str:
    asked = f"{request.method} {request.target}"
    if len(conversation.keys) > 1:
        asked += f" with {request.key}"
    return asked + "".join(f"; {name}: {request.headers.get(name)}" for name in conversation.headers)


def _page(page: ClusterPage) -> dict[str, Any]:
    return {
        "records": _ids(page.clusters),
        "count": page.count,
        "current_page": page.current_page,
        "page_size": page.page_size,
    }


def _ids(clusters: Any) -> list[str]:
    return [cluster.cluster_id for cluster in clusters]


def _snapshot(snapshot: Snapshot, older: Snapshot | None = None) -> dict[str, Any]:
    shown = {
        "records": _ids(snapshot),
        "requests": snapshot.requests,
        "consistent": snapshot.consistent,
    }
    return shown if older is None else {**shown, "changes": _changes(snapshot.diff(older))}


def _changes(changes: Changes) -> dict[str, Any]:
    return {
        "added": _ids(changes.added),
        "removed": _ids(changes.removed),
        "modified": [" ".join((m.cluster.cluster_id, *m.changed)) for m in changes.modified],
    }


def _event(event: ClusterEvent) -> str:
    was = "" if event.previous is None else f" (was {event.previous.status})"
    return " ".join((event.kind, event.cluster.cluster_id, *event.changed)) + was


def _by_account(conversation: InventoryConversation, pairs: list[Any]) -> dict[str, list[Any]]:
    return {name: [item for found, item in pairs if found == name] for name in conversation.accounts}
