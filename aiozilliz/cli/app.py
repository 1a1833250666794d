"""The command group `aiozilliz`, and the words of its help. Of the commands only the one that is called is loaded."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from aiozilliz.cli.process import NAME

COMMANDS: Final = {
    "list": "List clusters, each exactly once.",
    "summary": "Count clusters and add up their CUs.",
    "snapshot": "Save the whole listing as JSON.",
    "diff": "Show what changed between two snapshots, or since one.",
    "watch": "Print what changes, as it changes.",
    "accounts": "Show the organisations that there are keys of.",
}
"""Name to what the help says of it. Each has a module of its name."""

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

# A paragraph that begins with \b keeps its lines.
_HELP = """Show the clusters that Zilliz Cloud API keys can see, each exactly once: complete, or loudly not.

\b
Try it without a key, then with yours:
  aiozilliz list --demo
  aiozilliz list --api-key-file FILE
  aiozilliz summary --all-orgs

Without --api-key-file the key comes from the environment variable ZILLIZ_API_KEY, else from the file in which the
official command line keeps it, ~/.zilliz/credentials. It is never an argument, as others could see it there.

Data goes to standard output, errors and progress to standard error. Options stand after the command.

\b
Exit status:
    0  all of it
    1  failed
    2  wrong usage or set-up
    3  the key is refused
    4  some of several accounts failed; what could be had of the others was given
  130  interrupted (143 by SIGTERM)
"""


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's own
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's own
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"aiozilliz.cli.commands.{cmd_name}").command
        command.short_help = COMMANDS[cmd_name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's own
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Group, help=_HELP, context_settings=_SETTINGS)
@click.version_option(package_name=NAME, prog_name=NAME, message="%(prog)s %(version)s")
def group() -> None:
    """Hold the commands."""
