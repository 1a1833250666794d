"""The official command line, installed into its own virtual environment, so that it changes none of our packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.compare.report import Skipped

VERSION: Final = "1.0.2"
_INSTALL_SECONDS: Final = 180


def cache_folder() -> Path:
    """Return the folder for what is kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aiozilliz-benchmarks"


def find_zilliz(folder: Path | None = None) -> Path:
    """Return the path of the command `zilliz`, and install it first if needed.

    Args:
        folder: Where to install it; by default a folder in the cache.

    Raises:
        Skipped: It can't be installed.
    """
    tag = sys.implementation.cache_tag
    folder = folder or cache_folder() / f"zilliz-cli-{VERSION}-{tag}"
    command = folder / ("Scripts" if os.name == "nt" else "bin") / "zilliz"
    done = folder / "installed"
    if done.exists():
        return command
    shutil.rmtree(folder, ignore_errors=True)  # leftovers of an interrupted run
    try:
        _run(sys.executable, "-m", "venv", str(folder))
        python = str(command.with_name("python"))
        _run(python, "-m", "pip", "install", "--disable-pip-version-check", "-q", f"zilliz-cli=={VERSION}")
        _run(str(command), "--help")
        done.touch()
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise Skipped(
            f"zilliz-cli {VERSION} can't be installed: {str(said).strip().splitlines()[-1]}"
        ) from error
    return command


def _run(*command: str) -> None:
    subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=_INSTALL_SECONDS,
    )
