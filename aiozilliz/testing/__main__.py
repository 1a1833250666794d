"""`python -m aiozilliz.testing`: serve a fake Zilliz Cloud until interrupted."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys

from . import FakeZillizCloud, Fault


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m aiozilliz.testing",
        description="Serve a fake Zilliz Cloud on 127.0.0.1. The first line printed is its URL, which is a base_url for "
        "ZillizClient and a --base-url for aiozilliz.",
        epilog="Ctrl-C or SIGTERM ends it with exit status 0.",
        allow_abbrev=False,
    )
    option = parser.add_argument
    option("--clusters", type=int, default=250, metavar="N", help="made-up clusters (default: %(default)s)")
    option("--port", type=int, default=0, metavar="P", help="port to listen on (default: a free one)")
    option("--api-key", metavar="K", help="accept only this key (default: any)")
    option(
        "--seed", type=int, default=0, metavar="N", help="makes up the same clusters, and failures, each time"
    )
    option("--max-page-size", type=int, default=100, metavar="N", help="larger pages get this many records")
    option("--latency", type=float, default=0.0, metavar="SECONDS", help="wait before each response")
    option("--rate-limit", type=int, metavar="N", help="requests per second and key (default: no limit)")
    option("--shape", choices=("object", "array"), default="object", help="what `data` is in responses")
    option("--fail", type=int, metavar="STATUS", help="some requests for pages fail with this HTTP status")
    option("--fail-rate", type=float, metavar="SHARE", help="how many of them, 0 to 1 (default: 0.1)")
    return parser


async def _serve(cloud: FakeZillizCloud) -> None:
    stop = asyncio.Event()
    # Without signal handlers, as on Windows, Ctrl-C raises KeyboardInterrupt.
    with contextlib.suppress(NotImplementedError):
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with cloud:
        print(cloud.url, flush=True)  # noqa: T201  # the output of this command
        await stop.wait()


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The arguments without the program's name, or None for those of the process.

    Returns:
        The exit status: 0 if it was interrupted, 1 if it can't listen on the port.

    Raises:
        SystemExit: The arguments are wrong (status 2), or help was requested (0).
    """
    parser = _parser()
    options = vars(parser.parse_args(arguments))
    fail, fail_rate = options.pop("fail"), options.pop("fail_rate")
    try:
        cloud = FakeZillizCloud(**options)
        if fail is not None:
            cloud.fail_some(Fault.status(fail), 0.1 if fail_rate is None else fail_rate)
        elif fail_rate is not None:
            parser.error("--fail-rate needs --fail")
    except ValueError as error:
        parser.error(str(error))
    try:
        asyncio.run(_serve(cloud))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        sys.stderr.write(f"{parser.prog}: can't listen on port {options['port']}: {reason}\n")
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
