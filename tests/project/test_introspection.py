"""What an editor, `help` and a framework that reads type hints see of the public names."""

from __future__ import annotations

import inspect
import os
import pydoc
import subprocess
import sys
import typing
from typing import TYPE_CHECKING, Any

import pytest

import aiozilliz
import aiozilliz.testing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

PACKAGES = (aiozilliz, aiozilliz.testing)
RETURNED = (
    *(aiozilliz.ClusterIterator, aiozilliz.PageIterator, aiozilliz.InventoryIterator),
    *(aiozilliz.ClusterWatcher, aiozilliz.InventoryWatcher),
    *(aiozilliz.testing.Fault, aiozilliz.testing.RecordedRequest),
)
"""Classes that only methods create."""

COMPLETE = """
import rlcompleter, sys
import {package}
completer = rlcompleter.Completer({{"{package}": {package}, "aiozilliz": sys.modules["aiozilliz"]}})
matches = iter(lambda number=iter(range(1000)): completer.complete("{package}.", next(number)), None)
print(*{{match.removeprefix("{package}.").partition("(")[0] for match in matches}})
"""


def callables() -> Iterator[tuple[str, Any]]:
    """Yield each public class and function, and each function of such a class, inherited ones of our own included."""
    for package in PACKAGES:
        for name in package.__all__:
            value: Any = getattr(package, name)
            if callable(value):
                yield f"{package.__name__}.{name}", value
            if isinstance(value, type):
                for base in reversed(value.__mro__):
                    if base.__module__.partition(".")[0] == "aiozilliz":
                        for member, held in vars(base).items():
                            function = function_of(held)
                            if function is not None:
                                yield f"{package.__name__}.{name}.{member}", function


def function_of(member: object) -> Any:
    if isinstance(member, property):
        return member.fget
    if isinstance(member, (classmethod, staticmethod)):
        return member.__func__  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]
    return member if inspect.isfunction(member) else None


CALLABLES = dict(callables())


def test_callables_of_every_kind_are_found() -> None:
    assert CALLABLES.keys() >= {
        "aiozilliz.load_accounts",
        "aiozilliz.ZillizClient",
        "aiozilliz.ZillizClient.__init__",
        "aiozilliz.ZillizClient.iter_clusters",
        "aiozilliz.RetryPolicy.__init__",  # written by attrs
        "aiozilliz.Cluster.from_dict",  # a static method
        "aiozilliz.ClusterWatcher.aclose",  # of a private base class
        "aiozilliz.ClusterWatcher.failing_since",  # a property
        "aiozilliz.testing.Fault.status",  # a class method
    }


def test_type_hints_can_be_read() -> None:
    for name, function in CALLABLES.items():
        try:
            hints = typing.get_type_hints(function)
        except NameError as error:
            pytest.fail(f"{name}: {error}")
        assert not [hint for hint in hints.values() if isinstance(hint, str)], name


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_completion_offers_the_public_names_and_no_other(package: ModuleType) -> None:
    program = COMPLETE.format(package=package.__name__)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    offered = {name for name in done.stdout.split() if not name.startswith("__")}

    assert offered == set(package.__all__)


def test_an_imported_subpackage_is_offered() -> None:
    assert {"testing", "__version__"} <= set(dir(aiozilliz))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_help_describes_the_public_names_and_no_other(package: ModuleType) -> None:
    text = pydoc.plain(pydoc.render_doc(package))
    described = {
        line.partition("(")[0].split()[1] for line in text.splitlines() if line.startswith("    class ")
    }
    classes = {name for name in package.__all__ if isinstance(getattr(package, name), type)}

    assert described == classes
    assert not [name for name in ("TYPE_CHECKING", "import_module", "annotations =") if name in text]


@pytest.mark.parametrize("cls", RETURNED)
def test_help_shows_no_constructor_that_users_do_not_call(cls: type) -> None:
    text = pydoc.plain(pydoc.render_doc(cls))

    assert not inspect.signature(cls).parameters
    assert not [
        name for name in ("PlanRunner", "CancelScope", "Poller", "Scheduler", "Lifetime") if name in text
    ]
