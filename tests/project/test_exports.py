from __future__ import annotations

import importlib.metadata
import os
import pkgutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import aiozilliz
import aiozilliz.testing

if TYPE_CHECKING:
    from types import ModuleType

PROMISED = {
    "CHINA",
    "GLOBAL",
    "APIError",
    "AuthenticationError",
    "Cluster",
    "ClusterIterator",
    "ClusterPage",
    "ClusterStatus",
    "ConfigurationError",
    "CuType",
    "DecodeError",
    "IncompleteListingError",
    "InventoryError",
    "Plan",
    "RateLimitError",
    "ResponseError",
    "RetryPolicy",
    "ServerError",
    "TransportError",
    "ZillizClient",
    "ZillizError",
}

MODULES = [
    module.name
    for module in pkgutil.walk_packages(aiozilliz.__path__, "aiozilliz.")
    if not module.name.endswith("__main__")
]

EACH_ALONE = """
import importlib, sys
before = set(sys.modules)
for name in sys.argv[1:]:
    for loaded in set(sys.modules) - before:
        if loaded.partition(".")[0] == "aiozilliz":
            del sys.modules[loaded]
    importlib.import_module(name)
"""

LOADED = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*{name.partition(".")[0] for name in sys.modules})
"""


def run_python(program: str, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *args],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("package", [aiozilliz, aiozilliz.testing], ids=lambda package: package.__name__)
def test_all_holds_exactly_the_public_names(package: ModuleType) -> None:
    public = {name for name in dir(package) if not name.startswith("_")}

    assert public - {"cli", "testing"} == set(package.__all__)
    assert len(package.__all__) == len(set(package.__all__))


def test_names_are_in_the_order_of_use() -> None:
    order = (
        "ZillizClient",
        "ClusterIterator",
        "Cluster",
        "Snapshot",
        "Inventory",
        "Account",
        "ZillizError",
        "CHINA",
    )
    places = [aiozilliz.__all__.index(name) for name in order]

    assert places == sorted(places)
    assert places[0] == 0


def test_every_promised_name_is_there() -> None:
    assert set(aiozilliz.__all__) >= PROMISED
    assert set(aiozilliz.testing.__all__) >= {"FakeZillizCloud", "Fault"}


@pytest.mark.parametrize("package", [aiozilliz, aiozilliz.testing], ids=lambda package: package.__name__)
def test_a_star_import_gives_every_public_name(package: ModuleType) -> None:
    namespace: dict[str, object] = {}

    exec(f"from {package.__name__} import *", namespace)  # noqa: S102 - the statement is what is tested

    assert namespace.keys() - {"__builtins__"} == set(package.__all__)


@pytest.mark.parametrize("package", [aiozilliz, aiozilliz.testing], ids=lambda package: package.__name__)
def test_an_unknown_name_is_an_attribute_error(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match=r"no_such_name"):
        _ = package.no_such_name


def test_the_version_is_the_metadata_s() -> None:
    assert aiozilliz.__version__ == importlib.metadata.version("aiozilliz")


def test_each_module_can_be_imported_first_and_warns_of_nothing() -> None:
    run_python(EACH_ALONE, *MODULES)


def test_importing_the_package_loads_neither_an_extra_nor_aiohttp() -> None:
    loaded = set(run_python(LOADED, "aiozilliz", "aiozilliz.testing").split())

    assert "aiozilliz" in loaded
    assert not loaded & {"aiohttp", "click", "wcwidth", "pytest", "_pytest"}


def test_the_client_needs_no_extra() -> None:
    loaded = set(run_python("import aiozilliz; aiozilliz.ZillizClient\n" + LOADED).split())

    assert "aiohttp" in loaded
    assert not loaded & {"click", "wcwidth", "pytest", "_pytest"}
