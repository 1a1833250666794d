"""The command `accounts`: the organisations that there are keys of, and whether the keys work."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from attrs import field, frozen

import aiozilliz
from aiozilliz.cli.input.options import output_options, site_options
from aiozilliz.cli.input.source import Connection
from aiozilliz.cli.output.console import printable
from aiozilliz.cli.output.formats import Layout
from aiozilliz.cli.output.progress import show_progress
from aiozilliz.cli.output.table import Column
from aiozilliz.cli.process import accounts_error
from aiozilliz.cli.signals import call

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import aiohttp

    from aiozilliz import Account
    from aiozilliz.cli.input.filters import Output
    from aiozilliz.cli.output.progress import Progress

AT_ONCE = 16
"""Accounts that are asked at the same time."""

_HELP = """Show the organisations in the official command line's credentials file.

They are those that --all-orgs asks. Of a long key the last 4 characters are shown, of others none. A key in the
environment variable ZILLIZ_API_KEY is not among them: it has no name.

With --check each is asked for one cluster. Its status is then ok, refused (the key is refused, or may not list
clusters) or failed, and clusters is how many the service says there are. The exit status is 0 where all are ok, 4 where
some are not, 3 where all keys are refused, else 1.

\b
Examples:
  aiozilliz accounts
  aiozilliz accounts --check
  aiozilliz accounts --check -o json --query "[?status!='ok'].account"
  aiozilliz accounts --demo
"""

_STYLES = {"ok": "green", "refused": "red", "failed": "red"}
_ACCOUNT = Column("account", "ACCOUNT", "id")
_KEY = Column("key", "KEY", "whole")
_SITE = Column("baseUrl", "BASE URL", "whole")
_RESULT = (Column("status", "STATUS", "whole", _STYLES), Column("clusters", "CLUSTERS", "number"))
_ERROR = Column("error", "ERROR", "cut")


@frozen
class Checked:
    """What came of asking one account.

    Attributes:
        count: Clusters that the service says there are, or None where it does not say.
        failure: Why it could not be asked.
    """

    count: int | None = None
    failure: aiozilliz.ZillizError | None = field(default=None, eq=False)

    def as_row(self) -> dict[str, Any]:
        """Give what is added to the account's row."""
        if self.failure is None:
            return {"status": "ok", "clusters": self.count, "error": ""}
        refused = isinstance(self.failure, aiozilliz.AuthenticationError)
        return {"status": "refused" if refused else "failed", "clusters": None, "error": _short(self.failure)}


def _short(error: aiozilliz.ZillizError) -> str:
    text = printable(error.message).rstrip(" .")
    if not isinstance(error, aiozilliz.APIError):
        return text
    code = "" if error.code is None else f", code {error.code}"
    return f"{text or 'no reason given'} (HTTP {error.status}{code})"


def _row(account: Account) -> dict[str, Any]:
    return {"account": account.name, "key": account.masked_key, "baseUrl": account.base_url}


def _layout(*, check: bool, failed: bool) -> Layout:
    fields = ("account", "key", "baseUrl", *(("status", "clusters", "error") if check else ()))
    columns = (_ACCOUNT, *(_RESULT if check else ()), _KEY, *((_ERROR,) if failed else ()), _SITE)
    return Layout(columns=columns, fields=fields, known=frozenset(fields))


@click.command("accounts", help=_HELP)
@output_options()
@click.option("--check", is_flag=True, help="Ask each whether its key works.")
@click.option("--demo", is_flag=True, help="Show three made-up organisations; needs no credentials file.")
@site_options
def command(output: Output, *, check: bool, demo: bool, base_url: str | None, timeout: float) -> None:
    """Write every organisation to standard output."""
    if demo and base_url is not None:
        raise click.UsageError("--demo asks an embedded service; it takes no base URL.")
    connection = Connection(
        api_key=None,
        base_url=base_url,
        timeout=timeout,
        demo=demo,
        all_orgs=True,
    )
    accounts, results = call(_find(connection, check=check))
    failures: dict[str, Exception] = {
        account.name: result.failure
        for account, result in zip(accounts, results, strict=False)
        if result.failure is not None
    }
    writer = output.writer(_layout(check=check, failed=bool(failures)))
    for number, account in enumerate(accounts):
        writer.write(_row(account) | (results[number].as_row() if check else {}))
    writer.finish(complete=True)
    if failures:
        raise accounts_error(failures, len(accounts))


async def _find(connection: Connection, *, check: bool) -> tuple[list[Account], list[Checked]]:
    async with connection.accounts() as accounts:
        if not check:
            return accounts, []
        async with connection.session() as session:
            ask = partial(_ask, session=session, connection=connection)
            with show_progress(True) as progress:
                return accounts, await _ask_all(accounts, ask, progress)


async def _ask_all(
    accounts: Sequence[Account], ask: Callable[[Account], Awaitable[Checked]], progress: Progress
) -> list[Checked]:
    places = asyncio.Semaphore(AT_ONCE)
    done = failed = 0

    async def ask_one(account: Account) -> Checked:
        nonlocal done, failed
        async with places:
            result = await ask(account)
        done += 1
        failed += result.failure is not None
        progress.update(accounts=(done, len(accounts)), pages=0, clusters=0, failed=failed)
        return result

    progress.update(accounts=(0, len(accounts)), pages=0, clusters=0)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask_one(account)) for account in accounts]
    return [task.result() for task in tasks]


async def _ask(account: Account, *, session: aiohttp.ClientSession | None, connection: Connection) -> Checked:
    async def give_key() -> str:
        return (await account.key_source.get()).reveal()

    client = aiozilliz.ZillizClient(
        give_key,
        base_url=account.base_url,
        session=session,
        timeout=connection.timeout,
        retry=connection.retry,
    )
    async with client:
        try:
            page = await client.list_clusters(page_size=1)
        except aiozilliz.ZillizError as error:
            return Checked(failure=error)
    return Checked(page.count)
