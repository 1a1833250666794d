"""The command `diff`: what changed between two snapshots, or between one and now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from attrs import define, evolve, field, frozen

import aiozilliz
from aiozilliz.cli.input.options import (
    complete_file,
    connection_options,
    output_options,
    paging_options,
    selection_options,
)
from aiozilliz.cli.output.changes import change_fields_rows, change_lines, change_row
from aiozilliz.cli.output.columns import ACCOUNT
from aiozilliz.cli.output.console import (
    check_stdout,
    complain,
    discard_stdout,
    emit,
    printable,
    say,
    stderr_is_terminal,
    stdout_has_colour,
)
from aiozilliz.cli.output.formats import Format, Layout, make_writer
from aiozilliz.cli.process import MISUSED, CommandError, PartialError, accounts_error, error_text
from aiozilliz.cli.signals import call
from aiozilliz.cli.state.files import STANDARD_INPUT, FileError, parts, read_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aiozilliz.cli.input.filters import Output, Selection
    from aiozilliz.cli.input.source import Connection, Paging
    from aiozilliz.cli.state.files import Document

_HELP = """Show what changed from OLD to NEW, two files of `aiozilliz snapshot`, or with --live from OLD to now.

One of the files may be -, standard input. Where OLD is the report of many organisations, --live asks all of them; one
that can't be read is named, and its clusters are never shown as removed. JSON, JSON lines and YAML have an object for
each change: kind, (account,) cluster, previous, changed. CSV has a row for each field that differs.

Exit status: 0, with --exit-code 1 where there are changes, 2 trouble, 3 the key is refused, 4 some organisations
failed, 130 interrupted.

\b
Examples:
  aiozilliz diff --demo
  aiozilliz diff monday.json tuesday.json
  aiozilliz diff clusters.json --live --exit-code
  aiozilliz diff monday.json tuesday.json --query "[?kind == 'removed'].cluster.clusterId"
"""

_COLOURS = {"+": "green", "-": "red", "~": "yellow", "@": "cyan"}
_CSV_FIELDS = ("kind", "clusterId", "clusterName", "field", "old", "new")


@frozen
class _Change:
    account: str | None
    kind: aiozilliz.EventKind
    cluster: aiozilliz.Cluster
    previous: aiozilliz.Cluster | None = None
    changed: tuple[str, ...] = ()

    def row(self) -> dict[str, Any]:
        return change_row(self.kind, self.cluster, self.previous, self.changed, account=self.account)

    def cells(self) -> Iterator[dict[str, Any]]:
        """Give the rows of CSV: one for each field of a modified cluster."""
        return change_fields_rows(self.kind, self.cluster, self.previous, self.changed, account=self.account)


@frozen
class _Side:
    """One of the two listings.

    Attributes:
        name: What it is called in what is written.
        document: What it holds.
    """

    name: str
    document: Document

    @property
    def many(self) -> bool:
        return isinstance(self.document, aiozilliz.InventoryReport)

    @property
    def failures(self) -> Mapping[str, Exception]:
        return self.document.failures if isinstance(self.document, aiozilliz.InventoryReport) else {}

    def headline(self, sign: str) -> str:
        count = sum(len(snapshot) for _, snapshot in parts(self.document))
        clusters = "1 cluster" if count == 1 else f"{count} clusters"
        taken_at = self.document.taken_at.isoformat(timespec="seconds").replace("+00:00", "Z")
        return printable(f"{sign} {self.name}  {taken_at}  {clusters}")


@define
class _Difference:
    """What there is to show.

    Attributes:
        old: The older listing.
        new: The newer one.
        changes: In the order in which they are shown.
        apart: Account that can't be compared to the reason.
        moved: Whether an account is in one of them only, though it did not fail in the other.
    """

    old: _Side
    new: _Side
    changes: list[_Change] = field(factory=list[_Change])
    apart: dict[str, str] = field(factory=dict[str, str])
    moved: bool = False

    def __bool__(self) -> bool:
        return bool(self.changes) or self.moved


@click.command("diff", help=_HELP)
@click.argument("old", required=False, shell_complete=complete_file)
@click.argument("new", required=False, shell_complete=complete_file)
@click.option("--live", is_flag=True, help="Compare OLD with what the service lists now.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 where there are changes.")
@output_options()
@selection_options
@paging_options(verify=False)
@connection_options
def command(
    connection: Connection,
    paging: Paging,
    selection: Selection,
    output: Output,
    old: str | None,
    new: str | None,
    live: bool,
    exit_code: bool,
) -> None:
    """Write the changes to standard output."""
    try:
        check_stdout()
        older, newer = _sides(connection, paging, old, new, live=live)
    except aiozilliz.ZillizError as error:
        raise _troubled(error) from error
    except OSError as error:
        raise _refused(error) from error
    accounts = len(list(parts(newer.document))) + len(newer.failures)
    failed = accounts_error(newer.failures, accounts) if live and newer.failures else None
    if failed is not None and not isinstance(failed, PartialError):
        raise _troubled(failed)
    difference = _compare(older, newer, selection)
    _warn(older, "added")
    _warn(newer, "removed")
    try:
        _write(difference, output)
    except BrokenPipeError:
        discard_stdout()  # nobody reads on, but somebody may ask whether there are changes
    except OSError as error:
        discard_stdout()
        raise _refused(error) from error
    if failed is not None:
        raise failed
    if exit_code and difference:
        raise click.exceptions.Exit(1)


def _refused(error: OSError) -> CommandError:
    return CommandError(f"the system refused: {error.strerror or error}", MISUSED)


def _troubled(error: aiozilliz.ZillizError) -> Exception:
    """Give an error that does not end in the exit status 1, which means that there are changes."""
    told = (aiozilliz.AuthenticationError, aiozilliz.ConfigurationError)
    if isinstance(error, aiozilliz.InventoryError):
        if all(isinstance(failure, told) for failure in error.failures.values()):
            return error
        for name, failure in error.failures.items():
            complain(f"account {name}: {error_text(failure)}")
        return CommandError(error.message, MISUSED)
    return error if isinstance(error, told) else CommandError(error_text(error), MISUSED)


def _sides(
    connection: Connection, paging: Paging, old: str | None, new: str | None, *, live: bool
) -> tuple[_Side, _Side]:
    if connection.demo and old is None:
        return _demo_sides(connection, paging)
    if old is None or (new is None and not live):
        raise click.UsageError("Give two files, OLD and NEW, or OLD and --live.")
    if live and new is not None:
        raise click.UsageError("--live stands for NEW: give one file only.")
    if not live and (connection.demo or connection.all_orgs):
        raise click.UsageError(
            "Two files are compared without the service: --demo and --all-orgs go with --live."
        )
    if old == new == STANDARD_INPUT:
        raise click.UsageError("Only one of the files can be standard input.")
    older = _Side(old, read_document(old))
    if new is None:
        return older, _Side("now", _read_like(older, connection, paging))
    newer = _Side(new, read_document(new))
    if older.many != newer.many:
        one, many = (new, old) if older.many else (old, new)
        raise FileError(
            f"{many} is the report of many accounts, {one} the snapshot of one: these can't be compared"
        )
    return older, newer


def _read_like(older: _Side, connection: Connection, paging: Paging) -> Document:
    if connection.all_orgs and not older.many:
        raise click.UsageError(f"{older.name} is the snapshot of one account: leave out --all-orgs.")
    if older.many and connection.api_key is not None:
        raise click.UsageError(
            f"{older.name} is the report of many accounts, whose keys come from the credentials file: "
            "leave out --api-key-file."
        )
    return call((connection.for_all_orgs() if older.many else connection).collect(paging))


def _demo_sides(connection: Connection, paging: Paging) -> tuple[_Side, _Side]:
    """Read the demo's listing, and give it with the same after some changes."""
    older = call(connection.collect(paging))
    if isinstance(older, aiozilliz.Snapshot):
        return _Side("demo", older), _Side("demo, changed", _after_changes(older))
    snapshots = dict(older.snapshots)
    name = next(iter(snapshots))
    snapshots[name] = _after_changes(snapshots[name])
    newer = evolve(older, snapshots=snapshots, taken_at=snapshots[name].taken_at)
    return _Side("demo", older), _Side("demo, changed", newer)


def _after_changes(older: aiozilliz.Snapshot) -> aiozilliz.Snapshot:
    import aiozilliz.testing  # noqa: PLC0415  # a server, which nothing else needs

    cloud = aiozilliz.testing.FakeZillizCloud(older.clusters)
    suspended, resized, *_, deleted = (cluster.cluster_id for cluster in older)
    cloud.update(suspended, status="STOPPED")
    cloud.update(resized, cuSize=older[resized].cu_size + 4, labels={"team": "search"})
    cloud.remove(deleted)
    cloud.add(
        clusterId="in01-demo-added", clusterName="demo-added", status="CREATING", plan="Standard", cuSize=1
    )
    clusters = map(aiozilliz.Cluster.from_dict, cloud.clusters)
    return aiozilliz.Snapshot(clusters, datetime.now(UTC), older.requests, consistent=older.consistent)


def _compare(older: _Side, newer: _Side, selection: Selection) -> _Difference:
    difference = _Difference(older, newer)
    if isinstance(newer.document, aiozilliz.Snapshot):
        assert isinstance(older.document, aiozilliz.Snapshot)
        difference.changes += _chosen(None, newer.document.diff(older.document), selection)
        return difference
    assert isinstance(older.document, aiozilliz.InventoryReport)
    changes = newer.document.diff(older.document)
    for account, of_account in changes.items():
        difference.changes += _chosen(account, of_account, selection)
    for names, here, there in (
        (changes.only_in_older, older, newer),
        (changes.only_in_newer, newer, older),
    ):
        for name in names:
            if name in there.failures:
                difference.apart[name] = f"failed in {there.name}, so it is not compared"
            else:
                difference.apart[name] = f"only in {here.name}"
                difference.moved = True
    return difference


def _chosen(account: str | None, changes: aiozilliz.Changes, selection: Selection) -> Iterator[_Change]:
    kinds = aiozilliz.EventKind
    for cluster in changes.added:
        if selection.takes(cluster):
            yield _Change(account, kinds.ADDED, cluster)
    for cluster in changes.removed:
        if selection.takes(cluster):
            yield _Change(account, kinds.REMOVED, cluster, cluster)
    for change in changes.modified:
        if selection.takes(change.cluster) or selection.takes(change.previous):
            yield _Change(account, kinds.MODIFIED, change.cluster, change.previous, change.changed)


def _warn(side: _Side, kind: str) -> None:
    for account, snapshot in parts(side.document):
        if not snapshot.consistent:
            of = "" if account is None else f" of {account}"
            complain(
                f"{side.name}: the listing{of} was not proven whole, so some that are shown as {kind} may not be"
            )


def _write(difference: _Difference, output: Output) -> None:
    form = output.form or Format.TABLE
    if form is Format.TABLE and output.query is None:
        _write_text(difference)
        return
    for account, reason in difference.apart.items():
        complain(f"account {account}: {reason}")
    if form is Format.CSV and output.query is None:
        fields = (_CSV_FIELDS[0], ACCOUNT, *_CSV_FIELDS[1:]) if difference.new.many else _CSV_FIELDS
        layout = Layout(columns=(), fields=fields, known=frozenset(fields))
        writer = make_writer(form, layout, header=output.header)
        rows: Sequence[Mapping[str, Any]] = [
            cells for change in difference.changes for cells in change.cells()
        ]
    else:
        writer = output.writer(Layout(columns=(), fields=(), known=frozenset()))
        rows = [change.row() for change in difference.changes]
    for row in rows:
        writer.write(row)
    writer.finish(complete=True)


def _write_text(difference: _Difference) -> None:
    lines = list(_lines(difference))
    if not lines:
        if stderr_is_terminal():
            say("No changes.")
        return
    if stdout_has_colour():
        lines = [_painted(line) for line in lines]
    emit("".join(f"{line}\n" for line in lines))


def _lines(difference: _Difference) -> Iterator[str]:
    if not difference.changes and not difference.apart:
        return
    yield difference.old.headline("---")
    yield difference.new.headline("+++")
    account = None
    for change in difference.changes:
        if change.account != account:
            account = change.account
            yield printable(f"@@ {account} @@")
        yield from change_lines(change.kind, change.cluster, change.previous, change.changed)
    for name, reason in difference.apart.items():
        yield printable(f"@@ {name} @@ {reason}")
    counts = (
        (kind, sum(change.kind == kind for change in difference.changes)) for kind in aiozilliz.EventKind
    )
    yield ", ".join(f"{count} {kind}" for kind, count in counts)


def _painted(line: str) -> str:
    colour = _COLOURS.get(line[:1])
    return (
        line if colour is None else click.style(line, fg=colour, bold=line.startswith(("---", "+++")) or None)
    )
