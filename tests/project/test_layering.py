from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import aiozilliz
from aiozilliz.cli.app import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(aiozilliz.__file__).parent

# Floor by floor, from the top. A room imports from the floors below its own, never from its own floor or from above.
FLOORS = (
    ("_client", "_inventory"),
    ("_iteration",),
    ("_http",),
    ("_records", "_settings"),
    ("_pagination", "_aio", "_errors", "_public"),
)
CLI_FLOORS = (
    ("cli.app",),
    ("cli.commands",),
    ("cli.input",),
    ("cli.state",),
    ("cli.process",),
    ("cli.signals",),
    ("cli.output",),
)
# The next page is fetched by what is handed in.
APART = {("_iteration", "_http")}

# They decide and compute; time, chance and what was read come in as arguments.
PURE_ROOMS = ("_records", "_pagination")
PURE_MODULES = (
    "_errors",
    "_settings.checks",
    "_http.header_times",
    "_http.wire",
    "_http.retry",
    "_iteration.changes",
    "testing.listing",
    "testing.samples",
)
IMPURE = {
    "aiohttp",
    "asyncio",
    "io",
    "os",
    "pathlib",
    "secrets",
    "shutil",
    "socket",
    "tempfile",
    "threading",
    "time",
}

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))
}


def imports(name: str, *, typing_only: bool = True) -> set[str]:
    """Give what a module imports, by full names: `os.path`, `aiozilliz._errors`, and `aiozilliz` for public names."""
    tree = ast.parse(MODULES[name].read_text("utf-8"))
    package = "aiozilliz." + name.rpartition(".")[0]
    found: set[str] = set()
    for node in walk(tree, typing_only=typing_only):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.rstrip(".").split(".")
                base = ".".join([*parents[: len(parents) + 1 - node.level], *([base] if base else [])])
            for alias in node.names:
                submodule = f"{base}.{alias.name}".removeprefix("aiozilliz.")
                is_ours = submodule in {*MODULES, "__version__"} or f"{submodule}.__init__" in MODULES
                found.add(f"{base}.{alias.name}" if is_ours else base)
    return found


def walk(node: ast.AST, *, typing_only: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING" and not typing_only:
            continue
        yield child
        yield from walk(child, typing_only=typing_only)


def ours(name: str) -> set[str]:
    return {
        imported.removeprefix("aiozilliz").removeprefix(".")
        for imported in imports(name)
        if imported.partition(".")[0] == "aiozilliz"
    }


def room_of(name: str) -> str:
    parts = name.removesuffix(".__init__").split(".")
    return ".".join(parts[:2] if parts[0] in {"cli", "testing"} else parts[:1])


ROOMS = {room_of(name) for name in MODULES}


def below(room: str) -> set[str]:
    """Give the rooms from which this one may import."""
    for floors in (FLOORS, CLI_FLOORS):
        for number, floor in enumerate(floors):
            if room in floor:
                lower = {other for rooms in floors[number + 1 :] for other in rooms}
                return {other for other in lower if (room, other) not in APART}
    raise AssertionError(f"{room} stands on no floor: give it one")


def test_every_room_has_a_floor_and_every_floor_its_rooms() -> None:
    placed = [room for floors in (FLOORS, CLI_FLOORS) for floor in floors for room in floor]
    entrances = {"__init__", "__main__", "cli", "cli.__main__"}

    assert sorted(placed) == sorted(
        room for room in ROOMS - entrances if room.partition(".")[0] != "testing"
    ), "a rule for a room that is gone, or a room without a rule"
    assert {name for pair in APART for name in pair} <= set(placed)
    assert set(PURE_MODULES) <= MODULES.keys()
    assert set(PURE_ROOMS) <= ROOMS


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name[0] == "_" and name[1] != "_"))
def test_a_module_imports_only_from_its_room_and_those_below(name: str) -> None:
    room = room_of(name)

    assert {room_of(other) for other in ours(name)} - {"__version__"} <= below(room) | {
        room,
        "_errors",
        "_public",
    }


@pytest.mark.parametrize(
    "name", sorted(name for name in MODULES if name.startswith("cli.") and name != "cli.__init__")
)
def test_a_module_of_the_command_line_imports_only_from_its_room_and_those_below(name: str) -> None:
    room = room_of(name)

    assert {room_of(other) for other in ours(name) if other.startswith("cli")} <= below(room) | {room}


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_holds_at_most_eight_files_and_none_is_long(room: str) -> None:
    files = [MODULES[name] for name in MODULES if room_of(name) == room and not name.endswith("__init__")]

    assert len(files) <= (len(COMMANDS) if room == "cli.commands" else 8)  # a file for each command
    assert not [path.name for path in files if len(path.read_text("utf-8").splitlines()) >= 400]


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.startswith(("cli.", "testing."))))
def test_the_command_line_and_the_fake_use_public_names_only(name: str) -> None:
    own = name.partition(".")[0]
    public = {"", "testing", "__version__"}

    strangers = {module for module in ours(name) if module not in public and module.partition(".")[0] != own}

    assert strangers == set()


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.startswith("testing.")))
def test_the_fake_is_not_made_of_the_client(name: str) -> None:
    assert not any(imported.partition(".")[0] == "aiohttp" for imported in imports(name))
    assert "aiozilliz" not in imports(name) or name == "testing._pytest_plugin"


@pytest.mark.parametrize(
    "name", sorted(name for name in MODULES if room_of(name) in PURE_ROOMS or name in PURE_MODULES)
)
def test_a_pure_module_does_no_input_or_output(name: str) -> None:
    assert not {imported.partition(".")[0] for imported in imports(name, typing_only=False)} & IMPURE


def names_in_hints(tree: ast.AST) -> set[ast.AST]:
    hints = [
        hint
        for node in ast.walk(tree)
        for hint in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if hint is not None
    ]
    return {node for hint in hints for node in ast.walk(hint)}


def calls_aiohttp(name: str) -> bool:
    """Tell whether a module uses aiohttp other than to name its types in hints."""
    found = {
        imported for imported in imports(name, typing_only=False) if imported.partition(".")[0] == "aiohttp"
    }
    tree = ast.parse(MODULES[name].read_text("utf-8"))
    hints = names_in_hints(tree)
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "aiohttp"]
    return bool(found) and (found != {"aiohttp"} or any(node not in hints for node in used))


def test_only_the_transport_calls_aiohttp() -> None:
    # `body` reads its responses and `aiohttp_errors` names its exceptions; the demo is asked without proxies.
    users = {name for name in MODULES if calls_aiohttp(name)}

    assert users == {
        "_http.transport",
        "_http.connector",
        "_http.aiohttp_errors",
        "_http.body",
        "cli.input.demo",
    }


@pytest.mark.parametrize("name", ["_http.transport", "cli.output.table"])
def test_the_reader_of_imports_finds_what_is_there(name: str) -> None:
    assert imports(name) >= {"__future__", "typing"}
    assert ours(name)


def test_the_benchmarks_import_down_only_and_their_rooms_are_small() -> None:
    floors = (
        "__main__ guard soak.__main__",
        "soak.load soak.operations soak.background",
        "soak.world",
        "soak.oracle soak.service soak.figures",
        "compare.works",
        "compare.peers",
        "compare.report",
        "compare.stand",
        "compare.server",
        "compare.records",
    )
    floor_of = {name: number for number, names in enumerate(floors) for name in names.split()}
    folder = Path(__file__).parents[2] / "benchmarks"
    files = {
        ".".join(path.relative_to(folder).with_suffix("").parts): path
        for path in folder.rglob("*.py")
        if path.name != "__init__.py"
    }

    def room(name: str) -> str:
        return next((known for known in floor_of if f"{name}.".startswith(f"{known}.")), name)

    assert {room(name) for name in files} == floor_of.keys()
    for name, path in files.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("benchmarks."):
                base = str(node.module).removeprefix("benchmarks.")
                for other in {room(f"{base}.{alias.name}") for alias in node.names}:
                    assert other == room(name) or floor_of[other] > floor_of[room(name)], (name, other)
    for parent in {path.parent for path in files.values()}:
        assert len([path for path in files.values() if path.parent == parent]) <= 8
    assert not [name for name, path in files.items() if len(path.read_text("utf-8").splitlines()) > 400]


def test_the_map_for_contributors_names_modules_that_exist() -> None:
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text("utf-8")
    named = set(re.findall(r"`((?:_[a-z]+|cli|testing)(?:/\w+)*(?:/\w+\.py|\.py|/))`", text))
    assert len(named) > 30
    assert not [name for name in sorted(named) if not (PACKAGE / name).exists()]
