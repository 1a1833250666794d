"""How commands explain themselves: a help that fits a screen, with each option on one line of its section.

The help of a command is its docstring. `--help` shows the first paragraph and the last one, which has examples;
`--help-all` shows everything, and the options that few people need.
"""

from __future__ import annotations

import inspect
from typing import Any, Final

import click

_SECTIONS: Final = {
    "Filters": "Filters: {} PATTERN[,PATTERN...]",
    "Output": None,
    "Connection": None,
    "Advanced": "Advanced, see --help-all: {}",
}
"""Section of options to what `--help` says of it, with the names; None is a line for each."""

_FULL: Final = "aiozilliz.full_help"


class Option(click.Option):
    """An option that belongs to a section of the help."""

    def __init__(self, *args: Any, section: str = "Output", **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.section = section

    def get_help_extra(self, ctx: click.Context) -> Any:  # noqa: ARG002  # click's own
        """Return nothing: the help's text says what matters."""
        return {}


class HelpedCommand(click.Command):
    """A command whose help fits a screen."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters, with `--help-all`."""
        return [*super().get_params(ctx), _HELP_ALL]

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help."""
        full = ctx.meta.get(_FULL, False)
        self.format_usage(ctx, formatter)
        paragraphs = inspect.cleandoc(self.help or "").split("\n\n")
        for text in paragraphs if full else dict.fromkeys((paragraphs[0], paragraphs[-1])):
            shown = text if "\n  " in text else click.wrap_text(" ".join(text.split()), formatter.width)
            formatter.write(f"\n{shown}\n")
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)
        formatter.write("\n")
        for section, short in _SECTIONS.items():
            options = [
                param for param in self.params if isinstance(param, Option) and param.section == section
            ]
            if options and short and not full:
                formatter.write_text(short.format(" ".join(option.opts[-1] for option in options)))
            elif options:
                formatter.write(f"{section}:\n")
                formatter.indent()
                formatter.write_dl(
                    [record for o in options if (record := o.get_help_record(ctx))], col_max=24
                )
                formatter.dedent()


def _show_all(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        context.meta[_FULL] = True
        click.echo(context.get_help())
        context.exit()


_HELP_ALL = click.Option(
    ["--help-all"], is_flag=True, is_eager=True, expose_value=False, callback=_show_all, help="Show all."
)
