"""`python -m aiozilliz` is the command `aiozilliz`, but ends as Python programs do: profilers want that."""

from __future__ import annotations

import sys

from aiozilliz.cli import main

if __name__ == "__main__":
    sys.exit(main())
