"""A fake of Zilliz Cloud for tests: a real HTTP server on loopback that keeps the cluster listing's contract.

```python
async with FakeZillizCloud(clusters=250, api_key="k") as cloud:
    async with ZillizClient("k", base_url=cloud.url) as client: ...
```

It shares no code with the client, so a test against it proves something about both. `python -m aiozilliz.testing`
serves it from the command line, and the fixtures `fake_zilliz_cloud` and `make_fake_zilliz_cloud` come as a pytest
plugin. The names are loaded on first use, so that the plugin costs nothing in test runs that do not use it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cloud import FakeZillizCloud
    from .faults import Fault
    from .log import RecordedRequest

__all__ = ["FakeZillizCloud", "Fault", "RecordedRequest"]

_MODULES = {
    "FakeZillizCloud": "cloud",
    "Fault": "faults",
    "RecordedRequest": "log",
    # Not public; pickles of the two above name them.
    "Answer": "server",
    "Headers": "server",
}

# Pickles of version 0.1.0 name modules that are gone since; the package stands in for each of them.
sys.modules.update({f"{__name__}.{module}": sys.modules[__name__] for module in ("_faults", "_http", "_log")})


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    if name in __all__:
        globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
