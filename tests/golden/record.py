"""`python -m tests.golden.record`: play all conversations and write their outcomes anew; say which have changed."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from tests.golden.corpus import GROUPS, as_json, read_recorded, write_recorded
from tests.golden.play import play


def main() -> None:
    os.environ["no_proxy"] = "127.0.0.1"  # the name in lower case is the one that counts
    logging.disable()
    for group, conversations in GROUPS.items():
        before = read_recorded(group)
        now = {c.name: as_json(asyncio.run(play(c))) for c in conversations}
        for name in {**before, **now}:
            if name not in now:
                _say(f"{group}: gone: {name}")
            elif name not in before:
                _say(f"{group}: new: {name}")
            elif now[name] != before[name]:
                _say(f"{group}: changed: {name}")
        write_recorded(group, now)
    _say(f"{sum(map(len, GROUPS.values()))} conversations recorded")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
