"""The command `diff`: what changed between two snapshots, or between one and now."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import starmap
from typing import TYPE_CHECKING

import click
from attrs import define, evolve, field, frozen

import aiozilliz
from aiozilliz.cli import process
from aiozilliz.cli.input import filters, options, source
from aiozilliz.cli.output import console, formats
from aiozilliz.cli.output.changes import Change, NotCompared, changes_layout, utc_text
from aiozilliz.cli.output.text import printable
from aiozilliz.cli.state import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiozilliz.cli.state.files import Document


@frozen
class Side:
    """One of the two listings.

    Attributes:
        name: Its name in the output.
        document: The listing.
    """

    name: str
    document: Document

    @property
    def many(self) -> bool:
        """Whether it is of many accounts."""
        return isinstance(self.document, aiozilliz.InventoryReport)

    def headline(self, sign: str) -> str:
        """Return the line that names it, after a sign."""
        count = sum(len(snapshot) for _, snapshot in files.parts(self.document))
        clusters = "1 cluster" if count == 1 else f"{count} clusters"
        return printable(f"{sign} {self.name}  {utc_text(self.document.taken_at)}  {clusters}")


@define
class Difference:
    """The difference between two listings.

    Attributes:
        old: The older listing.
        new: The newer one.
        changes: In the order in which they are shown.
        apart: Account that was not compared, or failed in one of them, to the reason.
    """

    old: Side
    new: Side
    changes: list[Change] = field(factory=list[Change])
    apart: dict[str, str] = field(factory=dict[str, str])


@options.command("diff")
@click.argument("old", required=False, shell_complete=options.complete_file)
@click.argument("new", required=False, shell_complete=options.complete_file)
@options.option("--live", "Compare OLD with the service's current list.", is_flag=True)
@options.option("--exit-code", "Exit with status 1 if there are changes.", is_flag=True)
@options.output_options()
@options.selection_options
@options.paging_options(verify=False)
@options.connection_options
def command(
    connection: source.Connection,
    paging: source.Paging,
    selection: filters.Selection,
    output: filters.Output,
    old: str | None,
    new: str | None,
    live: bool,
    exit_code: bool,
) -> None:
    """Show what changed from OLD to NEW, two files of `aiozilliz snapshot`, or with --live from OLD to now.

    One of the files may be -, standard input. If OLD is the report of many organisations, --live reads all of them. One
    that fails is named, and its clusters are never shown as removed. JSON, JSON lines and YAML have an object per
    change: kind, (account,) cluster, previous, changed; and one of kind notCompared, with account and reason, for an
    organisation. CSV has a row per field that differs.

    Exit status: 0 success, with --exit-code 1 if there are changes, 2 failed or wrong usage, 3 the key is refused, 4
    some organisations failed or are missing in one of the two, 5 with --live if the list could not be proven complete.

    Examples:
      aiozilliz diff monday.json tuesday.json
      aiozilliz diff clusters.json --live --exit-code
      aiozilliz diff a.json b.json --query "[?kind=='removed'].cluster.clusterId"
    """
    process.set_failure_status(process.MISUSED)  # 1 means that there are changes
    console.check_stdout()
    older, newer = _sides(connection, paging, old, new, live=live, to_stdout=not exit_code)
    failed = files.error_of(newer.document) if live else None
    if isinstance(failed, aiozilliz.InventoryError):  # there is nothing to compare with
        raise failed
    difference = compare(older, newer, selection)
    _warn(older, "added")
    _warn(newer, "removed")
    try:
        writer = output.writer(_layout(difference))
        for row in (*difference.changes, *starmap(NotCompared, difference.apart.items())):
            writer.write(row)
        writer.finish(complete=True)
    except BrokenPipeError:
        console.discard_stdout()  # nobody reads on, but the exit status still says whether there are changes
    if failed is not None:
        raise failed
    if difference.apart:
        raise process.CommandError(
            f"not compared as they are now: {len(difference.apart)} of the accounts", process.SOME_FAILED
        )
    if live and (doubt := files.doubt_of(newer.document)) is not None:
        raise doubt
    if exit_code and difference.changes:
        raise click.exceptions.Exit(1)


def _sides(
    connection: source.Connection,
    paging: source.Paging,
    old: str | None,
    new: str | None,
    *,
    live: bool,
    to_stdout: bool,
) -> tuple[Side, Side]:
    if connection.demo and old is None:
        return _demo_sides(connection, paging, to_stdout=to_stdout)
    if old is None or (new is None and not live):
        raise click.UsageError("Pass two files, OLD and NEW, or OLD and --live.")
    if live and new is not None:
        raise click.UsageError("--live stands for NEW: pass only one file.")
    if not live and (connection.demo or connection.many):
        raise click.UsageError(
            "Two files are compared without the service: --demo and --all-orgs require --live."
        )
    if old == new == files.STANDARD_INPUT:
        raise click.UsageError("Only one of the files can be standard input.")
    older = Side(old, files.read_document(old))
    if new is None:
        return older, Side("now", _read_like(older, connection, paging, to_stdout=to_stdout))
    newer = Side(new, files.read_document(new))
    if older.many != newer.many:
        one, many = (new, old) if older.many else (old, new)
        raise files.FileError(
            f"{many} is the report of many accounts and {one} the snapshot of one: they can't be compared"
        )
    return older, newer


def _read_like(
    older: Side, connection: source.Connection, paging: source.Paging, *, to_stdout: bool
) -> Document:
    if connection.many and not older.many:
        raise click.UsageError(f"{older.name} is the snapshot of one account: leave out --all-orgs.")
    if older.many and connection.api_key is not None:
        raise click.UsageError(
            f"{older.name} is the report of many accounts, whose keys come from the credentials file: "
            "leave out --api-key-file."
        )
    connection = connection.for_all_orgs() if older.many else connection
    return process.call(connection.collect(paging, to_stdout=to_stdout))


def _demo_sides(
    connection: source.Connection, paging: source.Paging, *, to_stdout: bool
) -> tuple[Side, Side]:
    """Read the demo's listing, and return it with a copy that has some changes."""
    older = process.call(connection.collect(paging, to_stdout=to_stdout))
    if isinstance(older, aiozilliz.Snapshot):
        return Side("demo", older), Side("demo, changed", _after_changes(older))
    snapshots = dict(older.snapshots)
    name = next(iter(snapshots))
    snapshots[name] = _after_changes(snapshots[name])
    newer = evolve(older, snapshots=snapshots, taken_at=snapshots[name].taken_at)
    return Side("demo", older), Side("demo, changed", newer)


def _after_changes(older: aiozilliz.Snapshot) -> aiozilliz.Snapshot:
    import aiozilliz.testing  # noqa: PLC0415  # a server, used by nothing else

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


def compare(older: Side, newer: Side, selection: filters.Selection) -> Difference:
    """Compare two listings, both of one account or both of many, as far as clusters are selected."""
    difference = Difference(older, newer)
    if isinstance(newer.document, aiozilliz.Snapshot):
        assert isinstance(older.document, aiozilliz.Snapshot)
        difference.changes += _chosen(None, newer.document.diff(older.document), selection)
        return difference
    assert isinstance(older.document, aiozilliz.InventoryReport)
    changes = newer.document.diff(older.document)
    for account, of_account in changes.items():
        difference.changes += _chosen(account, of_account, selection)
    for names, here in ((changes.only_in_older, older), (changes.only_in_newer, newer)):
        difference.apart.update((name, f"only in {here.name}, so it is not compared") for name in names)
    for side in (older, newer):
        for name in files.failures_of(side.document):
            last = "its last snapshot" if name in changes else "nothing"
            difference.apart[name] = f"failed in {side.name}, so {last} is compared"
    return difference


def _chosen(
    account: str | None, changes: aiozilliz.Changes, selection: filters.Selection
) -> Iterator[Change]:
    kinds = aiozilliz.EventKind
    for cluster in changes.added:
        if selection.takes(cluster):
            yield Change(kinds.ADDED, cluster, account=account)
    for cluster in changes.removed:
        if selection.takes(cluster):
            yield Change(kinds.REMOVED, cluster, cluster, account=account)
    for change in changes.modified:
        if selection.takes(change.cluster) or selection.takes(change.previous):
            yield Change(kinds.MODIFIED, change.cluster, change.previous, change.changed, account)


def _warn(side: Side, kind: str) -> None:
    for account, snapshot in files.parts(side.document):
        if not snapshot.consistent:
            of = "" if account is None else f" of {account}"
            console.print_error(
                f"{side.name}: the listing{of} was not proven complete, so clusters may be shown as {kind} by mistake"
            )


def _layout(difference: Difference) -> formats.Layout:
    head: list[str] = []
    foot: list[str] = []
    if difference.changes or difference.apart:
        head = [difference.old.headline("---"), difference.new.headline("+++")]
        counts = Counter(change.kind for change in difference.changes)
        foot.append(", ".join(f"{counts[kind]} {kind}" for kind in aiozilliz.EventKind))
    return changes_layout(many=difference.new.many, head=head, foot=foot)
