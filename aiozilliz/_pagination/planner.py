"""Plan the reading of a list that comes in numbered pages and may change meanwhile: what to ask, what is new, when to end.

`PagePlanner` does no I/O. `next_decision()` says what to do now, and the caller says what happened: `on_sent()`, then
`on_page()`, `on_refused()` or `on_lost()`. All is generic over the record.

**Passes.** The list is read in passes: page 1, 2, 3 … up to one that shows the end. `one_pass` says where a pass ends,
and whether it was clean, that is, whether nothing showed that the list moved or that the service contradicts itself.

A clean pass ends the reading. After any other the list is read again from page 1, and what is new is yielded;
`repeated` says why. The planner gives up after `max_passes`, and if two passes in a row brought the same ids and the
same counts, and these are not as many: nothing moves, so reading again is no use. What a clean pass can't see: one
cluster deleted before the cursor *and* another created behind it, both between the same two responses that bring a
`count`. The count stays, nothing repeats, and one id is skipped.

**With `verify`** a clean pass is not enough: the reading ends when the responses prove what the whole listing was at
one moment (`proof`). Passes go forwards and backwards in turn, and the page where one turns belongs to both: the
forward pass reads pages 1 to k, the backward pass k-1 to 1, the next one 2 and on. `proof` says why that is the
shortest way. With `listed_before` the first k responses prove a quiet list.

**With `window` > 1** page 1 goes alone; then up to `window` pages are in flight at once, but only up to the page that
the count and the largest page suggest; if they suggest nothing, only the next one. Without `verify` a service that
leaves `count` out of some responses is requested one page after another from then on (`one_pass` says why). Pages are
read in their order, whatever the order of arrival. What is in flight at the end of a pass, or after the proof, is
waited for, and what it brings is taken; it can still refute the proof, and then the reading goes on.

**Refusals and caches.** A refused page is requested again, and seldom taken for an empty one: see `refusals`. What a
cache gave is read like others, but is no witness for the proof.

**It always ends.** Let N be the number of distinct ids that the service shows. Of two pages in a row at least one
brings a forward pass a new id, but for the last two, and when it ends at most `window` - 1 others are in flight: at
most 2 * (N + 1) + `window` responses, and with refusals three times as many. A backward pass asks only for pages that
the pass before has read. So there are at most `max_passes` times as many responses, and never more than `max_answers`
of them or `max_records` ids, for a service that invents ids for ever.

**Memory.** All ids, from the second pass on also those of that pass and the one before; at most `window` pages of
records that are not yet yielded; with `verify`, what `proof` keeps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from aiozilliz._pagination.decisions import Done, GiveUp, RequestPage, Wait, YieldRecords
from aiozilliz._pagination.one_pass import NewRecords, Page, Pass
from aiozilliz._pagination.proof import Proof, Proven
from aiozilliz._pagination.refusals import Refusals, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence, Set as AbstractSet

    from aiozilliz._pagination.decisions import Decision, Repetition

R = TypeVar("R")


class PagePlanner(Generic[R]):
    """Plans the reading of one list, once.

    Args:
        page_size: Records that each request asks for.
        key: Returns the id of a record.
        window: Pages that may be requested and not yet yielded, at most. With 1 a page is requested only when all
            records before it have been yielded.
        verify: Whether to go on until the responses prove what the listing was.
        max_passes: Passes after which to give up.
        require_count: Whether `verify` gives up at once if the first response has no count, or goes on without it.
        max_answers: Responses after which to give up.
        max_records: Distinct ids after which to give up.
        listed_before: The ids of a listing proven before the first request, as evidence for the proof.
        is_old: Returns whether a record is known to be older than this reading; likewise.

    Attributes:
        count: The service's total as of the latest response that gave one; None before.
        answers: Responses received, refusals among them.
        repeated: Why each pass but the current one was repeated; a new tuple whenever a pass is begun again.
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
        max_records: int = 2_000_000,
        listed_before: Collection[str] = (),
        is_old: Callable[[R], bool] = lambda _: False,
    ) -> None:
        self.count: int | None = None
        self.answers = 0
        self.repeated: tuple[Repetition, ...] = ()
        self._page_size = page_size
        self._key = key
        self._window = window
        self._max_passes = max_passes
        self._require_count = require_count
        self._max_answers = max_answers
        self._max_records = max_records
        self._is_old = is_old
        self._proof: Proof[RequestPage] | None = Proof(listed_before) if verify else None
        self._new: NewRecords[R] = NewRecords()
        self._pass = Pass(1, self._new.known)
        self._before: Pass | None = None
        self._in_flight: set[RequestPage] = set()
        self._offer: RequestPage | None = None  # the request that may go out, once it is worked out
        self._held: dict[int, tuple[Page, Sequence[R]]] = {}  # arrived before a page that comes first
        self._latest = Page(0, (), None, full=False)  # the page read last
        self._alone: RequestPage | None = None  # sent last, with nothing else in flight ever since
        self._refusals = Refusals()
        self._cached = 0  # responses that a cache gave
        self._one_by_one = False  # whether no page is requested before the one in front of it has been read
        self._end: Done | GiveUp | None = None

    @property
    def pass_number(self) -> int:
        """The pass under way, or the last one; the first is 1."""
        return self._pass.number

    @property
    def last_pass(self) -> AbstractSet[str]:
        """The ids seen in the pass under way, or in the last one. It must not be changed."""
        return self._pass.seen

    @property
    def proven(self) -> Proven[RequestPage] | None:
        """The moment at which the whole listing is known, once the responses prove one."""
        return self._proof.proven if self._proof is not None else None

    @property
    def waiting(self) -> int:
        """Pages that have arrived and are not yet yielded."""
        return len(self._held) + len(self._new)

    @property
    def needed(self) -> RequestPage | None:
        """The request for the page that those which have arrived wait for, or None if none waits."""
        return RequestPage(self._pass.number, self._pass.at + self._pass.step) if self._held else None

    def order_of(self, request: RequestPage) -> int:
        """Return a number that is greater the later a page in flight is read."""
        return request.page_number * self._pass.step

    def next_decision(self) -> Decision[R]:
        """Return what to do now. `Done` and `GiveUp` are returned for ever, once all records have been yielded."""
        request = self.next_request()
        if request is not None:
            return request
        records = self.next_records()
        if records is not None:
            return YieldRecords(records)
        if self._end is not None and not self._in_flight:
            return self._end
        return Wait()

    def next_records(self) -> Sequence[R] | None:
        """Return the records that are to be handed on now, or None. They are not returned again."""
        return self._new.pop()

    def on_sent(self, request: RequestPage) -> None:
        """Take note that the request goes out now.

        Args:
            request: What `next_decision` or `next_request` returned last.

        Raises:
            ValueError: `next_decision` does not request it.
        """
        if request is not self._offer and request != self.next_request():
            raise ValueError(f"{request} is not what is to be asked now")
        self._offer = None
        self._pass.asked = request.page_number
        self._alone = None if self._in_flight else request
        self._in_flight.add(request)
        if self._proof is not None:
            self._proof.on_sent(request)

    def on_page(
        self,
        request: RequestPage,
        records: Sequence[R],
        *,
        count: int | None,
        page_size: int,
        fresh: bool = True,
    ) -> None:
        """Take the page that arrived.

        Args:
            request: What it responds to.
            records: The records on the page, in the service's order.
            count: The service's total, or None if the response has none.
            page_size: The size that the service says it cuts pages to, else the one requested.
            fresh: Whether the response came from the service, and not from a cache.

        Raises:
            ValueError: The request is not in flight.
        """
        self._expect(request)
        size = min(self._page_size, page_size) if page_size > 0 else self._page_size
        ids = list(map(self._key, records))
        if count is not None:
            self.count = count
        self._take(
            request, Page(request.page_number, ids, count, full=len(ids) >= size, fresh=fresh), records
        )

    def on_lost(self, request: RequestPage) -> None:
        """Take note that no response will come. The page is requested again when it is needed.

        Args:
            request: One that was in flight; any other is ignored, as its response may have come first.
        """
        self._in_flight.discard(request)
        self._offer = None
        self._pass.asked = self._pass.at
        if self._proof is not None:
            self._proof.on_lost(request)
        self._settle()

    def on_refused(self, request: RequestPage, *, by_service: bool) -> bool:
        """Take note that this page number was refused.

        Args:
            request: What it responds to.
            by_service: Whether it bears the service's signature, and is not from something that stands between.

        Returns:
            Whether the reading goes on: the page is requested again, or taken for an empty one. If not, the caller must
            raise the refusal; the request is still in flight.

        Raises:
            ValueError: The request is not in flight.
        """
        self._expect(request)
        # 1. The reading does not need this page any more.
        if self._end is not None or self._pass.ended or self._is_proven:
            verdict = Verdict.ASK_AGAIN
        else:
            verdict = self._refusals.judge(request, by_service=by_service)
        # 2. It would end this pass, which is as the one before, and count says in both that more must follow: the
        #    service contradicts itself. The first time the list may just have become shorter.
        if verdict is Verdict.EMPTY and self._pass.is_refused_like(self._before, request.page_number):
            verdict = Verdict.RAISE
        if verdict is Verdict.EMPTY:
            self._take(request, Page(request.page_number, (), None, full=False, refused=True), ())
        elif verdict is Verdict.ASK_AGAIN:
            self.answers += 1
            self.on_lost(request)
        return verdict is not Verdict.RAISE

    def next_request(self) -> RequestPage | None:
        """Return the request that may go out now, or None. `next_decision` returns it before all else."""
        in_flight = len(self._in_flight)
        if in_flight + self.waiting >= self._window or in_flight + self.answers >= self._max_answers:
            return None
        this = self._pass
        if self._end is not None or this.ended or self._is_proven or self._is_bound_met:
            return None
        if self._offer is None:
            self._offer = self._next_of(this)
        return self._offer

    def _next_of(self, this: Pass) -> RequestPage | None:
        # 1. Nothing is under way: the pass has not ended, so the page behind the last one is needed, whatever count says.
        if not self._in_flight and not self._held:
            return RequestPage(this.number, this.at + this.step)
        if self._one_by_one and self._in_flight:
            return None
        # 2. Else the first page up to the horizon that is neither in flight nor held. It lies behind all that was asked
        #    for, unless one was lost: `on_lost` sets `asked` back.
        horizon = this.horizon
        begin = max(this.asked, this.at) if this.step > 0 else min(this.asked, this.at)
        for number in range(begin + this.step, horizon + this.step, this.step):
            request = RequestPage(this.number, number)
            if request not in self._in_flight and number not in self._held:
                # 3. With `verify` the page that seems to be the last is the moment to prove. It is sent alone, so that
                #    all before it has arrived by then, and so that the backward pass can share it.
                turns = self._proof is not None and this.step > 0 and number == horizon
                return None if turns and self._in_flight else request
        return None

    @property
    def _is_proven(self) -> bool:
        return self._proof is not None and self._proof.proven is not None

    def _expect(self, request: RequestPage) -> None:
        if request not in self._in_flight:
            raise ValueError(f"{request} is not out")

    def _take(self, request: RequestPage, page: Page, records: Sequence[R]) -> None:
        self._in_flight.remove(request)
        self._offer = None
        self.answers += 1
        self._refusals.on_page(request)
        self._cached += not page.fresh
        if self._proof is None:
            if page.announced is None and self.count is not None and not page.refused:
                self._one_by_one = True
                page = page._replace(together=self._alone != request or bool(self._held))
        # A refusal shows no list, and what comes from a cache shows an old one: neither is a witness.
        elif page.refused or not page.fresh:
            self._proof.on_lost(request)
        else:
            self._proof.on_page(
                request,
                page.ids,
                page_number=page.number,
                count=page.announced,
                full=page.full,
                pass_number=request.pass_number,
                old=lambda: {self._key(record) for record in records if self._is_old(record)},
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
        self._new.read(self._pass, page, records)
        self._latest = page

    def _settle(self) -> None:
        """End the reading, or begin the next pass, if that is due."""
        if self._end is None and self._proof is not None:
            # 1. Proven: that is the end, whatever the pass under way has shown or still lacks. What is in flight may
            #    still refute it.
            if self._proof.proven is not None:
                if self._in_flight:
                    return
                self._end = Done()
            # 2. The first response has no count, which every proof needs: give up, or go on as without `verify`.
            elif self.answers == 1 and self._latest.announced is None:
                self._proof = None
                if self._require_count:
                    self._end = self._give_up("without a count from the service nothing can be proven")
        over = self._end is not None or self._pass.ended or self._is_bound_met
        # 3. The pass goes on, or it is over, but pages are in flight: what they bring is taken first.
        if self._in_flight or not over:
            return
        # 4. Pages are held behind one that was lost, and that is not requested any more. What they bring is new all the
        #    same, and still belongs to this pass.
        for number in sorted(self._held):
            self._read(*self._held.pop(number))
        if self._end is None:
            self._end = self._judge()
        if self._end is None:
            self._begin_pass()

    def _judge(self) -> Done | GiveUp | None:
        """Return how the reading ends with this pass, or None if there is to be another."""
        this = self._pass
        # 1. A clean pass is the end, unless a proof is wanted: that ends it in `_settle`.
        if self._proof is None and this.ended and this.repetition is None:
            return Done()
        # 2. The bound for a service that invents records; the pass may have been cut short.
        if self._is_bound_met:
            known = len(self._new.known)
            return self._give_up(f"there was no end after {self.answers} answers with {known} ids")
        # 3. The list moved, or the proof is not complete: read again, unless that is no use.
        hopeless = this.why_hopeless(
            self._before, self._proof, max_passes=self._max_passes, cached=self._cached
        )
        return None if hopeless is None else self._give_up(hopeless)

    @property
    def _is_bound_met(self) -> bool:
        return self.answers >= self._max_answers or len(self._new.known) > self._max_records

    def _give_up(self, reason: str) -> GiveUp:
        this = self._pass
        repeated = (*self.repeated, *this.why_repeated(self._proof))
        return GiveUp(reason, self.count, len(this.seen), this.number, repeated)

    def _begin_pass(self) -> None:
        self.repeated += self._pass.why_repeated(self._proof)
        this = self._before = self._pass
        self._new.end_pass(this)
        # 1. Without `verify`: forwards, from page 1. With it, after a forward pass: backwards, from the page where that
        #    ended. After a backward one, which ended at page 1: forwards from there.
        back = self._proof is not None and this.step > 0
        self._pass = this.next_pass(self.count, back=back)
        # 2. With `verify` the page where it turns belongs to both passes. But nothing may have been in flight together
        #    with it, as the proof needs all other pages before it or after it, and it must be a witness. Else it is
        #    requested again.
        turn = RequestPage(this.number, this.at)
        if self._proof is not None and self._alone == turn and self._latest.fresh:
            self._pass.read(self._latest)
            # 3. If the shared page would be the whole pass, nothing new would ever be asked: read page 1 again.
            if self._pass.ended:
                self._pass = this.next_pass(self.count)
