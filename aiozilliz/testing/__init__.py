"""A fake Zilliz Cloud for tests: a real HTTP server on loopback that implements the cluster listing.

```python
async with FakeZillizCloud(clusters=250, api_key="k") as cloud:
    async with ZillizClient("k", base_url=cloud.url) as client: ...
```

It shares no code with the client, so that neither hides a mistake of the other. `python -m aiozilliz.testing` runs it
from the command line, and a pytest plugin provides the fixtures `fake_zilliz_cloud` and `make_fake_zilliz_cloud`. The
names are loaded on first use, so that the plugin costs nothing in test runs without them.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .cloud import FakeZillizCloud
    from .faults import Fault
    from .log import RecordedRequest
else:
    # Type checkers accept any name of a module in which they see a `__getattr__`.
    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
        if name in __all__:
            globals()[name] = value
        return value


__all__ = ["FakeZillizCloud", "Fault", "RecordedRequest"]

_MODULES = {
    "FakeZillizCloud": "cloud",
    "Fault": "faults",
    "RecordedRequest": "log",
    # Not public, but named by pickles of the two above.
    "Answer": "server",
    "Headers": "server",
}

# Modules named by pickles of version 0.1.0 that no longer exist. The package stands in for each of them.
sys.modules.update({f"{__name__}.{module}": sys.modules[__name__] for module in ("_faults", "_http", "_log")})


def __dir__() -> list[str]:
    return sorted({*(name for name in globals() if name.startswith("__")), *__all__})
