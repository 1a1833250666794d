"""What a listing must show: the history of a changing list, which judges what was read of it.

A change is sent to the service and acknowledged; it takes effect at some moment between the two. So it is known, without
the service's clock, whether a cluster existed throughout a reading.
"""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

from aiozilliz import Cluster, EventKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Sequence

    from aiozilliz import ClusterEvent

_FOREVER: Final = float("inf")


@frozen
class Span:
    """The time of a reading, in seconds of `time.monotonic()`."""

    began: float
    ended: float


@define
class Spell:
    """A time in which responses may be wrong.

    Attributes:
        began: When, in seconds of `time.monotonic()`.
        misleading: Whether a response may be wrong in a way that no client can detect.
        ended: When it was over.
    """

    began: float
    misleading: bool
    ended: float = _FOREVER

    def over(self) -> None:
        """Note that every response from now on is right."""
        self.ended = time.monotonic()

    def overlaps(self, span: Span) -> bool:
        """Whether it touches a reading."""
        return self.began <= span.ended and self.ended >= span.began


@define
class _State:
    """The list between two changes: it was so at no time before `earliest` and none after `latest`."""

    clusters: dict[str, Cluster]
    earliest: float
    latest: float = _FOREVER


@define
class History:
    """The states of one list, as far back as an open reading needs them.

    Attributes:
        counted: Whether the service sends a `count`. Without it nothing shows that a record was skipped.
    """

    counted: bool = True
    _states: list[_State] = field(factory=list[_State])
    _spells: list[Spell] = field(factory=list[Spell])
    _reading: dict[int, float] = field(factory=dict[int, float])
    _tickets: int = 0
    _changing: asyncio.Lock = field(factory=asyncio.Lock)

    @property
    def now(self) -> dict[str, Cluster]:
        """The clusters as they are."""
        return self._states[-1].clusters

    def begin(self, records: Sequence[dict[str, Any]]) -> None:
        """Record the list as it is at the start."""
        self._states = [_State(_decode(records), 0.0)]

    async def change(self, command: Awaitable[Sequence[dict[str, Any]]]) -> None:
        """Change the list, and record it before and after.

        Args:
            command: Sends the change, and returns the records when it is acknowledged.
        """
        async with self._changing:
            sent = time.monotonic()
            records = await command
            last = self._states[-1]
            last.latest = time.monotonic()
            self._states.append(_State(_decode(records, last.clusters), sent))
        self._prune()

    def trouble(self, *, misleading: bool) -> Spell:
        """Note that responses may be wrong from now on, until the returned spell is `over`."""
        spell = Spell(time.monotonic(), misleading=misleading)
        self._spells.append(spell)
        return spell

    def open(self) -> int:
        """Note that a reading begins, and return its ticket; the states that it needs are kept until it is closed."""
        self._tickets += 1
        self._reading[self._tickets] = time.monotonic()
        return self._tickets

    async def close(self, ticket: int) -> Span:
        """Note that a reading has ended, and return its time. Judge it before the next turn of the loop."""
        return (await close_all([self], [ticket]))[0]

    async def settled(self) -> None:
        """Wait for a change in progress: a reading may have seen it already."""
        async with self._changing:
            pass

    def forget(self, ticket: int) -> float:
        """Stop keeping states for a reading, and return when it began."""
        return self._reading.pop(ticket)

    def judge_ids(self, ids: Sequence[str], span: Span) -> Iterator[str]:
        """Return what is wrong with the ids of a listing that has ended."""
        if len(set(ids)) != len(ids):
            twice = next(name for place, name in enumerate(ids) if name in ids[:place])
            yield f"{twice} came twice"
        if self._was_spoilt(span):
            return
        states = self._possible(span)
        known = set[str]().union(*(state.clusters for state in states))
        if unknown := set(ids) - known:
            yield f"{min(unknown)} did not exist at the time"
        if self._can_show_all(states) and (missing := self._throughout(states) - set(ids)):
            yield f"{min(missing)} existed throughout and is missing ({len(missing)} in all)"

    def judge_proven(self, clusters: Sequence[Cluster], span: Span) -> Iterator[str]:
        """Return what is wrong with a listing that claims to be that of one moment.

        The proof is of the ids. A record may have been modified, or have moved behind one that was created, while the
        others were read: each must be true at some time of the reading, and the order must be if nothing changed.
        """
        if self._was_spoilt(span):
            return
        states = self._possible(span)
        ids = [cluster.cluster_id for cluster in clusters]
        if len(set(ids)) != len(ids) or all(set(ids) != state.clusters.keys() for state in states):
            yield f"these {len(ids)} ids were never the listing"
        elif len(states) == 1 and ids != list(states[0].clusters):
            yield f"these {len(ids)} ids are not in the order of the listing, which did not change"
        for cluster in clusters:
            if all(state.clusters.get(cluster.cluster_id) != cluster for state in states):
                yield f"{cluster!r} was never listed"

    def judge_verified(self, ids: Sequence[str], span: Span) -> Iterator[str]:
        """Return what is wrong with ids that claim to miss nothing: all ids of some moment must be among them."""
        yield from self.judge_ids(ids, span)
        if not self._was_spoilt(span) and not any(
            state.clusters.keys() <= set(ids) for state in self._possible(span)
        ):
            yield "it holds the listing of no moment"

    def was_quiet(self, span: Span) -> bool:
        """Whether nothing changed during a reading, and every response was of its own moment."""
        return len(self._possible(span)) == 1 and not self._was_spoilt(span)

    def _possible(self, span: Span) -> list[_State]:
        return [
            state for state in self._states if state.earliest <= span.ended and state.latest >= span.began
        ]

    def was_troubled(self, span: Span) -> bool:
        """Whether a response may have been wrong during a reading."""
        return any(spell.overlaps(span) for spell in self._spells)

    def _was_spoilt(self, span: Span) -> bool:
        return any(spell.misleading and spell.overlaps(span) for spell in self._spells)

    @staticmethod
    def _throughout(states: Sequence[_State]) -> set[str]:
        return set(states[0].clusters).intersection(*(state.clusters for state in states[1:]))

    def _can_show_all(self, states: Sequence[_State]) -> bool:
        """Whether the responses show every loss. They do not if one was deleted and one created, see `verify`."""
        sizes = [len(state.clusters) for state in states]
        shrunk = any(after < before for before, after in pairwise(sizes))
        grown = any(after > before for before, after in pairwise(sizes))
        return not (shrunk and grown) if self.counted else not (shrunk or grown)

    def _prune(self) -> None:
        oldest = min(self._reading.values(), default=time.monotonic())
        self._states = [state for state in self._states if state.latest >= oldest]
        self._spells = [spell for spell in self._spells if spell.ended >= oldest]


def _decode(
    records: Sequence[dict[str, Any]], before: dict[str, Cluster] | None = None
) -> dict[str, Cluster]:
    """Decode the records; one that is as before stays the same object, so that a long history is small."""
    clusters = {record["clusterId"]: Cluster.from_dict(record) for record in records}
    for name, cluster in clusters.items():
        old = (before or {}).get(name)
        if old is not None and old == cluster:
            clusters[name] = old
    return clusters


async def close_all(histories: Sequence[History], tickets: Sequence[int]) -> list[Span]:
    """Note that a reading of many lists has ended; as `History.close` for each."""
    ended = time.monotonic()
    began: list[float] = []
    try:
        for history in histories:
            await history.settled()
    finally:  # also when it is cancelled
        began += (history.forget(ticket) for history, ticket in zip(histories, tickets, strict=True))
    return [Span(moment, ended) for moment in began]


@define
class Replay:
    """A listing that is built from a watch's events alone, starting from an empty one."""

    clusters: dict[str, Cluster] = field(factory=dict[str, Cluster])

    def take(self, event: ClusterEvent) -> str | None:
        """Apply an event, and return what is wrong with it, if anything."""
        name = event.cluster.cluster_id
        known = self.clusters.get(name)
        if event.kind == EventKind.REMOVED:
            wrong = self.clusters.pop(name, None) is None
        else:
            # An added one is new and has none before it; a modified one follows from what is known.
            wrong = known != event.previous or (event.kind == EventKind.MODIFIED) != bool(event.changed)
            self.clusters[name] = event.cluster
        return f"the event {event!r} does not follow from those before" if wrong else None
