"""`--api-key-file`: a key from a file, or from standard input, which may be a person at a terminal."""

from __future__ import annotations

import getpass
import os
import stat
import sys
from pathlib import Path

import click

import aiozilliz
from aiozilliz.cli.output import console

_LARGEST_KEY_FILE = 65536  # characters; the rest of a larger file is not read, as no key is that long

_BY_OTHERS = 0o066  # bits of a mode: they may read or write it


def read_key(name: str) -> str:
    """Read a key.

    Args:
        name: The file; `-` is standard input.

    Returns:
        The key, stripped.

    Raises:
        BadParameter: The file can't be read.
        ConfigurationError: It is empty.
    """
    try:
        key = _read_text(name).strip()
    except OSError as error:
        # The name is not repeated: it may be the key itself.
        raise click.BadParameter(
            f"the file can't be read: {error.strerror or type(error).__name__}. The value is a file's name, never a key.",
            param_hint="--api-key-file",
        ) from None
    if not key:
        source, other = (
            ("standard input", "Type or pipe one in, or pass") if name == "-" else (repr(name), "Pass")
        )
        raise aiozilliz.ConfigurationError(
            f"There is no key in {source}: it is empty",
            advice=f"{other} --api-key-file a file that holds one.",
        )
    return key


def _read_text(name: str) -> str:
    if not name:
        raise click.BadParameter("the file name is empty.", param_hint="--api-key-file")
    if name != "-":
        # A BOM is no part of a key, and the client reports what is wrong with bytes that are no text.
        with Path(name).open(encoding="utf-8-sig", errors="replace") as file:
            mode = os.fstat(file.fileno()).st_mode
            if os.name == "posix" and stat.S_ISREG(mode) and mode & _BY_OTHERS:
                console.print_error(f"{name} can be read or changed by other users: run chmod 600 on it")
            return file.read(_LARGEST_KEY_FILE)
    if sys.stdin is None:
        return ""
    return _ask_for_key() if sys.stdin.isatty() else sys.stdin.read(_LARGEST_KEY_FILE)


def _ask_for_key() -> str:
    try:
        return getpass.getpass("API key: ")
    except EOFError:
        console.end_prompt()
        return ""
    except KeyboardInterrupt:
        console.end_prompt()
        raise
