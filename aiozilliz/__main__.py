"""`python -m aiozilliz`: the command `aiozilliz`, except that it exits as Python programs do, as profilers need."""

from __future__ import annotations

import sys

from aiozilliz.cli import main

if __name__ == "__main__":
    sys.exit(main())
