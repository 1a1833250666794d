"""The command group `aiozilliz` and its help. Only the command that is called is imported."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from aiozilliz.cli import process
from aiozilliz.cli.input.help import HelpedCommand

COMMANDS: Final = {
    "list": "List clusters, each exactly once.",
    "summary": "Count clusters and add up their CUs.",
    "snapshot": "Save the whole listing as JSON.",
    "diff": "Show what changed between two snapshots, or since one.",
    "watch": "Print changes as they happen.",
    "history": "Show what a watch has reported.",
    "report": "Write a page about all clusters, to look at.",
    "describe": "Show all fields of one cluster.",
    "accounts": "List the organisations you have keys for.",
    "completion": "Print the completion script of a shell.",
}
"""Name to its line in the help. Each has a module of its name."""

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Group(HelpedCommand, click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's own
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's own
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"aiozilliz.cli.commands.{cmd_name}").command
        command.short_help = COMMANDS[cmd_name]
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches  # noqa: PLC0415  # only for a mistake

            # Anything may stand here by mistake, also a key: only what is close to a command is repeated.
            close = get_close_matches(args[0], COMMANDS)
            hint = f"Did you mean {close[0]!r}?" if close else f"Commands are {', '.join(COMMANDS)}."
            ctx.fail(f"There is no such command{f' {args[0]!r}' if close else ''}. {hint}")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name
        raise click.UsageError(
            f"No such option before the command: {name}. Options come after it: aiozilliz list -o json.", ctx
        )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's own
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        formatter.write("\nOptions: --version, --help, --help-all (exit status, and where keys come from)\n")


@click.group(cls=_Group, context_settings=_SETTINGS)
@click.version_option(package_name=process.NAME, prog_name=process.NAME, message="%(prog)s %(version)s")
def group() -> None:
    """Show the clusters that Zilliz Cloud API keys can see, each exactly once.

    A list that is not complete is an error. Data goes to standard output, errors and progress to standard error. Options
    come after the command.

    Without --api-key-file the key is taken from the environment variable ZILLIZ_API_KEY, else from the credentials file
    of the official command line, ~/.zilliz/credentials. It is never an argument, as other users could see it there.

    Exit status:
      0  success
      1  failed
      2  wrong usage or configuration
      3  the key is refused
      4  some of several accounts failed or were not compared; the results of the others were written
      5  the responses do not show that the listing is complete
      A command that is interrupted or terminated dies of the signal ($? is 130 or 143).

    Examples:
      aiozilliz list --demo
      aiozilliz list --api-key-file FILE
      aiozilliz summary --all-orgs
      AIOZILLIZ_OUTPUT=json aiozilliz list   (each option has such a variable)
    """
