"""The fake's life: entering, threads, leaving, and what is raised then."""

from __future__ import annotations

import asyncio
import http.client
import re
import socket
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from aiozilliz.testing import FakeZillizCloud, Fault

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST = b"GET /v2/clusters?pageSize=%d HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n\r\n"


def connect(cloud: FakeZillizCloud) -> socket.socket:
    parts = urlsplit(cloud.url)
    assert parts.hostname == "127.0.0.1"
    return socket.create_connection((parts.hostname, parts.port or 0), timeout=30)


def ask(cloud: FakeZillizCloud) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection(urlsplit(cloud.url).netloc, timeout=30)) as connection:
        connection.request("GET", "/v2/clusters", headers={"Authorization": "Bearer k"})
        response = connection.getresponse()
        return response.status, response.read()


async def until(happened: Callable[[], object]) -> None:
    while not happened():  # noqa: ASYNC110 - what happens in the fake has no event
        await asyncio.sleep(0.001)


def bug() -> None:
    raise LookupError("bug")


def test_the_url_is_known_once_it_runs_and_stays() -> None:
    cloud = FakeZillizCloud(2)
    with pytest.raises(RuntimeError, match="use `with` or `async with`"):
        cloud.url  # noqa: B018 - the look-up is what fails
    assert repr(cloud) == "<FakeZillizCloud not started, 2 clusters>"
    with cloud:
        url = cloud.url
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        assert repr(cloud) == f"<FakeZillizCloud {url}, 2 clusters>"
    assert cloud.url == url
    with pytest.raises(ConnectionRefusedError):
        connect(cloud)


def test_it_is_entered_once() -> None:
    with FakeZillizCloud(1) as cloud:
        with pytest.raises(RuntimeError, match="can be entered once"), cloud:
            pass
        assert ask(cloud)[0] == 200
    with pytest.raises(RuntimeError, match="can be entered once"):
        cloud.__enter__()


async def test_a_taken_port_is_an_os_error_in_both_modes() -> None:
    async with FakeZillizCloud(1) as cloud:
        port = urlsplit(cloud.url).port
        assert port is not None
        with pytest.raises(OSError, match="address already in use"), FakeZillizCloud(1, port=port):
            pass
        with pytest.raises(OSError, match="address already in use"):
            async with FakeZillizCloud(1, port=port):
                pass
    async with FakeZillizCloud(1, port=port) as again:
        assert again.url == cloud.url


def test_leaving_ends_the_thread() -> None:
    before = set(threading.enumerate())
    with FakeZillizCloud(1):
        assert len(set(threading.enumerate()) - before) == 1
    assert set(threading.enumerate()) == before


def test_leaving_a_thread_does_not_wait_for_hanging_requests() -> None:
    with FakeZillizCloud(1, latency=3600) as cloud, connect(cloud) as sock:
        sock.sendall(REQUEST % 10)
        while not cloud.requests:
            threading.Event().wait(0.001)
    assert cloud.requests[0].status is None


async def test_leaving_ends_hanging_requests_callbacks_and_idle_connections() -> None:
    before = asyncio.all_tasks()
    entered = asyncio.Event()

    async def hang() -> None:
        entered.set()
        await asyncio.Event().wait()

    async with FakeZillizCloud(1) as cloud:
        port = urlsplit(cloud.url).port
        idle, hanging, called = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        cloud.fail_next(Fault.delay(3600))
        hanging[1].write(REQUEST % 10)
        await until(lambda: cloud.requests and cloud.requests[0].fault)
        cloud.between_pages(hang)
        called[1].write(REQUEST % 10)
        await entered.wait()
    assert asyncio.all_tasks() == before
    assert (await called[0].read()).startswith(b"HTTP/1.1 200")
    for reader, writer in (idle, hanging, called):
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_left_is_not_answered() -> None:
    answered = asyncio.Event()
    async with FakeZillizCloud(1) as cloud:
        cloud.fail_next(Fault.delay(0.05))
        cloud.between_pages(answered.set)
        _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(cloud.url).port)
        writer.write(REQUEST % 10)
        await until(lambda: cloud.requests and cloud.requests[0].fault)
        writer.close()
        await writer.wait_closed()
        await until(lambda: not cloud._server._connections)
        assert not answered.is_set()
        assert cloud.requests[0].status is None


def test_a_bug_in_a_callback_is_raised_on_leaving_and_not_sent_to_the_client() -> None:
    answers: list[int] = []

    def use() -> None:
        with FakeZillizCloud(3) as cloud:
            cloud.between_pages(bug)
            answers.extend(ask(cloud)[0] for _ in range(2))

    with pytest.raises(LookupError, match="bug"):
        use()
    assert answers == [200, 200]


async def test_a_failure_in_an_async_callback_is_raised_too() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        pytest.fail("seen")

    async def use() -> None:
        async with FakeZillizCloud(3) as cloud:
            cloud.between_pages(fail)
            await asyncio.to_thread(ask, cloud)

    with pytest.raises(pytest.fail.Exception, match="seen"):
        await use()


async def test_a_cancellation_that_is_not_ours_is_a_failure_of_the_callback() -> None:
    async def wait_for_what_was_cancelled() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    async def use() -> None:
        async with FakeZillizCloud(3) as cloud:
            cloud.between_pages(wait_for_what_was_cancelled)
            await asyncio.to_thread(ask, cloud)

    with pytest.raises(asyncio.CancelledError):
        await use()


def test_a_bug_in_a_callback_comes_before_the_failure_that_it_led_to() -> None:
    def use() -> None:
        with FakeZillizCloud(3) as cloud:
            cloud.between_pages(bug)
            cloud.between_pages(lambda: cloud.remove("not reached"))
            ask(cloud)
            cloud.fail_next(Fault.reset())
            raise AssertionError("consequence")

    with pytest.raises(LookupError, match="bug") as caught:
        use()
    assert isinstance(caught.value.__context__, AssertionError)
    assert caught.value.__notes__ == ["Scripted faults that were not used: Fault.reset()."]


def test_an_interrupt_is_not_hidden_by_a_bug_in_a_callback() -> None:
    def use() -> None:
        with FakeZillizCloud(3) as cloud:
            cloud.between_pages(bug)
            ask(cloud)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        use()
    assert caught.value.__notes__ == [
        "The fake cloud, or a callback between pages, failed: LookupError('bug')"
    ]


def test_unused_faults_fail_the_test() -> None:
    def use() -> None:
        with FakeZillizCloud(3) as cloud:
            cloud.fail_next(Fault.reset(), times=2)
            cloud.fail_next(Fault.html())

    told = "Scripted faults that were not used: Fault.reset() (2 times), Fault.html(status=200)."
    with pytest.raises(AssertionError, match=re.escape(told)):
        use()


def test_unused_faults_are_a_note_on_a_failure_and_do_not_hide_it() -> None:
    def use() -> None:
        with FakeZillizCloud(3) as cloud:
            cloud.fail_next(Fault.reset())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        use()
    assert caught.value.__notes__ == ["Scripted faults that were not used: Fault.reset()."]


def test_a_bug_of_the_fake_itself_is_raised_on_leaving(monkeypatch: pytest.MonkeyPatch) -> None:
    def examine(*_: object) -> None:
        bug()

    def use() -> None:
        with FakeZillizCloud(3) as cloud:
            monkeypatch.setattr(cloud._service, "examine", examine)
            with pytest.raises(http.client.RemoteDisconnected):
                ask(cloud)

    with pytest.raises(LookupError, match="bug"):
        use()


LEAVING = """
import asyncio, logging, socket, sys
from urllib.parse import urlsplit
from aiozilliz.testing import FakeZillizCloud, Fault

# A busy machine is no warning of ours.
logging.getLogger("asyncio").addFilter(lambda record: not record.msg.startswith("Executing"))

def send(cloud):
    sock = socket.create_connection((urlsplit(cloud.url).hostname, urlsplit(cloud.url).port))
    sock.sendall(b"GET /v2/clusters HTTP/1.1\\r\\nAuthorization: Bearer k\\r\\n\\r\\n")
    return sock

async def inside():
    async with FakeZillizCloud(3) as cloud:
        cloud.fail_next(Fault.delay(3600))
        with send(cloud):
            while not cloud.requests or not cloud.requests[0].fault:
                await asyncio.sleep(0)

async def at_every_moment():
    for turns in range(40):
        async with FakeZillizCloud(3) as cloud:
            socks = [send(cloud) for _ in range(3)]
            for _ in range(turns % 10):
                await asyncio.sleep(0)
        for sock in socks:
            sock.close()
    assert len(asyncio.all_tasks()) == 1

async def cancelled():
    try:
        async with asyncio.timeout(0), FakeZillizCloud(3):
            await asyncio.Event().wait()
    except TimeoutError:
        pass

def beside():
    with FakeZillizCloud(3) as cloud:
        cloud.fail_next(Fault.delay(3600))
        with send(cloud):
            while not cloud.requests or not cloud.requests[0].fault:
                pass

if "uvloop" in sys.argv:
    import uvloop
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
asyncio.run(inside())
asyncio.run(at_every_moment())
asyncio.run(cancelled())
beside()
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_leaving_leaves_nothing_behind_and_no_warning(loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", LEAVING, loop],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_names_are_loaded_on_first_use() -> None:
    script = (
        "import sys, aiozilliz.testing as t\n"
        "assert not [name for name, module in sys.modules.items() if name.startswith('aiozilliz.testing.')"
        " and module is not t]  # other names of this package load nothing\n"
        "assert set(t.__all__) <= set(dir(t))\n"
        "assert all(getattr(t, name).__name__ == name for name in t.__all__)\n"
        "assert 'Fault' in vars(t) and 'aiohttp' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
    import aiozilliz.testing

    assert set(aiozilliz.testing.__all__) <= set(dir(aiozilliz.testing))
    missing: Any = "Missing"
    with pytest.raises(AttributeError, match="no attribute 'Missing'"):
        getattr(aiozilliz.testing, missing)
