"""Whole processes, from start to end: the import of the client, and the command line."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import orjson

from benchmarks.compare.peers.zilliz_cli import VERSION, find_zilliz
from benchmarks.compare.report import Row, Skipped, make_row
from benchmarks.compare.stand import Server, alternate, installed_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

RECORDS = 250


def measure_import(rounds: int | None) -> Iterator[Row]:
    """Measure the import of the client against that of aiohttp alone, each less the time of a bare interpreter."""
    times = alternate(
        {
            "bare": _interpreter("pass"),
            "aiozilliz": _interpreter("import aiozilliz; aiozilliz.ZillizClient"),
            "aiohttp": _interpreter("import aiohttp"),
            "copy": _interpreter("import aiohttp"),
            "name": _interpreter("import aiozilliz"),
        },
        rounds or 7,
        at_most=20.0,
    ).wall
    whole, name = (
        times.ratio("aiozilliz", "aiohttp", less="bare"),
        times.ratio("name", "aiohttp", less="bare"),
    )
    control = times.ratio("copy", "aiohttp", less="bare")
    yield make_row("`import aiozilliz; aiozilliz.ZillizClient`", "aiozilliz", "`import aiohttp`", whole)
    yield make_row("`import aiozilliz` alone", "aiozilliz", "`import aiohttp`", name)
    yield make_row("`import aiohttp`", "control", "the same again", control, control=True)


def _interpreter(code: str) -> Callable[[], object]:
    environment = installed_environment()
    # -P: import the installed package, not the one in the current folder.
    return lambda: subprocess.run([sys.executable, "-P", "-c", code], check=True, env=environment)


def measure_cli(rounds: int | None) -> Iterator[Row]:
    """Measure 250 clusters as JSON, and the help, against the official command line.

    Both find key and URL in the same files, those of the official client.

    Raises:
        Skipped: One of them is not installed.
    """
    zilliz = str(find_zilliz())
    aiozilliz = str(_find_aiozilliz())
    ours = (aiozilliz, "list", "-o", "json")
    theirs = (zilliz, "cluster", "list", "--all", "-o", "json")
    with Server(records=RECORDS) as server, _settings(server.url) as environment:
        for command in (ours, theirs):
            output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout
            assert len({record["clusterId"] for record in orjson.loads(output)}) == RECORDS
        times = alternate(
            {
                "ours": _process(environment, *ours),
                "theirs": _process(environment, *theirs),
                "copy": _process(environment, *theirs),
                "our help": _process(environment, aiozilliz, "--help"),
                "their help": _process(environment, zilliz, "--help"),
            },
            rounds or 4,
            at_most=15.0,
        ).wall
    name = f"`aiozilliz list -o json` of {RECORDS}, whole process"
    peer = f"`zilliz cluster list --all` ({VERSION})"
    yield make_row(name, "aiozilliz", peer, times.ratio("ours", "theirs"))
    yield make_row(name, "control", "the same again", times.ratio("copy", "theirs"), control=True)
    yield make_row(
        "`aiozilliz --help`", "aiozilliz", "`zilliz --help`", times.ratio("our help", "their help")
    )


def _find_aiozilliz() -> Path:
    command = Path(sysconfig.get_path("scripts")) / "aiozilliz"
    if not command.exists():
        raise Skipped("the command aiozilliz is not installed")
    return command


@contextmanager
def _settings(url: str) -> Generator[Mapping[str, str]]:
    """Yield an environment in which both commands find a key and the server at `url`."""
    with TemporaryDirectory() as folder:
        credentials = Path(folder) / "credentials"
        credentials.write_text("[default]\napi_key = any-key\n", encoding="utf-8")
        credentials.chmod(0o600)
        (Path(folder) / "config").write_text(f"[default]\nbase_url = {url}\n", encoding="utf-8")
        environment = installed_environment()
        environment.pop("ZILLIZ_API_KEY", None)
        yield {**environment, "ZILLIZ_CONFIG_DIR": folder}


def _process(environment: Mapping[str, str], *command: str) -> Callable[[], object]:
    return lambda: subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
