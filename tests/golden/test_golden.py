"""Each conversation goes as it was recorded; where that is to change, `python -m tests.golden.record` writes it anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.golden.corpus import GROUPS, RECORDED, as_json, read_recorded, render
from tests.golden.play import play

if TYPE_CHECKING:
    from tests.golden.conversation import AnyConversation

ALL = [(group, conversation) for group, conversations in GROUPS.items() for conversation in conversations]
RECORDINGS: dict[str, Any] = {group: read_recorded(group) for group in GROUPS}


@pytest.mark.parametrize(("group", "conversation"), [pytest.param(*pair, id=pair[1].name) for pair in ALL])
async def test_a_conversation_goes_as_recorded(group: str, conversation: AnyConversation) -> None:
    outcome = as_json(await play(conversation))

    # As text, line by line, which is how the difference is read best.
    assert render(outcome).splitlines() == render(RECORDINGS[group].get(conversation.name)).splitlines()


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_recorded_is_what_is_played(group: str) -> None:
    assert list(RECORDINGS[group]) == [conversation.name for conversation in GROUPS[group]]


def test_nothing_else_is_recorded() -> None:
    assert sorted(path.name for path in RECORDED.iterdir()) == [f"{group}.json" for group in GROUPS]


def test_names_are_unique_and_many() -> None:
    names = {conversation.name for _, conversation in ALL}

    assert len(names) == len(ALL) >= 60
