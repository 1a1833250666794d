"""The command `completion`: the script with which a shell completes the commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from aiozilliz.cli import process
from aiozilliz.cli.input.help import HelpedCommand
from aiozilliz.cli.output import console


@click.command("completion", cls=HelpedCommand)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script with which a shell completes commands, options and known values.

    Put this into the shell's start-up file:
      ~/.bashrc                   source <(aiozilliz completion bash)
      ~/.zshrc                    source <(aiozilliz completion zsh)
      ~/.config/fish/config.fish  aiozilliz completion fish | source
    """
    make = get_completion_class(shell)
    assert make is not None, "click knows these three"
    console.emit(
        make(context.find_root().command, {}, process.NAME, process.COMPLETE_VARIABLE).source() + "\n"
    )
