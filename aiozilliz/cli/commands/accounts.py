"""The command `accounts`: the organisations you have keys for, and whether the keys work."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

import aiozilliz
from aiozilliz.cli import process
from aiozilliz.cli.input import filters, options, source
from aiozilliz.cli.output import console, formats
from aiozilliz.cli.output.progress import Progress, show_progress
from aiozilliz.cli.output.table import Column, TableWriter
from aiozilliz.cli.output.text import printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import aiohttp

    from aiozilliz import Account

OURS = "$ZILLIZ_API_KEY"
"""What the environment's key is called, which has no name."""

AT_ONCE = 16
"""Accounts that are checked at the same time."""

_STYLES = {"ok": "green", "refused": "red", "failed": "red"}
_ACCOUNT = Column("account", "ACCOUNT", "id")
_KEY = Column("key", "KEY", "whole")
_SITE = Column("baseUrl", "BASE URL", "whole")
_RESULT = (Column("status", "STATUS", "whole", _STYLES), Column("clusters", "CLUSTERS", "number"))
_ERROR = Column("error", "ERROR", "cut")


@frozen
class Checked:
    """The result of the check of one account.

    Attributes:
        count: How many clusters the service counts, or None if it does not say.
        failure: Why the check failed, or None.
    """

    count: int | None = None
    failure: aiozilliz.ZillizError | None = field(default=None, eq=False)

    def as_row(self) -> dict[str, Any]:
        """Return what is added to the account's row."""
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


def _layout(*, check: bool, failed: bool) -> formats.Layout:
    fields = ("account", "key", "baseUrl", *(("status", "clusters", "error") if check else ()))
    columns = (_ACCOUNT, *(_RESULT if check else ()), _KEY, *((_ERROR,) if failed else ()), _SITE)
    return formats.Layout(table=partial(TableWriter, columns), fields=fields)


@options.command("accounts")
@options.output_options()
@options.option("--check", "Check that each key works.", is_flag=True)
@options.option("--demo", "List three made-up organisations; needs no credentials file.", is_flag=True)
@options.site_options
def command(output: filters.Output, *, check: bool, demo: bool, base_url: str | None, timeout: float) -> None:
    """List the organisations you have keys for, which --all-orgs reads.

    They are those of the official command line's credentials file, and the key of the environment variable
    ZILLIZ_API_KEY if there is one, which --all-orgs does not use. Only the last 4 characters of a key are shown, and
    none of a short key.

    With --check one cluster of each is requested. Its status is then ok, refused (the key is refused, or may not list
    clusters) or failed, and clusters is how many the service counts. The exit status is 0 if all are ok, 4 if some are
    not, 3 if all keys are refused, else 1.

    Examples:
      aiozilliz accounts
      aiozilliz accounts --check
      aiozilliz accounts --check -o json --query "[?status!='ok'].account"
    """
    options.check_demo(demo, base_url=base_url)
    connection = source.Connection(api_key=None, base_url=base_url, timeout=timeout, demo=demo, all_orgs=True)
    accounts, results = process.call(_find(connection, check=check))
    failures: dict[str, Exception] = {
        account.name: result.failure
        for account, result in zip(accounts, results, strict=False)
        if result.failure is not None
    }
    writer = output.writer(_layout(check=check, failed=bool(failures)))
    for number, account in enumerate(accounts):
        row = {"account": account.name, "key": account.masked_key, "baseUrl": account.base_url}
        writer.write(row | (results[number].as_row() if check else {}))
    writer.finish(complete=True)
    if failures:
        raise process.accounts_error(failures, len(accounts))


async def _find(connection: source.Connection, *, check: bool) -> tuple[list[Account], list[Checked]]:
    async with AsyncExitStack() as stack:
        accounts = await _accounts(stack, connection)
        if not check:
            return accounts, []
        async with console.while_stdout_is_read(), connection.session() as session:
            ask = partial(_ask, session=session, connection=connection)
            return accounts, await _ask_all(accounts, ask)


async def _accounts(stack: AsyncExitStack, connection: source.Connection) -> list[Account]:
    if connection.demo or not os.environ.get("ZILLIZ_API_KEY"):
        return await stack.enter_async_context(connection.accounts())
    base_url = connection.base_url or aiozilliz.cli_base_url() or aiozilliz.GLOBAL
    ours = aiozilliz.Account(OURS, os.environ["ZILLIZ_API_KEY"], base_url=base_url)
    try:
        return [*await stack.enter_async_context(connection.accounts()), ours]
    except aiozilliz.ConfigurationError as error:
        if not error.message.startswith("There is no file"):
            raise
        return [ours]


async def _ask_all(
    accounts: Sequence[Account], ask: Callable[[Account], Awaitable[Checked]]
) -> list[Checked]:
    slots = asyncio.Semaphore(AT_ONCE)
    done = failed = 0

    async def ask_one(account: Account) -> Checked:
        nonlocal done, failed
        async with slots:
            result = await ask(account)
        done += 1
        failed += result.failure is not None
        return result

    def progress() -> Progress:
        return Progress(accounts=(done, len(accounts)), failed=failed)

    async with show_progress(progress), asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask_one(account)) for account in accounts]
    return [task.result() for task in tasks]


async def _ask(
    account: Account, *, session: aiohttp.ClientSession | None, connection: source.Connection
) -> Checked:
    async with connection.client_of(account, session) as client:
        try:
            page = await client.list_clusters(page_size=1)
        except aiozilliz.ZillizError as error:
            return Checked(failure=error)
    return Checked(page.count)
