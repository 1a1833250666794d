"""Services that page a list which changes under the walk, and what drives a walk over them: no loop, no clock.

Nothing here is shared with the planner. Clusters are letters: those there at the start are small, created ones are
numbered, and no name comes back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import define, field, frozen

from aiozilliz._pagination.decisions import Done, GiveUp, RequestPage, Wait, YieldRecords

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from aiozilliz._pagination.planner import PagePlanner


@frozen
class Change:
    """Create a cluster at a place (0 front, 1 middle, 2 end), or delete the one at an index."""

    kind: Literal["create", "delete"]
    at: int


def changes(clusters: int) -> list[Change]:
    """Every single change of a list that has at most so many clusters."""
    return [Change("create", place) for place in range(3)] + [Change("delete", i) for i in range(clusters)]


@frozen
class Habit:
    """How a service cuts, counts and refuses."""

    name: str
    count: Literal["total", "absent", "first page", "odd pages", "over", "under", "own"] = "total"
    cap: int | None = None
    echoes: bool = True  # says the size that it cuts to; else repeats the one asked for
    ignores_page: bool = False
    refuses: bool = False
    doubles: bool = False  # lists the first record of each page twice

    @property
    def counts_truly(self) -> bool:
        """Whether the count is the true one wherever there is one."""
        return self.count in {"total", "absent", "first page", "odd pages"}

    @property
    def is_honest(self) -> bool:
        return self.count == "total" and not self.ignores_page and not self.doubles

    def __str__(self) -> str:
        return self.name


HABITS = [
    Habit("honest"),
    Habit("refuses", refuses=True),
    Habit("caps at 2 and says so", cap=2),
    Habit("caps at 2 in silence", cap=2, echoes=False),
    Habit("caps at 1 in silence", cap=1, echoes=False),
    Habit("bare array", count="absent"),
    Habit("bare array, refuses", count="absent", refuses=True),
    Habit("bare array, ignores page", count="absent", ignores_page=True),
    Habit("count on page 1 only", count="first page"),
    Habit("count on odd pages", count="odd pages"),
    Habit("count too high", count="over"),
    Habit("count too low", count="under"),
    Habit("count of the page alone", count="own"),
    Habit("count of the page alone, refuses", count="own", refuses=True),
    Habit("ignores page", ignores_page=True),
    Habit("ignores page, count of the page alone", count="own", ignores_page=True),
    Habit("lists a record twice", doubles=True),
]


@frozen
class Answer:
    """`records` None is a refusal of the page number, `by_service` itself or by something that stands between."""

    records: tuple[str, ...] | None
    count: int | None
    page_size: int
    fresh: bool = True
    by_service: bool = True


@define
class Service:
    """Pages a list. `script` maps the number of a read, from 0, to the changes just before it."""

    clusters: tuple[str, ...]
    habit: Habit
    script: Mapping[int, Sequence[Change]] = field(factory=dict[int, "Sequence[Change]"])
    versions: list[tuple[str, ...]] = field(
        factory=list[tuple[str, ...]], init=False
    )  # every state, in order
    listings: list[tuple[str, ...]] = field(
        factory=list[tuple[str, ...]], init=False
    )  # the state at each read
    created: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.versions.append(self.clusters)

    def change(self, change: Change) -> None:
        now = list(self.clusters)
        if change.kind == "create":
            self.created += 1
            now.insert((0, len(now) // 2, len(now))[change.at], f"new {self.created}")
        elif change.at < len(now):
            del now[change.at]
        self.clusters = tuple(now)
        self.versions.append(self.clusters)

    def read(self, page: int, asked: int) -> Answer:
        for change in self.script.get(len(self.listings), ()):
            self.change(change)
        self.listings.append(self.clusters)
        habit = self.habit
        size = asked if habit.cap is None else min(asked, habit.cap)
        offset = 0 if habit.ignores_page else (page - 1) * size
        records = self.clusters[offset : offset + size]
        if habit.doubles:
            records += records[:1]
        if habit.refuses and page > 1 and not records:
            return Answer(None, None, asked)
        return Answer(records, self._count(page, len(records)), size if habit.echoes else asked)

    def _count(self, page: int, own: int) -> int | None:
        total = len(self.clusters)
        return {
            "total": total,
            "absent": None,
            "first page": total if page == 1 else None,
            "odd pages": total if page % 2 else None,
            "over": total + 1,
            "under": max(0, total - 1),
            "own": own,
        }[self.habit.count]

    @property
    def ever(self) -> set[str]:
        """Whoever was listed at any time."""
        return {cluster for version in self.versions for cluster in version}

    @property
    def survivors(self) -> set[str]:
        """Whoever was listed all the time."""
        return set(self.versions[0]).intersection(*self.versions)


@define
class EndlessService(Service):
    """Has new clusters on every page, and a `count` that is always some pages ahead, or none."""

    def read(self, page: int, asked: int) -> Answer:
        start = len(self.listings) * asked
        self.clusters = tuple(f"made up {i}" for i in range(start, start + asked))
        self.versions.append(self.clusters)
        self.listings.append(self.clusters)
        return Answer(self.clusters, None if self.habit.count == "absent" else start + 5 * asked, asked)


@define(eq=False)
class Flight:
    """A request, what the service read for it, and when these things happened."""

    request: RequestPage
    sent: int
    arrived: int | None = None
    answer: Answer | None = None
    listing: tuple[str, ...] = ()
    read: int | None = None  # which read of the service it was

    @property
    def ids(self) -> tuple[str, ...]:
        assert self.answer is not None
        return self.answer.records or ()


@define
class Run:
    """What came of a walk."""

    end: Done | GiveUp
    yielded: list[str]
    batches: list[tuple[str, ...]]
    flights: list[Flight]  # in the order of sending
    arrived: list[Flight]  # in the order of arrival
    proven_at: int | None  # index in `arrived`
    raised: bool  # the caller would have raised a refusal


def first(number: int) -> int:
    """Choose the earliest: each request is read and answered at once."""
    return 0


def every_choice() -> Iterator[Callable[[int], int]]:
    """Give, one after another, choosers that together take every way through a run; use up each before the next."""
    script: list[int] = []
    while True:
        taken: list[tuple[int, int]] = []

        def choose(number: int, script: list[int] = script, taken: list[tuple[int, int]] = taken) -> int:
            choice = script[len(taken)] if len(taken) < len(script) else 0
            taken.append((choice, number))
            return choice

        yield choose
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if not taken:
            return
        script = [choice for choice, _ in taken]
        script[-1] += 1


def drive(
    planner: PagePlanner[str],
    service: Service,
    page_size: int,
    choose: Callable[[int], int] = first,
    *,
    window: int = 1,
    lose: Callable[[], bool] = lambda: False,
) -> Run:
    """Carry out what the planner decides. Among requests in flight `choose` picks which is read, or answered, next.

    It checks what every caller relies on: a page is asked for until it is sent, never more than `window` pages are
    asked for and not yielded, and with a window of 1 none while records are in hand.
    """
    clock = 0
    flying: list[Flight] = []
    run = Run(Done(), [], [], [], [], None, raised=False)
    while True:
        decision = planner.next_decision()
        clock += 1
        match decision:
            case RequestPage():
                assert planner.next_decision() == decision
                planner.on_sent(decision)
                assert decision not in {flight.request for flight in flying}
                flying.append(Flight(decision, clock))
                run.flights.append(flying[-1])
                assert len(flying) <= window
            case YieldRecords():
                assert decision.records
                run.batches.append(tuple(decision.records))
                run.yielded.extend(decision.records)
            case Wait():
                assert flying, "nothing is in flight that could be waited for"
                flight = flying[choose(len(flying)) if len(flying) > 1 else 0]
                if lose():
                    flying.remove(flight)
                    planner.on_lost(flight.request)
                elif flight.answer is None:
                    flight.read = len(service.listings)
                    flight.answer = service.read(flight.request.page_number, page_size)
                    flight.listing = service.listings[-1]
                else:
                    flying.remove(flight)
                    flight.arrived = clock
                    run.arrived.append(flight)
                    if not arrive(planner, flight.request, flight.answer):
                        run.raised = True
                        return run
                    if planner.proven is not None and run.proven_at is None:
                        run.proven_at = len(run.arrived) - 1
            case Done() | GiveUp():
                assert not flying
                assert planner.next_decision() == decision, "the end is told for ever"
                run.end = decision
                return run


def arrive(planner: PagePlanner[str], request: RequestPage, answer: Answer) -> bool:
    """Hand the answer to the planner. Return False if the caller has to raise the refusal."""
    if answer.records is None:
        return planner.on_refused(request, by_service=answer.by_service)
    planner.on_page(
        request, answer.records, count=answer.count, page_size=answer.page_size, fresh=answer.fresh
    )
    return True


def proof_by_definition(
    arrived: Sequence[Flight],
    asked: int,
    *,
    listed_before: Sequence[str] = (),
    is_old: Callable[[str], bool] = lambda _: False,
) -> tuple[int, Flight] | None:
    """Apply the definition of the proof to all answers after each arrival. Refusals and cached answers are none.

    Gives the index of the arrival that completes the first proof and the answer whose moment is proven, or None.
    """
    for number in range(1, len(arrived) + 1):
        log = [
            f for f in arrived[:number] if f.answer and f.answer.records is not None and f.answer.fresh
        ]
        if not log or log[-1] is not arrived[number - 1]:
            continue
        first_arrival: dict[str, int] = dict.fromkeys(listed_before, 0)
        last_sent: dict[str, int] = {}
        for flight in log:
            for cluster in flight.ids:
                assert flight.arrived is not None
                first_arrival.setdefault(cluster, flight.arrived)
                last_sent[cluster] = max(flight.sent, last_sent.get(cluster, 0))
        proven: Flight | None = None
        for moment in log:
            assert moment.answer is not None
            assert moment.arrived is not None
            own = set(moment.ids)
            count = moment.answer.count
            if count is None or len(own) < len(moment.ids):
                continue
            confirmed = True
            if len(own) == count:
                if moment.request.page_number > 1:
                    continue
                if len(own) >= min(asked, moment.answer.page_size):
                    after = [f for f in log if f.request.page_number == 2 and f.sent > moment.arrived]
                    if after and not set(after[0].ids) <= own:
                        continue
                    confirmed = bool(after)
            listed = own | {
                cluster
                for cluster, when in first_arrival.items()
                if when < moment.sent and last_sent[cluster] > moment.arrived
            }
            if len(listed) > count:
                return None
            if any(
                is_old(cluster) and cluster not in listed
                for f in log
                if f.sent > moment.arrived
                for cluster in f.ids
            ):
                continue
            if len(listed) == count and confirmed and proven is None:
                proven = moment
        if proven is not None:
            return number - 1, proven
    return None
