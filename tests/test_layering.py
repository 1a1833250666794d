from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import aiozilliz

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(aiozilliz.__file__).parent

# Module to the modules right below it. What lies below those it may import too: imports go down only.
BELOW: dict[str, set[str]] = {
    "_inventory": {"_collecting", "_inventory_watch", "_fetch"},
    "_collecting": {"_scheduling", "_reading", "_report"},
    "_inventory_watch": {"_watch", "_report", "_accounts"},
    "_scheduling": {"_walking", "_pager", "_accounts"},
    "_accounts": {"_credentials"},
    "_client": {"_watch", "_reading", "_fetch", "_snapshots", "_config"},
    "_watch": {"_tracker", "_pager"},
    "_reading": {"_iterators", "_snapshots"},
    "_iterators": {"_walking", "_pager"},
    "_walking": {"_pagination", "_models", "_interrupt"},
    "_fetch": {"_attempts"},
    "_attempts": {"_transport", "_wire", "_retry", "_limiter", "_turns"},
    "_transport": {"_wire", "_credentials", "_deadlines", "_failures"},
    "_deadlines": {"_interrupt"},
    "_wire": {"_models", "_config", "_json"},
    "_report": {"_snapshots"},
    "_tracker": {"_snapshots"},
    "_snapshots": {"_models", "_json"},
    "_converter": {"_models"},
    "_models": {"_enums", "_values", "_frozen", "_json"},
    "_pagination": {"_proof", "_passes"},
    "_retry": {"_config"},
    "_credentials": {"_config"},
    "_pager": {"_interrupt"},
    "_config": set(),
    "_enums": set(),
    "_values": set(),
    "_frozen": set(),
    "_interrupt": set(),
    "_json": set(),
    "_limiter": set(),
    "_proof": set(),
    "_passes": set(),
    "_turns": set(),
    "_failures": set(),
    "_errors": {"_public"},
    "_public": set(),
}

# They decide and compute; time, chance and what was read come in as arguments.
PURE = {
    "_config",
    "_converter",
    "_enums",
    "_errors",
    "_public",
    "_frozen",
    "_json",
    "_models",
    "_pagination",
    "_passes",
    "_proof",
    "_report",
    "_retry",
    "_snapshots",
    "_tracker",
    "_values",
    "_wire",
    "testing._listing",
    "testing._samples",
}
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


def lies_below(name: str) -> set[str]:
    below: set[str] = set()
    rest = set(BELOW[name])
    while rest:
        module = rest.pop()
        below.add(module)
        rest |= BELOW[module] - below
    return below


def test_every_module_of_the_client_has_its_place() -> None:
    assert {name for name in MODULES if "." not in name} - {"__init__", "__main__"} <= BELOW.keys()


def test_the_places_form_no_circle() -> None:
    assert not [name for name in BELOW if name in lies_below(name)]


@pytest.mark.parametrize("name", sorted(BELOW.keys() & MODULES.keys()))
def test_a_module_imports_only_what_lies_below(name: str) -> None:
    assert ours(name) <= lies_below(name) | {"_errors", "_public", "__version__"}


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


@pytest.mark.parametrize("name", sorted(PURE & MODULES.keys()))
def test_a_pure_module_does_no_input_or_output(name: str) -> None:
    assert not {imported.partition(".")[0] for imported in imports(name, typing_only=False)} & IMPURE


def test_only_the_transport_calls_aiohttp() -> None:
    # The client and the inventory name its classes to check an argument, `_failures` its exceptions; the demo is asked
    # without proxies.
    users = {
        name
        for name in MODULES
        if any(imported.partition(".")[0] == "aiohttp" for imported in imports(name, typing_only=False))
    }

    assert users <= {"_transport", "_failures", "_client", "_inventory", "cli._demo"}


@pytest.mark.parametrize("name", ["_transport", "cli._table"])
def test_the_reader_of_imports_finds_what_is_there(name: str) -> None:
    assert imports(name) >= {"__future__", "typing"}
    assert ours(name)
