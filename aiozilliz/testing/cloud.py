"""`FakeZillizCloud`: the list and its changes, scripted faults, the log of requests, and the fake's life."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from random import Random
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, TypeVar, get_args

from attrs import evolve

from .faults import Callbacks, Fault, FaultScript
from .listing import Listing, wire_fields, wire_record
from .log import RequestLog
from .samples import sample_cluster
from .server import HOST, LoopbackServer, ServerThread
from .service import MAX_PAGE_SIZE, Asked, Echo, Service, Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from .listing import Record, SupportsToDict
    from .log import RecordedRequest
    from .server import Answer, Connection, Request

Order: TypeAlias = Literal["stable", "shuffled"]
_Callback = TypeVar("_Callback", bound="Callable[..., Any]")


class FakeZillizCloud:
    """A real HTTP server on loopback that lists clusters as Zilliz Cloud does, for tests.

    `async with` serves in the running loop, `with` from a thread. It can be entered once. All methods may be called
    from any thread, before, while and after it runs.

    On leaving, connections are closed at once, also where requests still wait for an answer. Then a bug in a callback
    is raised, and an `AssertionError` where scripted faults were never taken. Where the block itself fails, the
    unused faults are a note on its exception, and so is a callback's error where the block was interrupted or
    cancelled.

    The service's documentation is followed where it speaks. Refusals of `pageSize` (96008) and `currentPage` (96009)
    come under HTTP 200, a refused key (21119) under 401, and a request beyond the rate limit is a 429; no parameter
    sorts the list. A `region` filters the list, and one without clusters gives an empty list. Each request takes the
    next scripted fault, whatever it asks for.

    Args:
        clusters: How many to make up, or the records: wire dicts, or objects with `to_dict()` such as
            `aiozilliz.Cluster`. Records are served as they are, incomplete and wrong ones too.
        api_key: The only key that is taken, or None for any.
        seed: Made-up clusters and shuffled orders are the same for the same seed.
        max_page_size: Records on a page at most, 1 to 100. A larger `pageSize` that is in the documented range is cut
            to this without refusal, as a proxy may do.
        latency: Seconds before each answer is made.
        rate_limit: Requests that one key may send in any one second, by time of arrival; None for no limit.
        retry_after: The header `Retry-After` of refusals for the rate, as seconds or as it is; None for none.
        shape: `data` as the object with `clusters` and `count` (`"object"`), or as the array of clusters (`"array"`).
        echo_page_size: What `data.pageSize` tells: the size that was `"used"` or the one that was `"asked"` for.
        order: `"stable"`, or `"shuffled"`: another order for each request, as a list gets that is sorted by a column
            with equal values, and at its worst.
        port: The port on 127.0.0.1; 0 takes a free one.

    Raises:
        TypeError: An argument has the wrong type, or a record is no JSON object.
        ValueError: An argument is out of range, or two records have one id.
    """

    __module__ = "aiozilliz.testing"

    def __init__(
        self,
        clusters: int | Iterable[Mapping[str, Any] | SupportsToDict] = 250,
        *,
        api_key: str | None = None,
        seed: int = 0,
        max_page_size: int = MAX_PAGE_SIZE,
        latency: float = 0.0,
        rate_limit: int | None = None,
        retry_after: int | str | None = None,
        shape: Shape = "object",
        echo_page_size: Echo = "used",
        order: Order = "stable",
        port: int = 0,
    ) -> None:
        if api_key == "":
            raise ValueError("api_key must not be empty; None takes any key.")
        _check_whole("max_page_size", max_page_size, 1, MAX_PAGE_SIZE)
        _check_whole("port", port, 0, 65535)
        if rate_limit is not None:
            _check_whole("rate_limit", rate_limit, 1)
        if not 0 <= latency < math.inf:
            raise ValueError(f"latency must be finite and not negative, not {latency}.")
        for name, value, allowed in (
            ("shape", shape, get_args(Shape)),
            ("echo_page_size", echo_page_size, get_args(Echo)),
            ("order", order, get_args(Order)),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}.")
        self._seed = seed
        self._latency = latency
        self._shuffled = order == "shuffled"
        self._service = Service(
            api_key=api_key,
            max_page_size=max_page_size,
            echo_page_size=echo_page_size,
            shape=shape,
            rate_limit=rate_limit,
            retry_after=retry_after,
        )
        self._samples = 0
        self._listing = Listing(self._first_records(clusters))
        self._cuts = 0
        self._last_page: Answer | None = None
        self._script = FaultScript()
        self._log = RequestLog()
        self._callbacks = Callbacks()

        self._state = threading.RLock()  # guards everything above against other threads
        self._turn = asyncio.Lock()  # held while one answer is made and its callbacks run
        self._server = LoopbackServer(self._respond, port=port)
        self._thread = ServerThread(self._start, self._server.close)
        self._entered = False
        self._url: str | None = None

    def __repr__(self) -> str:
        return f"<FakeZillizCloud {self._url or 'not started'}, {len(self._listing)} clusters>"

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end. It stays after leaving, when nobody answers there.

        Raises:
            RuntimeError: The fake was not started yet.
        """
        if self._url is None:
            raise RuntimeError("A FakeZillizCloud has its URL once it runs: use `with` or `async with`.")
        return self._url

    @property
    def clusters(self) -> tuple[Record, ...]:
        """Copies of the wire records as they are now, in the list's order."""
        with self._state:
            return self._listing.records

    @property
    def requests(self) -> list[RecordedRequest]:
        """A copy of the log: every request that arrived so far, refused and spoilt ones too, in order of arrival."""
        with self._state:
            return self._log.entries

    def add(self, *, index: int | None = None, **fields: Any) -> str:
        """Create a cluster, and give its id.

        Args:
            index: Its position in the list, as for `list.insert`; None is the end.
            fields: Values by wire name (`cuSize`) or by attribute name of `aiozilliz.Cluster` (`cu_size`). Other names
                are sent as they are. What is not given is made up.

        Raises:
            TypeError: A field is given by both names, or a value is nothing that JSON knows.
            ValueError: The id is taken, or is no text.
        """
        given = wire_fields(fields)
        with self._state:
            sample = self._sample()
            while sample["clusterId"] in self._listing:  # records of another fake, with the same seed
                sample = self._sample()
            record = {**sample, **given}
            self._listing.add(record, index)
        return str(record["clusterId"])

    def update(self, cluster_id: str, **fields: Any) -> None:
        """Change fields of a cluster, named as for `add`; the others stay.

        Raises:
            KeyError: There is no such cluster.
            TypeError: A field is given by both names, or a value is nothing that JSON knows.
            ValueError: The id would change.
        """
        given = wire_fields(fields)
        with self._state:
            self._listing.update(cluster_id, given)

    def remove(self, cluster_id: str) -> None:
        """Delete a cluster: it is not listed any more, and those behind it move up.

        Raises:
            KeyError: There is no such cluster.
        """
        with self._state:
            self._listing.remove(cluster_id)

    def fail_next(self, fault: Fault, times: int | None = 1) -> None:
        """Script a fault for the next requests. Several faults are taken in the order in which they were given.

        Args:
            fault: What goes wrong.
            times: For how many requests; None for all, until `clear_faults()`.

        Raises:
            TypeError: `fault` is no `Fault`, or `times` no int.
            ValueError: `times` is below 1.
        """
        if not isinstance(fault, Fault):
            raise TypeError(f"fault must be a Fault, such as Fault.status(503), not {fault!r}.")
        if times is not None:
            _check_whole("times", times, 1)
        with self._state:
            self._script.add(fault, times)

    def clear_faults(self) -> None:
        """Forget the scripted faults that were not taken yet."""
        with self._state:
            self._script.clear()

    def between_pages(self, callback: _Callback) -> _Callback:
        """Call `callback` after each page that was answered in full, before any other request is answered.

        So a test can change the list under a walk. It may be used as a decorator. Several callbacks are called in the
        order in which they were given. A callback's error is raised on leaving the fake; the client never sees it.

        Args:
            callback: A function, plain or async. If it can't be called without an argument, it gets the
                `RecordedRequest` that was answered. It runs in the loop that serves, with `with` in the server's
                thread, and must not wait for an answer of the same fake.

        Raises:
            TypeError: `callback` needs more than one argument.
        """
        with self._state:
            self._callbacks.add(callback)
        return callback

    async def __aenter__(self) -> Self:
        self._enter()
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._server.close()
        self._report(error)

    def __enter__(self) -> Self:
        self._enter()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._thread.stop()
        self._report(error)

    def _enter(self) -> None:
        if self._entered:
            raise RuntimeError("A FakeZillizCloud can be entered once. Make another one.")
        self._entered = True

    async def _start(self) -> None:
        self._url = f"http://{HOST}:{await self._server.start()}"

    def _report(self, error: BaseException | None) -> None:
        with self._state:
            unused = self._script.unused
        told = f"Scripted faults that no request took: {', '.join(unused)}." if unused else ""
        failure = self._callbacks.error or self._server.error
        if failure is not None and (error is None or isinstance(error, Exception)):
            error = failure
        elif failure is not None and error is not None:
            error.add_note(f"The fake cloud, or a callback between pages, had failed: {failure!r}")
        if error is not None and told:
            error.add_note(told)
        if failure is not None and error is failure:
            raise failure
        if error is None and told:
            raise AssertionError(told)

    async def _respond(self, request: Request, connection: Connection) -> None:
        monotonic = time.monotonic()
        asked = self._service.examine(request, monotonic)
        with self._state:
            place = self._log.add(request, connection.number, monotonic)
            if isinstance(asked, Asked):
                self._log.note(place, page=asked.page, page_size=asked.size)
        async with self._turn:
            with self._state:
                fault = self._script.take()
                self._log.note(place, fault=fault)
        if pause := self._latency + (fault.seconds if fault else 0.0):
            await asyncio.sleep(pause)
        async with self._turn:
            if not connection.is_open:
                return
            if fault and fault.kind == "reset":
                connection.reset()
                return
            answer = self._answer(asked, fault)
            with self._state:
                recorded = self._log.note(place, status=answer.status)
            half = fault is not None and fault.kind == "cut"
            connection.send(answer, method=request.method, keep_alive=request.keep_alive, half=half)
            if isinstance(asked, Asked) and (fault is None or fault.kind in {"delay", "repeat_page"}):
                await self._callbacks.run(recorded)

    def _answer(self, asked: Asked | Answer, fault: Fault | None) -> Answer:
        if fault and fault.answer:
            return fault.answer
        answer = self._page(asked, fault) if isinstance(asked, Asked) else asked
        if fault and fault.kind == "malformed":
            return evolve(answer, body=answer.body[: len(answer.body) // 2])
        return answer

    def _page(self, asked: Asked, fault: Fault | None) -> Answer:
        if fault and fault.kind == "repeat_page" and self._last_page:
            return self._last_page
        self._cuts += 1
        shuffle = Random(f"{self._seed}/{self._cuts}") if self._shuffled else None  # noqa: S311 - no secret
        size = self._service.used_size(asked)
        with self._state:
            cut = self._listing.cut(asked.page, size, region=asked.region, shuffle=shuffle)
        self._last_page = self._service.answer(asked, cut)
        return self._last_page

    def _first_records(self, clusters: int | Iterable[Mapping[str, Any] | SupportsToDict]) -> list[Record]:
        if isinstance(clusters, int):
            _check_whole("clusters", clusters, 0)
            return [self._sample() for _ in range(clusters)]
        return [wire_record(cluster) for cluster in clusters]

    def _sample(self) -> Record:
        self._samples += 1
        return sample_cluster(self._samples - 1, self._seed)


def _check_whole(name: str, value: int, low: int, high: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}.")
    if value < low or (high is not None and value > high):
        allowed = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ValueError(f"{name} must be {allowed}, not {value}.")
