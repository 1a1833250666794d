"""`python -m aiozilliz.testing`: serves a fake Zilliz Cloud until it is interrupted."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys

from . import FakeZillizCloud


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m aiozilliz.testing",
        description="Serve a fake Zilliz Cloud on 127.0.0.1. The first line printed is its URL.",
        epilog="Ctrl-C and SIGTERM end it, with exit status 0.",
        allow_abbrev=False,
    )
    option = parser.add_argument
    option(
        "--clusters", type=int, default=250, metavar="N", help="how many to make up (default: %(default)s)"
    )
    option("--port", type=int, default=0, metavar="P", help="the port (default: a free one)")
    option("--api-key", metavar="K", help="the key that is taken (default: any)")
    option("--seed", type=int, default=0, metavar="S", help="the same seed makes the same clusters")
    option("--max-page-size", type=int, default=100, metavar="N", help="cut larger pages to this size")
    option("--latency", type=float, default=0.0, metavar="SECONDS", help="wait before each answer")
    option("--rate-limit", type=int, metavar="N", help="requests a second (default: no limit)")
    option("--shape", choices=("object", "array"), default="object", help="what `data` is in the answers")
    return parser


async def _serve(cloud: FakeZillizCloud) -> None:
    stop = asyncio.Event()
    # Where there are no signal handlers (Windows), Ctrl-C raises KeyboardInterrupt.
    with contextlib.suppress(NotImplementedError):
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with cloud:
        print(cloud.url, flush=True)  # noqa: T201 - what this command is for
        await stop.wait()


def main(arguments: list[str] | None = None) -> int:
    """Run the command, and give its exit status: 0 when interrupted, 1 where the port can't be had.

    Args:
        arguments: The command line without the program's name, or None for that of the process.

    Raises:
        SystemExit: The arguments are wrong (status 2), or help was asked for (0).
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        cloud = FakeZillizCloud(**vars(options))
    except ValueError as error:
        parser.error(str(error))
    try:
        asyncio.run(_serve(cloud))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        sys.stderr.write(f"{parser.prog}: can't listen on port {options.port}: {reason}\n")
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
