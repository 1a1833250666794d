"""Whether every case runs, or a share of them that people wait for: `AIOZILLIZ_EXHAUSTIVE=1`."""

from __future__ import annotations

import os

EXHAUSTIVE = os.environ.get("AIOZILLIZ_EXHAUSTIVE", "") not in {"", "0"}
