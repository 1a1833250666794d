from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from aiozilliz.testing import FakeZillizCloud, __main__ as command
from tests.support.running import complaints

if TYPE_CHECKING:
    from collections.abc import Generator

COMMAND = [sys.executable, "-X", "dev", "-W", "error", "-m", "aiozilliz.testing"]


@contextmanager
def serving(*arguments: str) -> Generator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline()
        finally:
            process.kill()


def ask(url: str, key: str, query: str = "") -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)) as connection:
        connection.request("GET", f"/v2/clusters{query}", headers={"Authorization": f"Bearer {key}"})
        response = connection.getresponse()
        return response.status, response.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_interrupted(number: signal.Signals) -> None:
    arguments = [
        "--clusters",
        "7",
        "--api-key",
        "k",
        "--seed",
        "3",
        "--max-page-size",
        "5",
        "--shape",
        "array",
    ]
    with serving(*arguments, "--rate-limit", "1000", "--latency", "0.001") as (process, line):
        url = line.removesuffix("\n")
        assert ask(url, "wrong")[0] == 401
        status, body = ask(url, "k", "?pageSize=100")
        assert (status, json.loads(body)["data"]) == (200, list(FakeZillizCloud(7, seed=3).clusters[:5]))
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert (out, complaints(err)) == ("", "")
        assert process.returncode == 0


def test_without_options_it_serves_250_clusters_to_any_key() -> None:
    with serving() as (_, line):
        _, body = ask(line.removesuffix("\n"), "any")
        assert json.loads(body)["data"]["count"] == 250


def failures(url: str, order: list[int]) -> list[tuple[int, int]]:
    """The pages that fail, each with the number of the request for it."""
    counts: Counter[int] = Counter()
    failed: list[tuple[int, int]] = []
    for page in order:
        counts[page] += 1
        status, body = ask(url, "k", f"?currentPage={page}&pageSize=10")
        if status != 200:
            assert (status, json.loads(body)["code"]) == (503, 503)
            failed.append((page, counts[page]))
    return sorted(failed)


def test_the_same_seed_fails_the_same_requests_in_whatever_order() -> None:
    pages = [*range(1, 26)] * 4
    seen: list[list[tuple[int, int]]] = []
    for seed, order in (("7", pages), ("7", sorted(pages)), ("7", pages[::-1]), ("8", pages)):
        with serving("--fail", "503", "--seed", seed) as (process, line):
            seen.append(failures(line.removesuffix("\n"), order))
            process.terminate()
            out, err = process.communicate(timeout=60)
            assert (out, complaints(err)) == ("", "")
    assert seen[0] == seen[1] == seen[2] != seen[3]
    assert all(2 <= len(failed) <= 25 for failed in seen)  # 10 of 100 in the mean


@pytest.mark.parametrize(("rate", "failed"), [("0", 0), ("1", 10)])
def test_a_rate_of_nothing_fails_none_and_a_rate_of_one_fails_all(rate: str, failed: int) -> None:
    with serving("--fail", "503", "--fail-rate", rate) as (_, line):
        assert len(failures(line.removesuffix("\n"), [*range(1, 11)])) == failed


def test_a_terminated_command_says_nothing_whatever_its_clients_do() -> None:
    with serving("--latency", "3600") as (process, line):
        parts = urlsplit(line.removesuffix("\n"))
        assert parts.port is not None
        with (
            socket.create_connection(("127.0.0.1", parts.port), timeout=60) as waiting,
            socket.create_connection(("127.0.0.1", parts.port), timeout=60) as wrong,
        ):
            waiting.sendall(b"GET /v2/clusters HTTP/1.1\r\nAuthorization: Bearer k\r\n\r\n")
            wrong.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
            assert wrong.recv(99).startswith(b"HTTP/1.1 400 ")
            process.terminate()
            out, err = process.communicate(timeout=60)
            assert (out, complaints(err)) == ("", "")
            assert process.returncode == 0


def test_a_taken_port_is_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeZillizCloud(1) as cloud:
        port = str(urlsplit(cloud.url).port)
        assert command.main(["--port", port]) == 1
    told = f"python -m aiozilliz.testing: can't listen on port {port}: Address already in use\n"
    assert capsys.readouterr() == ("", told)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--clusters", "-1"], "clusters must be at least 0"),
        (["--clusters", "many"], "invalid int value"),
        (["--rate-limit", "0"], "rate_limit must be at least 1"),
        (["--latency", "nan"], "latency must be finite"),
        (["--shape", "list"], "invalid choice"),
        (["--api", "k"], "unrecognized arguments"),
        (["--fail-rate", "0.1"], "--fail-rate needs --fail"),
        (["--fail", "503", "--fail-rate", "1.1"], "share must be between 0 and 1, not 1.1"),
        (["--fail", "503", "--fail-rate", "nan"], "share must be between 0 and 1"),
        (["--fail", "503", "--fail-rate", "often"], "invalid float value: 'often'"),
        (["--fail", "600"], "status must be between 200 and 599"),
        (["--fail", "down"], "invalid int value: 'down'"),
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(arguments)
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


def test_where_there_are_no_signal_handlers_an_interrupt_ends_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(cloud: FakeZillizCloud) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_serve", interrupted)
    assert command.main([]) == 0


def test_help_names_the_options_and_how_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "usage: python -m aiozilliz.testing" in text
    assert "--max-page-size" in text
    assert "with exit status 0" in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_in_order(number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    cloud = FakeZillizCloud(1)
    serving_task = asyncio.create_task(command._serve(cloud))
    printed = ""
    while not printed:
        await asyncio.sleep(0)
        printed = capsys.readouterr().out
    signal.raise_signal(number)
    await serving_task
    assert printed == f"{cloud.url}\n"
