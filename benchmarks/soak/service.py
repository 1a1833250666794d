"""The services of a soak: several `FakeZillizCloud`s in a process of their own, changed and made to fail by commands.

    python -m benchmarks.soak.service '[{"clusters": 40}]'

It prints the clouds' URLs as a JSON list, then reads commands from standard input and acknowledges each with the cloud's
records as they are now: what the client's process is measured for holds no server.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Self, cast

from aiozilliz.testing import FakeZillizCloud, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

_MAX_LINE: Final = 1 << 24

FAULTS: Final[dict[str, Callable[[], Fault]]] = {
    "503": lambda: Fault.status(503),
    "503 for a moment": lambda: Fault.status(503, retry_after=0),
    "429": lambda: Fault.status(429, retry_after="0"),
    "429 for a second": lambda: Fault.status(429, retry_after=1),
    "404": lambda: Fault.status(404),
    "redirect": lambda: Fault.status(302, headers={"Location": "https://elsewhere.example/"}),
    "wrong record": lambda: Fault.status(200, body='{"code":0,"data":[{"clusterId":"in01-a","cuSize":"8"}]}'),
    "failed": lambda: Fault.code(500, "failed"),
    "key refused": lambda: Fault.code(80001, "the token is not valid"),
    "reset": Fault.reset,
    "cut": Fault.cut,
    "malformed": Fault.malformed,
    "html": Fault.html,
    "html 502": lambda: Fault.html(status=502),
    "delay": lambda: Fault.delay(0.02),
    "repeat_page": Fault.repeat_page,
}
"""Every kind of fault that `aiozilliz.testing` knows, by the name that commands use."""


class Services:
    """The process with the clouds, as an async context manager.

    Args:
        clouds: The arguments of each `FakeZillizCloud`.

    Attributes:
        urls: The clouds' base URLs.
    """

    def __init__(self, clouds: Sequence[dict[str, Any]]) -> None:
        self.urls: list[str] = []
        self._clouds = clouds
        self._process: asyncio.subprocess.Process
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.soak.service", json.dumps(self._clouds)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_MAX_LINE,
        )
        self.urls = await self._read()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def do(self, cloud: int, what: str, **fields: Any) -> list[dict[str, Any]]:
        """Execute a command on a cloud, and return its records afterwards. Cancellation never leaves a command half done.

        Args:
            cloud: Its index.
            what: `add`, `update`, `remove`, `fail`, `clear` or `list`.
            fields: The arguments of the command.
        """
        return await asyncio.shield(asyncio.ensure_future(self._do({"cloud": cloud, "do": what, **fields})))

    async def _do(self, command: dict[str, Any]) -> list[dict[str, Any]]:
        assert self._process.stdin is not None
        async with self._turn:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            records: list[dict[str, Any]] = await self._read()
        return records

    async def _read(self) -> list[Any]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process with the clouds has ended")
        return cast("list[Any]", json.loads(line))


def _execute(cloud: FakeZillizCloud, command: dict[str, Any]) -> None:
    match command["do"]:
        case "add":
            cloud.add(index=command["index"])
        case "update":
            cloud.update(command["id"], cuSize=command["cu_size"])
        case "remove":
            cloud.remove(command["id"])
        case "fail":
            cloud.fail_next(FAULTS[command["fault"]](), times=command["times"])
        case "clear":
            cloud.clear_faults()
        case "list":
            pass
        case what:
            raise ValueError(f"{what} is not a command")


async def _serve(settings: Sequence[dict[str, Any]]) -> None:
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader(limit=_MAX_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin.buffer)
    async with AsyncExitStack() as stack:
        clouds: list[FakeZillizCloud] = [
            await stack.enter_async_context(FakeZillizCloud(**setting)) for setting in settings
        ]
        print(json.dumps([cloud.url for cloud in clouds]), flush=True)
        while line := await commands.readline():
            command = json.loads(line)
            cloud = clouds[int(command["cloud"])]
            _execute(cloud, command)
            print(json.dumps(cloud.clusters), flush=True)
        for cloud in clouds:
            cloud.clear_faults()


if __name__ == "__main__":
    asyncio.run(_serve(json.loads(sys.argv[1])))
