"""Pickles and tracebacks name public places, and pickles are read by other versions than the one that wrote them."""

from __future__ import annotations

import base64
import copy
import inspect
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import traceback
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import aiozilliz
import aiozilliz.testing
from aiozilliz import Cluster, ClusterPage, Plan, Snapshot, TransportError
from aiozilliz.testing.server import Headers
from tests.pickles.examples import EXAMPLES, NOON, facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

PACKAGE = Path(aiozilliz.__file__).parent
WRITTEN: dict[str, dict[str, str]] = json.loads(
    Path(__file__).with_name("0.1.0.json").read_text(encoding="utf-8")
)
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
PUBLIC = [(package, name) for package in (aiozilliz, aiozilliz.testing) for name in package.__all__]
NO_VALUES = {
    *("Account", "ClusterIterator", "ClusterWatcher", "Inventory", "InventoryIterator", "InventoryWatcher"),
    *("PageIterator", "RateLimiter", "ZillizClient", "FakeZillizCloud"),
}
"""Classes whose objects hold a key, a connection or a task."""


class Reader(pickle.Unpickler):
    """Keeps the places that a pickle names."""

    def __init__(self, pickled: bytes) -> None:
        super().__init__(io.BytesIO(pickled))
        self.named: set[tuple[str, str]] = set()

    def find_class(self, module: str, name: str) -> Any:
        self.named.add((module, name))
        return super().find_class(module, name)


def read_in_a_new_process(program: str, *pickles: bytes, path: Path | None = None) -> list[Any]:
    """Run a program that has the `pickles` as bytes and fills the list `found`, and read what it found."""
    lines = (
        "import base64, json, pickle, sys",
        "pickles = [base64.b64decode(text) for text in json.load(sys.stdin)]",
        "found = []",
        program,
        "import aiozilliz",
        f"assert aiozilliz.__file__.startswith({str(path or PACKAGE)!r}), aiozilliz.__file__",
        "print(json.dumps([base64.b64encode(one).decode() for one in found]))",
    )
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", "\n".join(lines)],
        input=json.dumps([base64.b64encode(one).decode() for one in pickles]),
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([*([str(path)] if path else []), *sys.path])},
    )
    assert done.returncode == 0, done.stderr
    return [base64.b64decode(text) for text in json.loads(done.stdout)]


# Names.


@pytest.mark.parametrize(("package", "name"), PUBLIC, ids=lambda part: getattr(part, "__name__", part))
def test_a_public_class_or_function_names_its_public_place(package: ModuleType, name: str) -> None:
    value = getattr(package, name)
    if not callable(value):
        return
    assert (value.__module__, value.__qualname__) == (package.__name__, name)
    for protocol in PROTOCOLS:
        reader = Reader(pickle.dumps(value, protocol))
        assert reader.load() is value
        assert reader.named == {(package.__name__, name)}


@pytest.mark.parametrize(("package", "name"), PUBLIC, ids=lambda part: getattr(part, "__name__", part))
def test_type_hints_of_a_public_class_can_be_read(package: ModuleType, name: str) -> None:
    value = getattr(package, name)
    if inspect.isclass(value):
        hints = typing.get_type_hints(value)
        assert not [hint for hint in hints.values() if isinstance(hint, str)]


def test_a_class_shows_its_public_place() -> None:
    assert repr(aiozilliz.ZillizClient) == "<class 'aiozilliz.ZillizClient'>"
    assert repr(aiozilliz.testing.FakeZillizCloud) == "<class 'aiozilliz.testing.FakeZillizCloud'>"
    told = traceback.format_exception_only(TransportError("Lost"))
    assert told == ["aiozilliz.TransportError: Lost.\n"]


def test_every_public_class_has_an_example_or_holds_what_can_not_be_pickled() -> None:
    classes = {name for package, name in PUBLIC if inspect.isclass(getattr(package, name))}

    assert {name.partition(",")[0] for name in EXAMPLES} - {"extra"} == classes - NO_VALUES


# Pickles of this version.


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_pickle_comes_back_as_it_was_and_names_no_private_module(name: str) -> None:
    for protocol in PROTOCOLS:
        reader = Reader(pickle.dumps(EXAMPLES[name], protocol))

        assert facts(reader.load()) == facts(EXAMPLES[name]), protocol
        for module, _ in reader.named:
            assert module in {"aiozilliz", "aiozilliz.testing"} or module.partition(".")[0] != "aiozilliz"


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_copy_is_as_the_original(name: str) -> None:
    assert facts(copy.copy(EXAMPLES[name])) == facts(EXAMPLES[name])
    assert facts(copy.deepcopy(EXAMPLES[name])) == facts(EXAMPLES[name])


def test_what_a_fake_recorded_can_be_pickled() -> None:
    headers = Headers([("Accept", "x"), ("accept", "y")])
    reader = Reader(pickle.dumps(headers))

    assert reader.load()["ACCEPT"] == "x, y"
    assert ("aiozilliz.testing", "Headers") in reader.named


class OwnCluster(Cluster):
    """Somebody's own kind of cluster."""


def test_a_class_made_from_a_record_is_kept() -> None:
    own = OwnCluster(cluster_id="a", plan="Free", extra={"x": 1})
    twin = copy.copy(own)

    assert type(twin) is OwnCluster
    assert twin == own


# Pickles of version 0.1.0.


def test_each_example_was_written_by_0_1_0() -> None:
    assert WRITTEN.keys() == EXAMPLES.keys()


@pytest.mark.parametrize("name", WRITTEN)
def test_a_pickle_of_0_1_0_is_read(name: str) -> None:
    for pickled in WRITTEN[name].values():
        assert facts(pickle.loads(base64.b64decode(pickled))) == facts(EXAMPLES[name])


def test_pickles_of_0_1_0_are_read_where_nothing_was_imported_before() -> None:
    program = "found += [pickle.dumps(pickle.loads(one)) for one in pickles]"
    old = {name: base64.b64decode(pickled["5"]) for name, pickled in WRITTEN.items()}
    found = read_in_a_new_process(program, *old.values())

    for name, pickled in zip(old, found, strict=True):
        assert facts(pickle.loads(pickled)) == facts(EXAMPLES[name])


def test_names_that_only_pickles_know_stay_out_of_sight() -> None:
    for name, package in (("frozen_mapping", aiozilliz), ("Answer", aiozilliz.testing)):
        assert callable(getattr(package, name))
        assert name not in dir(package)


# Versions with a field more or less: copies of the package, of which a few lines are changed.


def file_with(package: Path, line: str) -> Path:
    (found,) = [file for file in package.rglob("*.py") if f"\n{line}\n" in file.read_text(encoding="utf-8")]
    return found


def change(package: Path, line: str, edit: Callable[[str], str]) -> None:
    """Edit the module that has a `line`."""
    file = file_with(package, line)
    before = file.read_text(encoding="utf-8")
    after = edit(before)
    assert after != before
    file.write_text(after, encoding="utf-8")


def replacing(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


def twice(text: str, pattern: str, twin: str) -> str:
    """Write each run of lines with a name that matches once more, with the `twin` in the name's place."""
    runs: list[str] = []
    written: list[str] = []
    for line in [*text.splitlines(keepends=True), ""]:
        if re.search(pattern, line):
            runs.append(line)
            continue
        written += [*runs, *(re.sub(pattern, twin, one) for one in runs), line]
        runs.clear()
    return "".join(written)


def without(text: str, pattern: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not re.search(pattern, line))


@pytest.fixture(scope="module")
def with_more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version with a field more in a cluster, a snapshot, a report, a retry policy and all errors."""
    folder = tmp_path_factory.mktemp("more")
    package = Path(
        shutil.copytree(PACKAGE, folder / "aiozilliz", ignore=shutil.ignore_patterns("__pycache__"))
    )
    change(package, "class Cluster:", lambda text: twice(text, r"\bproject(_id|Id)?\b", r"owner\1"))
    change(
        package,
        "class Snapshot:",
        replacing("    consistent: bool = False\n", "    consistent: bool = False\n    note: str = 'none'\n"),
    )
    taken = "    taken_at: datetime = field(converter=to_taken_at)\n"
    change(package, "class InventoryReport:", replacing(taken, f"{taken}    note: str = 'none'\n"))
    change(
        package,
        "class ZillizError(Exception):",
        lambda text: text.replace(
            "        retryable: bool = False,\n",
            "        retryable: bool = False,\n        hint: str = 'none',\n",
        ).replace(
            "        self.retryable = retryable\n",
            "        self.retryable = retryable\n        self.hint = hint\n",
        ),
    )
    return folder


@pytest.fixture(scope="module")
def with_less(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version with a field less in a cluster, a snapshot, the changes of an inventory, and an error."""
    folder = tmp_path_factory.mktemp("less")
    package = Path(
        shutil.copytree(PACKAGE, folder / "aiozilliz", ignore=shutil.ignore_patterns("__pycache__"))
    )
    change(package, "class Cluster:", lambda text: without(text, r"\bdescription\b"))
    change(package, "class Snapshot:", replacing("    requests: int = 0\n", ""))
    change(package, "class InventoryReport:", replacing("    only_in_newer: tuple[str, ...] = ()\n", ""))
    change(
        package, "class ZillizError(Exception):", lambda text: without(text, r"^        (self\.)?passes\b")
    )
    return folder


def pickled(version: str, name: str) -> bytes:
    return base64.b64decode(WRITTEN[name]["5"]) if version == "0.1.0" else pickle.dumps(EXAMPLES[name])


@pytest.mark.parametrize("version", ["0.1.0", "this"])
def test_a_version_with_fields_more_reads_all_pickles(version: str, with_more: Path) -> None:
    read_in_a_new_process(
        f"""
values = dict(zip({list(EXAMPLES)!r}, map(pickle.loads, pickles)))
import aiozilliz
full, snapshot, report = values["Cluster, full"], values["Snapshot, consistent"], values["InventoryReport"]
assert full.owner_id == "" and full.project_id == "proj-a" and full.to_dict()["ownerId"] == ""
assert full.description == {EXAMPLES["Cluster, full"].description!r} and full.plan is aiozilliz.Plan.ENTERPRISE
assert full == snapshot["in01-full"] and snapshot.note == "none" and snapshot.consistent
assert report.note == "none" and report.snapshots["prod"] == snapshot
for name in ("ZillizError", "APIError", "DecodeError", "InventoryError"):
    assert values[name].hint == "none" and values[name].attempts == 4, vars(values[name])
assert values["InventoryError"].failures["prod"].hint == "none"
assert [repr(value) for value in values.values()]
""",
        *(pickled(version, name) for name in EXAMPLES),
        path=with_more,
    )


@pytest.mark.parametrize("version", ["0.1.0", "this"])
def test_a_version_with_fields_less_reads_all_pickles(version: str, with_less: Path) -> None:
    extra = {} if version == "0.1.0" else {"description": EXAMPLES["Cluster, full"].description}
    read_in_a_new_process(
        f"""
values = dict(zip({list(EXAMPLES)!r}, map(pickle.loads, pickles)))
full, snapshot = values["Cluster, full"], values["Snapshot, consistent"]
assert not hasattr(full, "description") and full.cluster_name == "orders" and full.extra == {extra!r}
assert not hasattr(snapshot, "requests") and snapshot.consistent and snapshot["in01-full"] == full
assert not hasattr(values["InventoryChanges"], "only_in_newer")
assert values["InventoryChanges"].only_in_older == {EXAMPLES["InventoryChanges"].only_in_older!r}
assert values["IncompleteListingError"].received == 8
assert len(values["InventoryReport"].snapshots) == 2
""",
        *(pickled(version, name) for name in EXAMPLES),
        path=with_less,
    )


WRITE = """
import aiozilliz
from datetime import UTC, datetime
from aiozilliz import Cluster, ClusterPage, IncompleteListingError, InventoryReport, Snapshot
record = {"clusterId": "in01-a", "plan": "Free", "description": "text", "ownerId": "me"}
page = ClusterPage([Cluster.from_dict(record)], 1)
snapshot = Snapshot(page.clusters, datetime(2026, 3, 1, 12, tzinfo=UTC), consistent=True)
error = IncompleteListingError("No", expected=9, page=3)
report = InventoryReport({"prod": snapshot}, {"dev": error}, snapshot.taken_at)
found += [pickle.dumps(value, protocol) for protocol in (2, 5) for value in (page, snapshot, error, report)]
"""


@pytest.mark.parametrize("version", ["with_more", "with_less"])
def test_pickles_of_a_version_with_fields_more_or_less_are_read(
    version: str, request: pytest.FixtureRequest
) -> None:
    found = read_in_a_new_process(WRITE, path=request.getfixturevalue(version))

    cluster = Cluster(cluster_id="in01-a", plan=Plan.FREE, description="text", extra={"ownerId": "me"})
    for page, snapshot, error, report in (map(pickle.loads, found[:4]), map(pickle.loads, found[4:])):
        assert page == ClusterPage([cluster], 1)
        assert snapshot == Snapshot([cluster], NOON, consistent=True)
        assert (error.expected, error.page, error.passes, error.attempts) == (9, 3, 0, 0)
        assert report.snapshots == {"prod": snapshot}
        assert str(report.failures["dev"]) == str(error)


PROJECT = '    project_id: str = field(default="", metadata=wire("projectId"))\n'


@pytest.fixture(scope="module")
def with_one_line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version with a text more in a cluster, by one line."""
    folder = tmp_path_factory.mktemp("line")
    package = Path(
        shutil.copytree(PACKAGE, folder / "aiozilliz", ignore=shutil.ignore_patterns("__pycache__"))
    )
    owner = PROJECT.replace("project", "owner")
    change(package, "class Cluster:", replacing(PROJECT, PROJECT + owner))
    return folder


def test_a_text_field_more_is_one_line(with_one_line: Path) -> None:
    found = read_in_a_new_process(
        """
import aiozilliz, attrs
from aiozilliz import Cluster, DecodeError, Snapshot, make_converter
from datetime import UTC, datetime

record = {"clusterId": "in01-a", "ownerId": "me", "odd": 1}
cluster = Cluster.from_dict(record)
assert cluster == Cluster("in01-a", owner_id="me", extra={"odd": 1})
assert Cluster.from_dict({"clusterId": "in01-a", "ownerId": None}).owner_id == ""
assert list(cluster.to_dict())[-3:] == ["projectId", "ownerId", "odd"]
assert Cluster.from_dict(cluster.to_dict()) == cluster == pickle.loads(pickle.dumps(cluster))
assert repr(cluster) == "Cluster(cluster_id='in01-a', owner_id='me', extra={'odd': 1})"
assert attrs.fields(Cluster).owner_id.metadata["wire_name"] == "ownerId"
assert make_converter().structure(record, Cluster) == cluster

snapshot = Snapshot([cluster], datetime(2026, 3, 1, tzinfo=UTC))
assert '"ownerId": "me"' in snapshot.to_json()
assert Snapshot.from_json(snapshot.to_json()) == snapshot
older = Snapshot([Cluster("in01-a", extra={"odd": 1})], snapshot.taken_at)
assert snapshot.diff(older).modified[0].changed == ("owner_id",)

def refused(make):
    try:
        make()
    except (DecodeError, ValueError) as error:
        return str(error)

assert "ownerId must be a text, not the number 7" in refused(lambda: Cluster.from_dict(record | {"ownerId": 7}))
assert "must not hold ownerId" in refused(lambda: Cluster("in01-a", extra={"ownerId": "me"}))
found.append(pickle.dumps(cluster))
""",
        path=with_one_line,
    )

    assert pickle.loads(found[0]) == Cluster(cluster_id="in01-a", extra={"ownerId": "me", "odd": 1})


def test_an_error_read_without_an_attribute_has_its_default() -> None:
    error = EXAMPLES["RateLimitError"]
    make, arguments, state = error.__reduce__()
    for name in ("retry_after", "code", "attempts", "elapsed", "_advice", "url"):
        del state[name]
    twin = make(*arguments)
    twin.__setstate__({**state, "message": "a property now", "later": 1})

    assert (twin.retry_after, twin.code, twin.attempts, twin.elapsed) == (None, None, 0, None)
    assert str(twin) == "No (HTTP 429, request id r-1)."
    assert error.code == 42
