"""What a failure needs is there when a client has been entered: nothing is imported, and no file opened, after that.

It is seen in processes of their own, which have loaded nothing else, and whose servers are in this one.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.middleboxes.certificates import Authority
from tests.support.running import LONG, POSIX_ONLY, environment
from tests.support.wire_server import OK, Exchange, WireServer, listing, response

if TYPE_CHECKING:
    from pathlib import Path

_SHORTLY = format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True)

BYTES: dict[str, bytes] = {
    "401": response({"code": 401, "message": "no"}, status=401),
    "403": response(rb'{"code":403,"message":"no\u001b[1m \ud83d"}', headers=[("requestid", "\x80")]),
    "429": response({"code": 429}, status=429, headers=[("Retry-After", "3600")]),
    "429-date": response({"code": 429}, status=429, headers=[("Retry-After", _SHORTLY)]),
    "503": response(b"busy", status=503),
    "403-html": response(b"<html>no</html>", status=403),
    "not-json": response(b"\xef\xbb\xbf{"),
    "html": response(b"<html>"),
    "wrong-shape": response({"code": 0, "data": 7}),
    "no-record": response({"code": 0, "data": {"clusters": [{"clusterId": 7}]}}),
    "oversized": response(b" " * 9000),
    "bomb": response(gzip.compress(bytes(10_000_000)), headers=[("Content-Encoding", "gzip")]),
    "wrong-gzip": response(b"x" * 5000, headers=[("Content-Encoding", "gzip")]),
    "redirect": response(status=302, headers=[("Location", "https://elsewhere.example/")]),
    "incomplete": response(listing("in01-a", "in01-b", count=3)),
    "no-http": b"220 hello ESMTP\r\n\r\n",
    "good": OK,
    "bad-key": OK,
    "broken-key": OK,
    "slow-limiter": OK,
}


async def fail(exchange: Exchange) -> None:
    name = exchange.request.target.split("/")[1]
    if name == "reset":
        exchange.reset()
    elif name == "closed":
        exchange.cut()
    elif name == "cut":
        await exchange.send(response(b"{", length=100))
        exchange.cut()
    elif name == "silent":
        await exchange.silence()
    elif name == "watch":
        # Good, then an outage, then another cluster.
        good = response(listing("in01-a")), response(listing("in01-a", "in01-b"))
        polls = [good[0], BYTES["503"], BYTES["401"], good[1]]
        seen = int(exchange.request.get("authorization")[0].rpartition("-")[2])
        await exchange.send(polls[min(seen, len(polls)) - 1])
    else:
        await exchange.send(BYTES[name])


EXPECTED = {
    "reset": "TransportError",
    "closed": "TransportError",
    "cut": "TransportError",
    "silent": "TransportError",
    "no-http": "TransportError",
    "refused": "TransportError",
    "unresolvable": "TransportError",
    "certificate": "TransportError",
    "slow-limiter": "TransportError",
    "wrong-gzip": "TransportError",
    "401": "AuthenticationError",
    "403": "AuthenticationError",
    "429": "RateLimitError",
    "429-date": "RateLimitError",
    "403-html": "AuthenticationError",
    "503": "ServerError",
    "html": "ResponseError",
    "not-json": "ResponseError",
    "wrong-shape": "ResponseError",
    "oversized": "ResponseError",
    "bomb": "ResponseError",
    "redirect": "ResponseError",
    "no-record": "DecodeError",
    "incomplete": "IncompleteListingError",
    "bad-key": "ConfigurationError",
    "broken-key": "KeyError",
    "inventory": "InventoryError",
    "collect": "['401', '503', 'reset']",
    "watch": "['added in01-a', 'added in01-b']",
}

PROGRAM = """
import asyncio, json, sys

first = sys.argv[4] == "borrowed"
if first:
    import aiohttp
from aiozilliz import Account, Inventory, RetryPolicy, ZillizClient

url, tls_url, refused_url = sys.argv[1:4]
late = []
watched = False


def audit(event, args):
    if watched and event in ("import", "open"):
        late.append(f"{event} {args[0]}")


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if watched:
            late.append(f"find {name}")
        return None


sys.addaudithook(audit)
sys.meta_path.insert(0, Finder)


def broken_key():
    raise KeyError("mine")


class Shut:
    async def __aenter__(self):
        await asyncio.Event().wait()

    async def __aexit__(self, *_):
        pass


polls = 0


def poll_key():
    global polls
    polls += 1
    return f"key-{polls}"


BASES = {
    "refused": refused_url,
    "unresolvable": "https://no-such-host.invalid",
    "certificate": tls_url,
}
OPTIONS = {
    "silent": {"timeout": 0.05},
    "bad-key": {"api_key": lambda: "bad key"},
    "broken-key": {"api_key": broken_key},
    "slow-limiter": {"limiter": Shut(), "retry": RetryPolicy(deadline=0.05)},
    "watch": {"api_key": poll_key, "retry": RetryPolicy(attempts=1)},
}


def client_of(name, session):
    options = {
        "api_key": "key",
        "base_url": BASES.get(name, f"{url}/{name}"),
        "retry": RetryPolicy(attempts=2, wait_initial=0, wait_jitter=0),
        "max_response_bytes": 8000,
        "session": session,
        **OPTIONS.get(name, {}),
    }
    return ZillizClient(options.pop("api_key"), **options)


async def outcome_of(name, client):
    try:
        if name == "watch":
            events = []
            async for event in client.watch_clusters(interval=0.01):
                events.append(f"{event.kind} {event.cluster.cluster_id}")
                if len(events) == 2:
                    return str(events)
        async for _ in client.iter_clusters(verify=name == "incomplete", max_passes=1):
            pass
    except Exception as error:
        str(error), repr(error)
        return type(error).__name__
    return "nothing"


async def main():
    global watched
    names = json.loads(sys.argv[5])
    session = aiohttp.ClientSession() if first else None
    clients = {name: client_of(name, session) for name in names if name not in ("inventory", "collect")}
    policy = RetryPolicy(attempts=2, wait_initial=0, wait_jitter=0)
    accounts = [Account(name, f"key-{name}", base_url=f"{url}/{name}") for name in ("good", "401", "503", "reset")]
    inventory = Inventory(accounts, retry=policy, session=session)
    if first:  # a borrowed session need not be entered: the first request loads, before it is sent
        good = ZillizClient("key", base_url=f"{url}/good", session=session)
        await good.list_clusters()
    else:
        for client in clients.values():
            await client.__aenter__()
        await inventory.__aenter__()
    modules = set(sys.modules)
    watched = True
    outcomes = {name: await outcome_of(name, client) for name, client in clients.items()}
    outcomes["inventory"] = await outcome_of("inventory", inventory)
    outcomes["collect"] = str(sorted((await inventory.collect()).failures))
    for client in (*clients.values(), inventory):
        await client.aclose()
    if session is not None:
        await session.close()
    watched = False
    print(json.dumps([outcomes, late, sorted(set(sys.modules) - modules)]))


asyncio.run(main())
"""


async def _run(program: str, *arguments: str, **variables: str) -> Any:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        *arguments,
        env=environment(**variables),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(LONG):
        out, err = await child.communicate()
    assert child.returncode == 0, err.decode()
    return json.loads(out)


@pytest.mark.parametrize("session", ["own", "borrowed"])
async def test_no_failure_loads_a_module_or_opens_a_file(session: str, tmp_path: Path) -> None:
    certificate = Authority(tmp_path).issue("127.0.0.1")
    async with WireServer() as gone:
        refused = gone.url
    async with WireServer(fail) as server, WireServer(tls=certificate.serve()) as tls:
        outcomes, late, modules = await _run(
            PROGRAM, server.url, tls.url, refused, session, json.dumps(list(EXPECTED))
        )
    assert outcomes == EXPECTED
    assert late == []
    assert modules == []


EXHAUSTED = """
import asyncio, json, logging, os, resource, sys

from aiozilliz import Account, Inventory, RetryPolicy

told = []
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)


class Handler(logging.Handler):
    def emit(self, record):
        told.append(record.getMessage())
        if len(told) == 50:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def main():
    logging.getLogger("aiozilliz").addHandler(Handler())
    accounts = [Account(f"a{number}", f"key-{number}", base_url=sys.argv[1]) for number in range(50)]
    async with Inventory(accounts, concurrency=50, retry=RetryPolicy(wait_initial=0)) as inventory:
        taken = len(os.listdir("/dev/fd")) - 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken, hard))
        report = await inventory.collect()
    causes = sorted({line.partition("retrying in ")[2].partition(": ")[2] for line in told})
    print(json.dumps([len(report.snapshots), sorted(report.failures), len(told), causes]))


asyncio.run(main())
"""


@POSIX_ONLY
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_descriptors_that_are_exhausted_for_a_moment_are_retried(host: str) -> None:
    async with WireServer() as server:
        found, failed, lines, causes = await _run(EXHAUSTED, server.url.replace("127.0.0.1", host))
    assert (found, failed, lines) == (50, [], 50)
    assert causes
    # The system's resolver opens files, too, and has no better reason to name.
    assert all("Too many open files" in cause or "can't be resolved" in cause for cause in causes)
