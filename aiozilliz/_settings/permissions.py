"""Warnings about files that other users may change, or read: they would choose where keys are sent, or have them.

"Others" are the group and everybody else, by the mode of the file that is really read: a link's target. Who owns a file
is not asked, as in a container that may be anybody. Only POSIX has such modes.
"""

import logging
import os
from pathlib import Path
from stat import S_ISREG, S_ISVTX

logger = logging.getLogger("aiozilliz")

_READ = 0o044
_WRITE = 0o022


def warn_of_others(path: Path, *, secret: bool) -> None:
    """Log a warning if other users may change a file, or the folder that it is in, or read a file that is secret.

    Args:
        path: A file that is read if it is there.
        secret: Whether it holds keys.
    """
    if os.name != "posix":
        return
    try:
        mode = path.stat().st_mode if path.exists() else 0
        folders = {folder: folder.stat().st_mode for folder in {path.parent, path.resolve().parent}}
    except OSError:  # it is being replaced
        return
    bits = {"read": _READ if secret else 0, "changed": _WRITE}
    if S_ISREG(mode) and (may := [word for word in bits if mode & bits[word]]):
        logger.warning("%s can be %s by other users: run chmod 600 on it", path, " or ".join(may))
    for folder, folder_mode in folders.items():
        # In a sticky folder, such as /tmp, others can't replace a file, but create one.
        if folder_mode & _WRITE and not (folder_mode & S_ISVTX and mode):
            what = "replaced" if mode else "created"
            logger.warning("%s can be %s by other users: they may write to its folder %s", path, what, folder)
