"""The command group `aiozilliz`, and the words of its help."""

from __future__ import annotations

import click

from aiozilliz.cli import _accounts, _diff, _list, _snapshot, _summary, _watch
from aiozilliz.cli._run import NAME

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
  130  interrupted
"""


@click.group(help=_HELP, context_settings=_SETTINGS)
@click.version_option(package_name=NAME, prog_name=NAME, message="%(prog)s %(version)s")
def group() -> None:
    """Hold the commands."""


for _module in (_list, _summary, _snapshot, _diff, _watch, _accounts):
    group.add_command(_module.command)
del _module
