"""The options that commands share: each decorator ends its options in one argument of the command."""

from __future__ import annotations

import functools
import getpass
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

import aiozilliz
from aiozilliz.cli.input.filters import Arrangement, Output, Selection, parse_columns, parse_query, parse_sort
from aiozilliz.cli.input.source import Connection, Paging
from aiozilliz.cli.output.columns import FIELD_NAMES
from aiozilliz.cli.output.console import end_prompt
from aiozilliz.cli.output.formats import Format
from aiozilliz.cli.process import debug

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Command = Callable[..., None]

_LARGEST_KEY_FILE = 65536  # characters; of a larger file the rest is not read, and no key is so long


def connection_options(command: Command) -> Command:
    """Give a command the options that end in its argument `connection`, and `--debug`."""

    @functools.wraps(command)
    def with_connection(
        *,
        api_key_file: str | None,
        all_orgs: bool,
        base_url: str | None,
        timeout: float,
        demo: bool,
        **rest: Any,
    ) -> None:
        if demo and (base_url is not None or api_key_file is not None):
            raise click.UsageError("--demo asks an embedded service; it takes no key and no base URL.")
        if all_orgs and api_key_file is not None:
            raise click.UsageError(
                "--all-orgs takes its keys from the credentials file; it excludes --api-key-file."
            )
        connection = Connection(
            api_key=None if api_key_file is None else _read_key(api_key_file),
            base_url=base_url,
            timeout=timeout,
            demo=demo,
            all_orgs=all_orgs,
        )
        command(connection=connection, **rest)

    return with_options(
        site_options(with_connection),
        click.option(
            "--demo", is_flag=True, help="Ask an embedded fake service of 250 clusters; needs no key."
        ),
        click.option(
            "--api-key-file",
            metavar="FILE",
            shell_complete=complete_file,
            help="Read the API key from FILE; - is standard input.",
        ),
        click.option(
            "--all-orgs",
            is_flag=True,
            help="Ask with the key of every organisation in the official command line's credentials file.",
        ),
    )


def site_options(command: Command) -> Command:
    """Give a command the options that end in its arguments `base_url` and `timeout`, and `--debug`."""

    @functools.wraps(command)
    def with_site(*, base_url: str | None, china: bool, **rest: Any) -> None:
        if china and base_url is not None:
            raise click.UsageError("--china and --base-url exclude each other.")
        command(base_url=aiozilliz.CHINA if china else base_url, **rest)

    return with_options(
        with_site,
        click.option("--base-url", metavar="URL", help="Base URL of the control plane."),
        click.option("--china", is_flag=True, help="Ask the China site; short for its --base-url."),
        click.option(
            "--timeout",
            type=click.FloatRange(min=0, min_open=True),
            metavar="SECONDS",
            default=30.0,
            show_default=True,
            callback=finite_seconds,
            help="What one request and its answer may take. A page that fails is asked for again within 60 s, "
            "or twice this where that is longer.",
        ),
        click.option(
            "--debug",
            is_flag=True,
            expose_value=False,
            callback=_debug,
            help="Log each request to standard error, and show tracebacks.",
        ),
    )


def paging_options(*, verify: bool = True) -> Callable[[Command], Command]:
    """Give a command the options that end in its argument `paging`.

    Args:
        verify: Whether the command can do without the proof, and so has `--verify`.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_paging(
            *,
            page_size: int,
            concurrency: int | None,
            max_passes: int,
            verify: bool = False,
            **rest: Any,
        ) -> None:
            paging = Paging(
                page_size=page_size, concurrency=concurrency, verify=verify, max_passes=max_passes
            )
            command(paging=paging, **rest)

        at_least_one = click.IntRange(min=1)
        prove = click.option(
            "--verify", is_flag=True, help="Read until the answers prove that nothing is missing."
        )
        return with_options(
            with_paging,
            click.option(
                "--page-size",
                type=at_least_one,
                metavar="N",
                default=100,
                show_default=True,
                help="Clusters per request; the service documents at most 100.",
            ),
            click.option(
                "--concurrency",
                type=at_least_one,
                metavar="N",
                help="Requests in flight at most, over all organisations together. "
                f"Default: {1 if verify else 4}, with --all-orgs 16.",
            ),
            *([prove] if verify else []),
            click.option(
                "--max-passes",
                type=at_least_one,
                metavar="N",
                default=5,
                show_default=True,
                help="Readings of all pages at most, where the list keeps changing.",
            ),
        )

    return decorate


def output_options(
    *forms: Format, default: str = "table", query: bool = True
) -> Callable[[Command], Command]:
    """Give a command the options that end in its argument `output`.

    Args:
        *forms: The formats; none are all.
        default: What the help says of the default.
        query: Whether the command gives an array that can be queried.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_output(*, form: str | None, no_header: bool, query: Any = None, **rest: Any) -> None:
            output = Output(form=None if form is None else Format(form), header=not no_header, query=query)
            command(output=output, **rest)

        ask = click.option(
            "--query",
            metavar="JMESPATH",
            callback=parsed_by(parse_query),
            help="Give what this expression makes of the array of all records.",
        )
        return with_options(
            with_output,
            click.option(
                "-o",
                "--output",
                "form",
                type=click.Choice([form.value for form in forms or Format]),
                help=f"Format. Default: {default}.",
            ),
            *([ask] if query else []),
            click.option("--no-header", is_flag=True, help="No line with the columns' names."),
        )

    return decorate


def arrangement_options(command: Command) -> Command:
    """Give a command the options that end in its argument `arrangement`."""

    @functools.wraps(command)
    def with_arrangement(*, sort: Any, columns: Any, **rest: Any) -> None:
        command(arrangement=Arrangement(sort=sort, columns=columns), **rest)

    return with_options(
        with_arrangement,
        click.option(
            "--sort",
            metavar="FIELDS",
            callback=parsed_by(parse_sort),
            shell_complete=complete_names(FIELD_NAMES),
            help="Order by these fields, separated by commas; -FIELD is largest first. Default: as the service lists.",
        ),
        click.option(
            "--columns",
            metavar="FIELDS",
            callback=parsed_by(parse_columns),
            shell_complete=complete_names(FIELD_NAMES),
            help="Give these fields alone, in this order. extra.NAME is the service's field NAME, extra all those that "
            "this version does not know. With --all-orgs, account is the organisation in all formats, and what the service "
            "itself names account is extra.account.",
        ),
    )


def selection_options(command: Command) -> Command:
    """Give a command the options that end in its argument `selection`."""

    @functools.wraps(command)
    def with_selection(
        *,
        plan: tuple[str, ...],
        region: tuple[str, ...],
        status: tuple[str, ...],
        project: tuple[str, ...],
        **rest: Any,
    ) -> None:
        selection = Selection(plan=plan, region=region, status=status, project=project)
        command(selection=selection, **rest)

    return with_options(
        with_selection,
        *(
            click.option(
                f"--{name}",
                metavar="PATTERN",
                multiple=True,
                help=f"Only clusters {what}; exact or a glob such as {example}. Repeat it for more.",
            )
            for name, what, example in (
                ("plan", "of this plan", "'*Ent*'"),
                ("region", "in this region", "'aws-*'"),
                ("status", "in this status", "'*ING'"),
                ("project", "of this project id", "'proj-0*'"),
            )
        ),
    )


def with_options(command: Command, *options: Callable[[Command], Command]) -> Command:
    """Give a command these options, in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def parsed_by(
    parse: Callable[[str | None], Any],
) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """Give the callback that hands on what `parse` makes of an option's text."""

    def read(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Any:
        return parse(value)

    return read


def complete_file(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Let the shell complete the name of a file. Unlike `click.Path` it leaves it to the command what a name may be."""
    return [CompletionItem(incomplete, type="file")]


def complete_names(
    names: Iterable[str],
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Make the completion of an option that takes names, separated by commas, each perhaps after a minus."""

    def complete(
        _context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",")
        begun = last.removeprefix("-")
        before += comma + last.removesuffix(begun)
        return [CompletionItem(before + name) for name in names if name.lower().startswith(begun.lower())]

    return complete


def _read_key(name: str) -> str:
    try:
        key = _read_text(name).strip()
    except OSError as error:
        # The name is not repeated: it may be the key itself.
        raise click.BadParameter(
            f"the file can't be read: {error.strerror or type(error).__name__}. It takes a file's name, never a key.",
            param_hint="--api-key-file",
        ) from None
    if not key:
        source, other = (
            ("standard input", "Type or pipe one in, or give") if name == "-" else (repr(name), "Give")
        )
        raise aiozilliz.ConfigurationError(
            f"There is no key in {source}: it is empty",
            advice=f"{other} --api-key-file a file that holds one.",
        )
    return key


def _read_text(name: str) -> str:
    if not name:
        raise click.BadParameter("the name is empty.", param_hint="--api-key-file")
    if name != "-":
        # A BOM is no part of a key, and the client says what is wrong with bytes that are no text.
        with Path(name).open(encoding="utf-8-sig", errors="replace") as file:
            return file.read(_LARGEST_KEY_FILE)
    if sys.stdin is None:
        return ""
    return _ask_for_key() if sys.stdin.isatty() else sys.stdin.read(_LARGEST_KEY_FILE)


def _ask_for_key() -> str:
    try:
        return getpass.getpass("API key: ")
    except EOFError:
        end_prompt()
        return ""
    except KeyboardInterrupt:
        end_prompt()
        raise


def finite_seconds(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    """Give an option's value, as its callback.

    Raises:
        BadParameter: It is infinite, or no number.
    """
    if not math.isfinite(value):
        raise click.BadParameter("it has to be a finite number of seconds.")
    return value


def _debug(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        debug(context)
