"""Plan a walk over a list that is given in numbered pages and may change meanwhile: what to ask, what is new, when to end.

`PagePlanner` does no I/O. `next_decision()` says what to do now, and the caller tells it what happened: `sent()` and then
`feed()`, `refused()` or `lost()`. All is generic over the record.

**Passes.** The list is read in passes: page 1, 2, 3 … up to one that shows the end. `_passes` says where a pass ends, and
whether it was clean, that is, whether nothing showed that the list moved or that the service contradicts itself.

A clean pass ends the walk. After any other the list is read again from page 1, and what is new to the walk is yielded.
The walk gives up after `max_passes`, and where two passes in a row brought the same ids and the same counts, and these
are not as many: nothing moves, so reading again is no use. What a clean pass can't see: one cluster deleted before the cursor *and*
another created behind it, both between the same two answers. The count stays, nothing repeats, and one id is skipped.

**With `verify`** a clean pass is not enough: the walk ends when the answers prove what the whole listing was at one
moment (`_proof`). Passes go forwards and backwards in turn, and the page where one turns belongs to both: the forward
pass reads pages 1 to k, the backward pass k-1 to 1, the next one 2 and on. On a quiet list of k pages, when page k was
sent all other ids had arrived; the k-1 answers that come after it bracket them; so 2k-1 answers prove the moment of
page k. It can't be done with fewer: before the last page was read not all ids are known, and after it each other page
has to be seen again. A backward pass takes the end of the list over from the pass before, so whether two passes agree
is asked after forward ones only.

**With `window` > 1** page 1 goes alone; then up to `window` pages are asked at once, but only up to the page that the
count and the largest page of the pass suggest; where they suggest nothing, only the next one. Pages are read in their order,
whatever the order of arrival. With `verify` the suggested last page is sent alone, so that all before it has arrived.
A turning page is shared by two passes only where nothing else was in flight together with it; else it is asked again.
What is in flight at the end of a pass, or after the proof, is waited for, and what it brings is taken.

**It always ends.** Let N be the number of distinct ids that the service shows. In a forward pass each page but the
last brings at least one new id, and when it ends at most `window` - 1 others are in flight: at most N + `window`
answers. A backward pass asks only pages that the pass before has read. So a walk takes at most
`max_passes` * (N + `window`) answers, and never more than `max_answers`, for a service that invents ids for ever.

**Memory.** The ids of the walk, in one set during the first pass, and from the second pass on those of that pass and
of the one before; at most `window` pages of records that are not yet yielded; with `verify`, what `_proof` keeps.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeAlias, TypeVar

from attrs import frozen

from aiozilliz._pagination.one_pass import Page, Pass
from aiozilliz._pagination.proof import Proof, Proven

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence, Set as AbstractSet

R = TypeVar("R")


class RequestPage(NamedTuple):
    """Ask for this page. The decision is repeated until `PagePlanner.sent` is told."""

    pass_number: int
    page_number: int


class YieldRecords(NamedTuple, Generic[R]):
    """Hand these records on; there is at least one, and none was handed on before."""

    records: Sequence[R]


@frozen
class Wait:
    """Nothing can be done before something that is out arrives."""


@frozen
class Done:
    """The listing is complete, as far as a clean pass shows it, or proven."""


@frozen
class GiveUp:
    """The answers do not show that the listing is complete.

    Attributes:
        reason: Why, as the end of a sentence.
        expected: The service's latest count, or None where it gave none.
        received: Distinct ids in the last pass.
        passes: Passes made.
    """

    reason: str
    expected: int | None
    received: int
    passes: int


Decision: TypeAlias = "RequestPage | YieldRecords[R] | Wait | Done | GiveUp"


class PagePlanner(Generic[R]):
    """The planner of one walk.

    Args:
        page_size: Records that each request asks for.
        key: Gives the id of a record.
        window: Pages that may be asked for and not yet yielded, at most. With 1 a page is asked for only when all
            records before it have been yielded.
        verify: Whether to go on until the answers prove what the listing was.
        max_passes: Passes after which to give up.
        require_count: Whether `verify` gives up at once where the first answer has no count; else the walk then
            goes on without `verify`.
        max_answers: Answers after which to give up.

    Attributes:
        count: The service's total as of the latest answer that gave one; None before.
        answers: Pages received.
    """

    def __init__(
        self,
        *,
        page_size: int,
        key: Callable[[R], str],
        window: int = 1,
        verify: bool = False,
        max_passes: int = 5,
        require_count: bool = True,
        max_answers: int = 100_000,
    ) -> None:
        self.count: int | None = None
        self.answers = 0
        self._page_size = page_size
        self._key = key
        self._window = window
        self._max_passes = max_passes
        self._require_count = require_count
        self._max_answers = max_answers
        self._proof: Proof[RequestPage] | None = Proof() if verify else None
        self._known: set[str] = set()  # ids of the walk
        self._pass = Pass(1, self._known)
        self._before: Pass | None = None
        self._out: set[RequestPage] = set()
        self._offer: RequestPage | None = None  # the request that may go out, once it is worked out
        self._held: dict[int, tuple[Page, Sequence[R]]] = {}  # arrived before a page that comes first
        self._ready: deque[Sequence[R]] = deque()  # read, not yet yielded
        self._latest = Page(0, (), None, full=False)  # the page read last
        self._alone: RequestPage | None = None  # sent last, with nothing else out from then on
        self._refused_in: dict[tuple[int, int], int] = {}  # page and count, to the first pass in which it was
        self._end: Done | GiveUp | None = None

    @property
    def pass_number(self) -> int:
        """The pass under way, or the last one; the first is 1."""
        return self._pass.number

    @property
    def last_pass(self) -> AbstractSet[str]:
        """The ids seen in the pass under way, or in the last one. To be read, not changed."""
        return self._pass.seen

    @property
    def proven(self) -> Proven[RequestPage] | None:
        """The moment at which the whole listing is known, once the answers prove one."""
        return self._proof.proven if self._proof is not None else None

    @property
    def waiting(self) -> int:
        """Pages that have arrived and are not yet yielded."""
        return len(self._held) + len(self._ready)

    @property
    def blocked(self) -> int:
        """Pages that have arrived and wait for one that comes first."""
        return len(self._held)

    def next_decision(self) -> Decision[R]:
        """Say what to do now. `Done` and `GiveUp` come again for ever, once all records have been yielded."""
        request = self.next_request()
        if request is not None:
            return request
        records = self.next_records()
        if records is not None:
            return YieldRecords(records)
        if self._end is not None and not self._out:
            return self._end
        return Wait()

    def next_records(self) -> Sequence[R] | None:
        """Give the records that are to be handed on, or None. They are not given again."""
        return self._ready.popleft() if self._ready else None

    def sent(self, request: RequestPage) -> None:
        """The request goes out now.

        Raises:
            ValueError: `next_decision` does not ask for it.
        """
        if request is not self._offer and request != self.next_request():
            raise ValueError(f"{request} is not what is to be asked now")
        self._offer = None
        self._pass.asked = request.page_number
        self._alone = None if self._out else request
        self._out.add(request)
        if self._proof is not None:
            self._proof.sent(request)

    def feed(self, request: RequestPage, records: Sequence[R], *, count: int | None, page_size: int) -> None:
        """The answer arrived.

        Args:
            request: What it answers.
            records: The records on the page, in the service's order.
            count: The service's total, or None where the answer has none.
            page_size: The size that the service says it cuts pages to, else the one asked for.

        Raises:
            ValueError: The request is not out.
        """
        self._expect(request)
        size = min(self._page_size, page_size) if page_size > 0 else self._page_size
        ids = list(map(self._key, records))
        if count is not None:
            self.count = count
        self._take(request, Page(request.page_number, ids, count, full=len(ids) >= size), records)

    def lost(self, request: RequestPage) -> None:
        """The request was given up without an answer. It is asked again when it is needed."""
        self._out.discard(request)
        self._offer = None
        self._pass.asked = self._pass.at
        self._settle()

    def refused(self, request: RequestPage) -> bool:
        """The service refused this page number. Give whether that is to be taken for an empty page.

        It is not for page 1; and not where more records should follow and the page was refused before, in an earlier
        pass with the same count. The first time the list may just have become shorter, which reading it again shows.
        Where it is not, nothing changes: the request is still out.

        Raises:
            ValueError: The request is not out.
        """
        self._expect(request)
        if request.page_number == 1:
            return False
        this = self._pass
        if this.count is not None and len(this.seen) < this.count:
            refusal = request.page_number, this.count
            if self._refused_in.setdefault(refusal, this.number) < this.number:
                return False
        self._take(request, Page(request.page_number, (), None, full=False), ())
        return True

    def next_request(self) -> RequestPage | None:
        """Give the request that may go out now, or None. `next_decision` gives it before all else."""
        out = len(self._out)
        if out + len(self._held) + len(self._ready) >= self._window:
            return None
        this = self._pass
        if self._end is not None or this.ended or self.answers + out >= self._max_answers:
            return None
        if self._offer is None:
            self._offer = self._next_of(this)
        return self._offer

    def _next_of(self, this: Pass) -> RequestPage | None:
        if not self._out and not self._held:
            return RequestPage(this.number, this.at + this.step)
        horizon = this.horizon
        begin = max(this.asked, this.at) if this.step > 0 else min(this.asked, this.at)
        for number in range(begin + this.step, horizon + this.step, this.step):
            request = RequestPage(this.number, number)
            if request not in self._out and number not in self._held:
                turns = self._proof is not None and this.step > 0 and number == horizon
                return None if turns and self._out else request
        return None

    def _expect(self, request: RequestPage) -> None:
        if request not in self._out:
            raise ValueError(f"{request} is not out")

    def _take(self, request: RequestPage, page: Page, records: Sequence[R]) -> None:
        self._out.remove(request)
        self._offer = None
        self.answers += 1
        if self._proof is not None:
            self._proof.arrived(
                request, page.ids, page_number=page.number, count=page.announced, full=page.full
            )
        this, held = self._pass, self._held
        if page.number == this.at + this.step:
            self._read(page, records)
            while held and this.at + this.step in held:
                self._read(*held.pop(this.at + this.step))
        else:
            held[page.number] = page, records
        self._settle()

    def _read(self, page: Page, records: Sequence[R]) -> None:
        new = self._pass.read(page)
        if self._pass.seen is not self._known:
            new = (set(page.ids) if new is None else new) - self._known
            self._known |= new
        if new is None or len(new) == len(records):
            if records:
                self._ready.append(records)
        elif new:
            first: dict[str, R] = {}
            for cluster_id, record in zip(page.ids, records, strict=True):
                if cluster_id in new:
                    first.setdefault(cluster_id, record)
            self._ready.append(list(first.values()))
        self._latest = page

    def _settle(self) -> None:
        """End the walk, or begin the next pass, where that is due."""
        if self._end is None and self._proof is not None:
            if self._proof.proven is not None:
                self._end = Done()
            elif self.answers == 1 and self._latest.announced is None:
                if self._require_count:
                    self._end = self._give_up("without a count from the service nothing can be proven")
                self._proof = None
        over = self._end is not None or self._pass.ended or self.answers >= self._max_answers
        if self._out or not over:
            return
        for number in sorted(self._held):
            self._read(*self._held.pop(number))
        if self._end is None:
            self._end = self._judge()
        if self._end is None:
            self._begin_pass()

    def _judge(self) -> Done | GiveUp | None:
        """Say how the walk ends with this pass, or None where there is to be another."""
        this, before = self._pass, self._before
        if self._proof is None and this.ended and this.clean:
            return Done()
        if self.answers >= self._max_answers:
            return self._give_up(f"there was no end after {self.answers} answers")
        wrong = this.step > 0 and this.count is not None and this.count != len(this.seen)
        if wrong and before is not None and this.counts == before.counts and this.seen == before.seen:
            return self._give_up("two passes in a row agree with each other, but not with the count")
        if this.number < self._max_passes:
            return None
        if self._proof is None:
            return self._give_up(f"in each of {this.number} passes the list changed, or contradicted itself")
        if self._proof.contradicted:
            return self._give_up("counts and pages contradict each other, so nothing can be proven")
        return self._give_up(f"{this.number} passes did not bring the proof")

    def _give_up(self, reason: str) -> GiveUp:
        return GiveUp(reason, self.count, len(self._pass.seen), self._pass.number)

    def _begin_pass(self) -> None:
        this = self._before = self._pass
        if this.seen is self._known:
            self._known = set(this.seen)
        self._pass = Pass(this.number + 1)
        if self._proof is None:
            return
        if this.step > 0:
            self._pass = Pass(this.number + 1, step=-1, first=this.at)
        if self._alone == RequestPage(this.number, this.at):
            self._pass.read(self._latest)
            if self._pass.ended:  # a pass has at least one page of its own
                self._pass = Pass(this.number + 1)
