"""The options that commands share: each decorator turns its options into one argument of the command."""

from __future__ import annotations

import functools
import inspect
import math
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

import aiozilliz
from aiozilliz.cli import process
from aiozilliz.cli.input import filters, source
from aiozilliz.cli.input.help import HelpedCommand, Option
from aiozilliz.cli.input.key_file import read_key
from aiozilliz.cli.output import columns, formats
from aiozilliz.cli.state import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Command = Callable[..., None]


def command(name: str) -> Callable[[Command], click.Command]:
    """Return the decorator that makes a command, with its docstring as its help."""
    return click.command(name, cls=HelpedCommand)


def connection_options(command: Command) -> Command:
    """Add the options that become the command's argument `connection`, and `--debug`."""
    return with_options(
        site_options(_collected("connection", _make_connection, command)),
        connecting("--org orgs", "This organisation, by name or id.", metavar="NAME", multiple=True),
        connecting("--all-orgs", "Every organisation in the credentials file.", is_flag=True),
        connecting("--api-key-file", "Read the key from FILE; - is standard input.", metavar="FILE"),
        advanced("--demo", "An embedded fake service; needs no key.", is_flag=True),
    )


def from_option(command: Command) -> Command:
    """Add `--from`, which `connection_options` understands."""
    return connecting("--from from_file", "A snapshot instead; - is standard input.", metavar="FILE")(command)


def site_options(command: Command) -> Command:
    """Add the options that become the command's arguments `base_url` and `timeout`, and `--debug`."""
    retried = "A failed request is retried for up to 60 s, or for twice the timeout if that is longer."
    log = "Log each request to standard error, and show tracebacks."
    return with_options(
        _collected("base_url", _choose_base_url, command),
        connecting("--china", "The China site.", is_flag=True),
        advanced("--base-url", "Base URL of the control plane.", metavar="URL"),
        advanced("--timeout", f"Timeout of one attempt; 30 by default. {retried}", default=30.0, **SECONDS),
        advanced("--debug", log, is_flag=True, expose_value=False, callback=_debug),
    )


def paging_options(*, verify: bool = True) -> Callable[[Command], Command]:
    """Add the options that become the command's argument `paging`.

    Args:
        verify: Whether the command can do without the proof, and so has `--verify`.

    Returns:
        A decorator for the command.
    """
    prove = advanced("--verify", "Read until it is proven that nothing is missing.", is_flag=True)
    bound = "Maximum number of requests in flight, over all organisations together."
    passes = "Passes over the pages if the list keeps changing; 5 by default."
    options = (
        *([prove] if verify else []),
        advanced(
            "--page-size",
            "Clusters per request; 100, the service's maximum, by default.",
            default=100,
            **COUNT,
        ),
        advanced("--concurrency", f"{bound} Default: {1 if verify else 4}, with --all-orgs 16.", **COUNT),
        advanced("--max-passes", passes, default=5, **COUNT),
    )
    return lambda command: with_options(_collected("paging", source.Paging, command), *options)


def output_options(
    *forms: formats.Format, default: str = "table", query: bool = True
) -> Callable[[Command], Command]:
    """Add the options that become the command's argument `output`.

    Args:
        *forms: The formats that the command has; none are the general ones.
        default: The default format, for the help.
        query: Whether the command writes an array that can be queried.

    Returns:
        A decorator for the command.
    """
    names = [form.value for form in forms or formats.GENERAL]
    others = ", ".join(name for name in names if name not in default.replace(",", "").split())
    apply = option(
        "--query", "Apply it to the array of records.", metavar="JMESPATH", parse=filters.parse_query
    )
    options = (
        option("-o --output", f"{default}; {others}.", metavar="FORMAT", type=click.Choice(names)),
        *([apply] if query else []),
        advanced("--no-header", "Omit the names of the columns.", is_flag=True),
    )
    return lambda command: with_options(_collected("output", _make_output, command), *options)


def arrangement_options(command: Command) -> Command:
    """Add the options that become the command's argument `arrangement`."""
    names = partial(option, metavar="FIELDS", offer=columns.FIELD_NAMES)
    return with_options(
        _collected("arrangement", filters.Arrangement, command),
        names("--sort", "Sort by these, as -cu,name: - is descending.", parse=filters.parse_sort),
        names("--columns", "Show these, as id,cu,extra.NAME.", parse=filters.parse_columns),
    )


def selection_options(command: Command) -> Command:
    """Add the options that become the command's argument `selection`."""
    choose = partial(option, section="Filters", metavar="PATTERN", multiple=True)
    return with_options(
        _collected("selection", filters.Selection, command, takes=filters.FILTERS),
        choose("--id", "Such as in01-0a1b*."),
        choose("--name", "Such as 'prod-*'."),
        choose("--status", "Such as RUNNING,STOPPED.", offer=aiozilliz.ClusterStatus),
        choose("--plan", "Such as '*Ent*'.", offer=aiozilliz.Plan),
        choose("--region", "Such as 'aws-*'."),
        choose("--project", "A project's id, such as 'proj-0*'."),
    )


def option(
    names: str,
    text: str,
    *,
    parse: Callable[[str | None], Any] | None = None,
    offer: Iterable[str] = (),
    **settings: Any,
) -> Callable[[Command], Command]:
    """Return `click.option` in a section of the help, with the environment variable `AIOZILLIZ_<OPTION>` for it.

    Args:
        names: Its names, separated by spaces.
        text: Its line in the help.
        parse: What its value is parsed with.
        offer: What shells complete, also after a comma. If its metavar is a file, they complete files.
        **settings: Those of `Option`.
    """
    (long,) = (name for name in names.split() if name.startswith("--"))
    settings.setdefault("envvar", f"AIOZILLIZ_{long[2:].replace('-', '_').upper()}")
    if parse is not None:
        settings["callback"] = partial(_parsed, parse)
    if settings.get("metavar", "").startswith("FILE"):
        settings["shell_complete"] = complete_file
    if offer:
        settings["shell_complete"] = complete_names(offer)
    if settings.get("multiple"):
        settings["type"] = _Texts()
    return click.option(*names.split(), cls=Option, help=text, **settings)


def _parsed(parse: Callable[[str | None], Any], *given: Any) -> Any:
    return parse(given[-1])


connecting = partial(option, section="Connection")
advanced = partial(option, section="Advanced")


class _Texts(click.types.StringParamType):
    """Text of which an environment variable holds several, separated by commas."""

    envvar_list_splitter = ","


def with_options(command: Command, *options: Callable[[Command], Command]) -> Command:
    """Add options to a command, in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def complete_file(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Let the shell complete a file's name. Unlike `click.Path`, this leaves it to the command which names are valid."""
    return [CompletionItem(incomplete, type="file")]


def complete_names(
    names: Iterable[str],
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return the completion of an option whose value is names separated by commas, each perhaps after a minus."""

    def complete(
        _context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",")
        begun = last.removeprefix("-")
        before += comma + last.removesuffix(begun)
        return [CompletionItem(before + name) for name in names if name.lower().startswith(begun.lower())]

    return complete


def finite_seconds(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    """Return an option's value, as its callback.

    Raises:
        BadParameter: It is infinite, or no number.
    """
    if not math.isfinite(value):
        raise click.BadParameter("it must be a finite number of seconds.")
    return value


COUNT: dict[str, Any] = {"type": click.IntRange(min=1), "metavar": "N"}
SECONDS: dict[str, Any] = {
    "type": click.FloatRange(min=0, min_open=True, max=1e6),
    "metavar": "SECONDS",
    "callback": finite_seconds,
}


def check_demo(demo: bool, **others: object) -> None:
    """Refuse what can't be combined with `--demo`: a key and a base URL.

    Args:
        demo: Whether the option is given.
        **others: The values of other options, None if they are not given.

    Raises:
        UsageError: Both are given.
    """
    if demo and any(value is not None for value in others.values()):
        raise click.UsageError("--demo uses an embedded service; it takes no key and no base URL.")


def _collected(
    argument: str, make: Callable[..., Any], command: Command, takes: Iterable[str] = ()
) -> Command:
    """Return a command that passes its options on as one argument: those that `make` takes, or has parameters for."""
    names = [*takes] or [*inspect.signature(make).parameters]

    @functools.wraps(command)
    def with_argument(**options: Any) -> None:
        value = make(**{name: options.pop(name) for name in names if name in options})
        command(**{argument: value}, **options)

    return with_argument


def _make_connection(
    *,
    api_key_file: str | None,
    all_orgs: bool,
    orgs: tuple[str, ...],
    base_url: str | None,
    timeout: float,
    demo: bool,
    from_file: str | None = None,
) -> source.Connection:
    check_demo(demo, base_url=base_url, api_key_file=api_key_file)
    orgs = tuple(name for text in orgs for name in filter(None, map(str.strip, text.split(","))))
    given = [name for name, value in (("--all-orgs", all_orgs), ("--org", orgs)) if value]
    if given and api_key_file is not None:
        raise click.UsageError(
            f"{given[0]} takes its keys from the credentials file; it excludes --api-key-file."
        )
    if all_orgs and orgs:
        raise click.UsageError("--all-orgs and --org exclude each other.")
    if from_file is not None and (given or demo or api_key_file is not None):
        raise click.UsageError(
            "--from reads a file: it excludes --demo, --org, --all-orgs and --api-key-file."
        )
    return source.Connection(
        api_key=None if api_key_file is None else read_key(api_key_file),
        base_url=base_url,
        timeout=timeout,
        demo=demo,
        all_orgs=all_orgs,
        orgs=orgs,
        stored=None if from_file is None else files.read_document(from_file),
    )


def _choose_base_url(*, base_url: str | None, china: bool) -> str | None:
    if china and base_url is not None:
        raise click.UsageError("--china and --base-url exclude each other.")
    return aiozilliz.CHINA if china else base_url


def _make_output(*, output: str | None, no_header: bool, query: Any = None) -> filters.Output:
    return filters.Output(
        form=None if output is None else formats.Format(output), header=not no_header, query=query
    )


def _debug(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        process.debug(context)
