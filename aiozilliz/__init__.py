"""aiozilliz: every cluster that your Zilliz Cloud API keys can see, exactly once, as typed records.

    async with ZillizClient("API-KEY") as client:
        async for cluster in client.iter_clusters():
            print(cluster.cluster_id, cluster.status)

Public names are loaded on first use, so that the command line and the pytest plugin cost nothing unless they are used.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiozilliz._aio.limiter import RateLimiter as RateLimiter
    from aiozilliz._client import ZillizClient as ZillizClient
    from aiozilliz._errors import (
        APIError as APIError,
        AuthenticationError as AuthenticationError,
        ConfigurationError as ConfigurationError,
        DecodeError as DecodeError,
        IncompleteListingError as IncompleteListingError,
        InventoryError as InventoryError,
        RateLimitError as RateLimitError,
        ResponseError as ResponseError,
        ServerError as ServerError,
        TransportError as TransportError,
        ZillizError as ZillizError,
    )
    from aiozilliz._http.retry import RetryPolicy as RetryPolicy
    from aiozilliz._inventory.accounts import Account as Account, load_accounts as load_accounts
    from aiozilliz._inventory.inventory import Inventory as Inventory
    from aiozilliz._inventory.iterator import (
        InventoryIterator as InventoryIterator,
        InventoryProgress as InventoryProgress,
    )
    from aiozilliz._inventory.watcher import InventoryWatcher as InventoryWatcher
    from aiozilliz._iteration.iterators import (
        ClusterIterator as ClusterIterator,
        PageIterator as PageIterator,
    )
    from aiozilliz._iteration.watcher import ClusterWatcher as ClusterWatcher
    from aiozilliz._records.cluster import (
        Cluster as Cluster,
        ClusterPage as ClusterPage,
        ClusterStatus as ClusterStatus,
        CuType as CuType,
        Plan as Plan,
    )
    from aiozilliz._records.converter import make_converter as make_converter
    from aiozilliz._records.report import (
        InventoryChanges as InventoryChanges,
        InventoryReport as InventoryReport,
    )
    from aiozilliz._records.snapshot import (
        Changes as Changes,
        ClusterEvent as ClusterEvent,
        EventKind as EventKind,
        Modification as Modification,
        Snapshot as Snapshot,
    )
    from aiozilliz._settings.checks import CHINA as CHINA, GLOBAL as GLOBAL
    from aiozilliz._settings.credentials import cli_base_url as cli_base_url
else:
    # Type checkers accept any name of a module in which they see a `__getattr__`.
    def __getattr__(name: str) -> object:
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
        if name in __all__:
            globals()[name] = value
        return value


__version__: str = "0.1.0"

_HOMES = {
    "_inventory.accounts": ("Account", "load_accounts"),
    "_client": ("ZillizClient",),
    "_aio.limiter": ("RateLimiter",),
    "_settings.checks": ("CHINA", "GLOBAL"),
    "_records.converter": ("make_converter",),
    "_settings.credentials": ("cli_base_url",),
    "_errors": (
        "APIError",
        "AuthenticationError",
        "ConfigurationError",
        "DecodeError",
        "IncompleteListingError",
        "InventoryError",
        "RateLimitError",
        "ResponseError",
        "ServerError",
        "TransportError",
        "ZillizError",
    ),
    "_records.frozen": ("frozen_mapping",),  # not public; pickles of a `Cluster.extra` name it
    "_inventory.inventory": ("Inventory",),
    "_inventory.watcher": ("InventoryWatcher",),
    "_iteration.iterators": ("ClusterIterator", "PageIterator"),
    "_records.cluster": ("Cluster", "ClusterPage", "ClusterStatus", "CuType", "Plan"),
    "_records.report": ("InventoryChanges", "InventoryReport"),
    "_http.retry": ("RetryPolicy",),
    "_inventory.iterator": ("InventoryIterator", "InventoryProgress"),
    "_records.snapshot": ("Changes", "ClusterEvent", "EventKind", "Modification", "Snapshot"),
    "_iteration.watcher": ("ClusterWatcher",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

# Modules named by pickles of version 0.1.0 that no longer exist. The package stands in for each of them, and
# `__getattr__` finds what a pickle looks up in one.
_GONE_SINCE_0_1_0: tuple[str, ...] = (
    "_enums",
    "_frozen",
    "_models",
    "_report",
    "_retry",
    "_scheduling",
    "_snapshots",
)
sys.modules.update({f"{__name__}.{module}": sys.modules[__name__] for module in _GONE_SINCE_0_1_0})

# The reference shows them in this order, that of use: a client and its calls, records, many accounts, errors, the rest.
__all__ = [  # noqa: RUF022
    "ZillizClient",
    "RetryPolicy",
    "RateLimiter",
    "ClusterIterator",
    "PageIterator",
    "ClusterWatcher",
    "Cluster",
    "ClusterPage",
    "ClusterStatus",
    "Plan",
    "CuType",
    "Snapshot",
    "Changes",
    "Modification",
    "ClusterEvent",
    "EventKind",
    "Inventory",
    "Account",
    "load_accounts",
    "InventoryIterator",
    "InventoryProgress",
    "InventoryWatcher",
    "InventoryReport",
    "InventoryChanges",
    "ZillizError",
    "ConfigurationError",
    "TransportError",
    "ResponseError",
    "DecodeError",
    "IncompleteListingError",
    "APIError",
    "AuthenticationError",
    "RateLimitError",
    "ServerError",
    "InventoryError",
    "GLOBAL",
    "CHINA",
    "cli_base_url",
    "make_converter",
]


def __dir__() -> list[str]:
    loaded = (name for name in globals() if name.startswith("__") or name in {"cli", "testing"})
    return sorted({*loaded, *__all__})
