"""The options that commands share, and the client that they describe."""

from __future__ import annotations

import functools
import getpass
import math
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import field, frozen

import aiozilliz
import aiozilliz.testing
from aiozilliz.cli._output import Format
from aiozilliz.cli._run import debug

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    Command = Callable[..., None]

DEMO_CLUSTERS = 250
_LARGEST_KEY_FILE = 65536  # characters; of a larger file the rest is not read, and no key is so long


@frozen(kw_only=True)
class Connection:
    """Which service is asked, and with which key.

    Attributes:
        api_key: The key that `--api-key-file` gave; None leaves it to the environment and the credentials file.
        base_url: The control plane's base URL; None is that of the official CLI's `config` file, else the global one.
        timeout: Seconds for one attempt.
        demo: Whether an embedded fake service is asked instead.
    """

    api_key: str | None = field(repr=False)
    base_url: str | None
    timeout: float
    demo: bool

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[aiozilliz.ZillizClient, None]:
        """Give a running client.

        Raises:
            ConfigurationError: There is no key, or it or the base URL can't be used.
        """
        async with AsyncExitStack() as stack:
            api_key, base_url = self.api_key, self.base_url
            if self.demo:
                cloud = aiozilliz.testing.FakeZillizCloud(clusters=DEMO_CLUSTERS)
                await stack.enter_async_context(cloud)
                api_key, base_url = "demo", cloud.url
            elif base_url is None:
                base_url = aiozilliz.cli_base_url()
            client = aiozilliz.ZillizClient(api_key, base_url=base_url, timeout=self.timeout)
            yield await stack.enter_async_context(client)


@frozen(kw_only=True)
class Listing:
    """How the pages of a listing are read: see `ZillizClient.iter_clusters`."""

    page_size: int
    concurrency: int
    verify: bool

    def iterate(self, client: aiozilliz.ZillizClient) -> aiozilliz.ClusterIterator:
        """Begin a listing."""
        return client.iter_clusters(
            page_size=self.page_size, concurrency=self.concurrency, verify=self.verify
        )


@frozen(kw_only=True)
class Output:
    """How records are written.

    Attributes:
        form: The format; None is a table on a terminal, JSON lines elsewhere.
        header: Whether a table names its columns.
    """

    form: Format | None
    header: bool


def connection_options(command: Command) -> Command:
    """Give a command the options that end in its argument `connection`, and `--debug`."""

    @functools.wraps(command)
    def with_connection(
        *,
        api_key_file: str | None,
        base_url: str | None,
        china: bool,
        timeout: float,
        demo: bool,
        **rest: Any,
    ) -> None:
        if china and base_url is not None:
            raise click.UsageError("--china and --base-url exclude each other.")
        if demo and (china or base_url is not None or api_key_file is not None):
            raise click.UsageError("--demo asks an embedded service; it takes no key and no base URL.")
        connection = Connection(
            api_key=None if api_key_file is None else _read_key(api_key_file),
            base_url=aiozilliz.CHINA if china else base_url,
            timeout=timeout,
            demo=demo,
        )
        command(connection=connection, **rest)

    return _with(
        with_connection,
        click.option(
            "--demo", is_flag=True, help="Ask an embedded fake service of 250 clusters; needs no key."
        ),
        click.option(
            "--api-key-file",
            metavar="FILE",
            help="Read the API key from FILE; - is standard input.",
        ),
        click.option("--base-url", metavar="URL", help="Base URL of the control plane."),
        click.option("--china", is_flag=True, help="Ask the China site; short for its --base-url."),
        click.option(
            "--timeout",
            type=click.FloatRange(min=0, min_open=True),
            metavar="SECONDS",
            default=30.0,
            show_default=True,
            callback=_finite,
            help="Bound on one attempt.",
        ),
        click.option(
            "--debug",
            is_flag=True,
            expose_value=False,
            callback=_debug,
            help="Log each request to standard error, and show tracebacks.",
        ),
    )


def listing_options(command: Command) -> Command:
    """Give a command the options that end in its argument `listing`."""

    @functools.wraps(command)
    def with_listing(*, page_size: int, concurrency: int, verify: bool, **rest: Any) -> None:
        command(listing=Listing(page_size=page_size, concurrency=concurrency, verify=verify), **rest)

    at_least_one = click.IntRange(min=1)
    return _with(
        with_listing,
        click.option(
            "--page-size",
            type=at_least_one,
            metavar="N",
            default=100,
            show_default=True,
            help="Clusters per request.",
        ),
        click.option(
            "--concurrency",
            type=at_least_one,
            default=1,
            show_default=True,
            help="Requests in flight at most.",
        ),
        click.option("--verify", is_flag=True, help="Read until the answers prove that nothing is missing."),
    )


def output_options(command: Command) -> Command:
    """Give a command the options that end in its argument `output`."""

    @functools.wraps(command)
    def with_output(*, form: str | None, no_header: bool, **rest: Any) -> None:
        output = Output(form=None if form is None else Format(form), header=not no_header)
        command(output=output, **rest)

    return _with(
        with_output,
        click.option(
            "-o",
            "--output",
            "form",
            type=click.Choice([form.value for form in Format]),
            help="Format. Default: table on a terminal, jsonl elsewhere.",
        ),
        click.option("--no-header", is_flag=True, help="No line with the columns' names."),
    )


def _with(command: Command, *options: Callable[[Command], Command]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def _read_key(name: str) -> str:
    try:
        key = _read_text(name).strip()
    except OSError as error:
        raise click.BadParameter(
            f"{name!r} can't be read: {error.strerror or error}.", param_hint="--api-key-file"
        ) from None
    if not key:
        raise aiozilliz.ConfigurationError(
            f"There is no key in {name!r}: it is empty", advice="Give --api-key-file a file that holds one."
        )
    return key


def _read_text(name: str) -> str:
    if name != "-":
        # A BOM is no part of a key, and the client says what is wrong with bytes that are no text.
        with Path(name).open(encoding="utf-8-sig", errors="replace") as file:
            return file.read(_LARGEST_KEY_FILE)
    if sys.stdin is None:
        return ""
    return getpass.getpass("API key: ") if sys.stdin.isatty() else sys.stdin.read(_LARGEST_KEY_FILE)


def _finite(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    if not math.isfinite(value):
        raise click.BadParameter("it has to be a finite number of seconds.")
    return value


def _debug(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        debug(context)
