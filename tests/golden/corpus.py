"""The corpus: all conversations by group, and the files of their recorded outcomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tests.golden.conversations import (
    concurrent,
    failures,
    inventories,
    moving,
    odd_records,
    proofs,
    walks,
    watches,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.golden.conversation import AnyConversation

RECORDED = Path(__file__).parent / "recorded"

GROUPS: dict[str, Sequence[AnyConversation]] = {
    "concurrent": concurrent.CONVERSATIONS,
    "failures": failures.CONVERSATIONS,
    "inventories": inventories.CONVERSATIONS,
    "moving": moving.CONVERSATIONS,
    "odd_records": odd_records.CONVERSATIONS,
    "proofs": proofs.CONVERSATIONS,
    "walks": walks.CONVERSATIONS,
    "watches": watches.CONVERSATIONS,
}

WIDTH = 110


def read_recorded(group: str) -> dict[str, Any]:
    """Return the recorded outcomes of a group by the name of the conversation; empty before the first recording."""
    path = RECORDED / f"{group}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write_recorded(group: str, outcomes: dict[str, Any]) -> None:
    """Write a group's outcomes so that a difference between two recordings is easy to read."""
    RECORDED.mkdir(exist_ok=True)
    (RECORDED / f"{group}.json").write_text(render(outcomes) + "\n", encoding="utf-8")


def as_json(outcome: dict[str, Any]) -> dict[str, Any]:
    """Return an outcome as it is when it is read back."""
    return cast("dict[str, Any]", json.loads(json.dumps(outcome)))


def render(value: Any, indent: str = "") -> str:
    """Return JSON text in which what fits is on one line, and all else has a line for each part."""
    flat = json.dumps(value, ensure_ascii=False)
    deeper = indent + "  "
    parts = _parts(value)
    if indent and len(indent) + len(flat) <= WIDTH and not any(isinstance(part, dict) for _, part in parts):
        return flat
    if not parts:
        return flat
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    lines = [f"{deeper}{name}{render(part, deeper)}" for name, part in parts]
    return f"{opening}\n" + ",\n".join(lines) + f"\n{indent}{closing}"


def _parts(value: Any) -> list[tuple[str, Any]]:
    """Return what an object or array holds, each part with what stands before it."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return [(f"{json.dumps(name, ensure_ascii=False)}: ", part) for name, part in members.items()]
    return [("", part) for part in cast("Any", value)] if isinstance(value, list) else []
