"""Fuzzing that is guided by coverage, with atheris: `python -m tests.fuzz.guided DECODER [libFuzzer's arguments]`.

Without libFuzzer's arguments it goes on for a minute. What crashes a decoder is left in a file, and giving that file as
an argument runs it once more.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from typing import Any


def main(arguments: list[str]) -> None:
    """Fuzz one decoder until libFuzzer ends the process."""
    atheris: Any = import_module("atheris")  # has no types, and installs on few versions of Python
    with atheris.instrument_imports(include=["aiozilliz"]):
        from tests.fuzz.decoders import BY_NAME

    name, *rest = arguments or [""]
    if name not in BY_NAME:
        sys.exit(f"name one of {', '.join(BY_NAME)}")
    warnings.simplefilter("error")

    def try_one(data: bytes) -> None:
        BY_NAME[name](data)

    atheris.Setup([sys.argv[0], *(rest or ["-max_total_time=60"])], try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
