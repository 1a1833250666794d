"""`FakeZillizCloud`: changes to its list, scripted faults, the request log, and its lifetime."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any, Self, TypeVar

from attrs import evolve

from .faults import Callbacks, Fault, FaultScript, Recording, read_recording
from .listing import Listing, Record, SupportsToDict, wire_fields, wire_record
from .log import LogEntry, RecordedRequest, log_entry
from .samples import sample_cluster
from .server import HOST, Answer, Connection, LoopbackServer, LoopThread, Request
from .service import MAX_PAGE_SIZE, Asked, Echo, Order, Service, Shape, asked_page, bearer, check_whole

LOGGED = 10_000
"""The number of requests that the log holds."""

_SETTABLE = ("api_key", "latency", "max_page_size", "rate_limit")
_NOT_RECORDED = Fault.code(501, "The recording has no response left for this request.", status=501)
_Callback = TypeVar("_Callback", bound="Callable[..., Any]")


class FakeZillizCloud:
    """A real HTTP server on loopback that lists clusters as Zilliz Cloud does, for tests.

    `async with` serves in the running event loop, `with` in a thread. It can be entered once. All methods may be called
    from any thread, before, during and after that.

    Leaving it closes all connections at once, even if requests still wait for a response. It then raises the error of a
    callback, or `AssertionError` if scripted faults were not used. If the block itself fails, unused faults are added
    to its exception as a note, and so is a callback's error if the block was interrupted or cancelled.

    It follows the service's documentation. Refusals of `pageSize` (96008) and `currentPage` (96009) have HTTP status
    200, as has an unknown `region` (96001), a refused key (21119) has 401, and a request over the rate limit 429. The
    documented regions are known, and those of the records. No parameter sorts the list. Each request uses the next
    scripted fault, whatever it is for.

    `api_key`, `latency`, `max_page_size` and `rate_limit` are attributes, too, and can be set while it runs: what was
    set counts for the requests that arrive from then on. Any other attribute that is set is an `AttributeError`.

    Args:
        clusters: The number of clusters to make up, or the records: wire dicts, or objects with `to_dict()` such as
            `aiozilliz.Cluster`. Records are served as they are, even if they are incomplete or wrong.
        api_key: The only key that is accepted, or None for any.
        seed: The same seed makes up the same clusters, shuffled orders and failures by chance.
        max_page_size: Maximum number of records on a page, 1 to 100. A larger `pageSize` in the documented range is
            reduced to it without an error, as a proxy may do.
        latency: Seconds to wait before each response.
        rate_limit: Requests that one key may send in any one second, by time of arrival; None for no limit.
        retry_after: The header `Retry-After` of responses over the rate limit: seconds or any text; None for no header.
        shape: `data` as the object with `clusters` and `count` (`"object"`), or as the array of clusters (`"array"`).
        echo_page_size: The value of `data.pageSize`: the page size that was `"used"` or the one that was `"asked"` for.
        order: `"stable"`, or `"shuffled"`: a new order for each request, the worst case of a list that is sorted by a
            column with equal values.
        port: The port on 127.0.0.1; 0 for a free one.

    Raises:
        TypeError: An argument has the wrong type, or a record is not a JSON object.
        ValueError: An argument is out of range, or two records have the same id.
    """

    __module__ = "aiozilliz.testing"

    api_key: str | None = None
    latency: float = 0.0
    max_page_size: int = MAX_PAGE_SIZE
    rate_limit: int | None = None

    if not TYPE_CHECKING:  # type checkers know which attributes there are

        def __setattr__(self, name: str, value: Any) -> None:
            if name in _SETTABLE:
                setattr(self._service, name, value)
            elif "_url" in vars(self) and name not in vars(self):
                raise AttributeError(f"{name!r} can't be set, but these can: {', '.join(_SETTABLE)}.")
            super().__setattr__(name, value)

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
        check_whole("port", port, 0, 65535)
        self._seed = seed
        self._service = Service(retry_after, shape, echo_page_size, order)
        self.api_key = api_key
        self.latency = latency
        self.max_page_size = max_page_size
        self.rate_limit = rate_limit
        self._samples = 0
        self._listing = Listing(self._first_records(clusters))
        self._cuts = 0
        self._last_page: Answer | None = None
        self._script = FaultScript(seed)
        self._log: deque[LogEntry] = deque(maxlen=LOGGED)
        self._callbacks = Callbacks()

        self._state = threading.RLock()  # guards everything above against other threads
        self._turn = asyncio.Lock()  # held while a response is created and its callbacks run
        self._server = LoopbackServer(self._respond, port=port)
        self._thread = LoopThread()
        self._entered = False
        self._url: str | None = None

    def __repr__(self) -> str:
        return f"<FakeZillizCloud {self._url or 'not started'}, {len(self._listing)} clusters>"

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash. It stays the same after leaving, when nothing listens there.

        Raises:
            RuntimeError: The fake has not been started.
        """
        if self._url is None:
            raise RuntimeError("There is no URL before the start: use `with` or `async with`.")
        return self._url

    @property
    def clusters(self) -> tuple[Record, ...]:
        """Copies of the current wire records, in the list's order."""
        with self._state:
            return self._listing.records

    @property
    def requests(self) -> list[RecordedRequest]:
        """A copy of the log: the latest 10,000 requests in order of arrival, including refused and spoilt ones."""
        with self._state:
            return [entry.recorded for entry in self._log]

    def add(self, *, index: int | None = None, **fields: Any) -> str:
        """Create a cluster.

        Args:
            index: Its position in the list, as for `list.insert`; None for the end.
            fields: Values of documented fields by wire name (`cuSize`, `deploymentOption`) or in Python's style
                (`cu_size`, `deployment_option`). Other names are sent unchanged. Missing fields are made up.

        Returns:
            The id of the cluster.

        Raises:
            TypeError: A field is passed by both names, or a value is not a JSON value.
            ValueError: The id exists already, or is not a string.
        """
        given = wire_fields(fields)
        with self._state:
            sample = self._sample()
            while sample["clusterId"] in self._listing:  # records of another fake with the same seed
                sample = self._sample()
            record = {**sample, **given}
            self._listing.add(record, index)
        return str(record["clusterId"])

    def update(self, cluster_id: str, **fields: Any) -> None:
        """Change fields of a cluster, named as for `add`; other fields keep their values.

        Raises:
            KeyError: There is no such cluster.
            TypeError: A field is passed by both names, or a value is not a JSON value.
            ValueError: The id would change.
        """
        given = wire_fields(fields)
        with self._state:
            self._listing.update(cluster_id, given)

    def remove(self, cluster_id: str) -> None:
        """Delete a cluster; those after it in the list move up.

        Raises:
            KeyError: There is no such cluster.
        """
        with self._state:
            self._listing.remove(cluster_id)

    def fail_next(self, fault: Fault, times: int | None = 1, *, page: int | None = None) -> None:
        """Script a fault for the next requests. Several faults are used in the order of the calls.

        Args:
            fault: What goes wrong.
            times: Number of requests; None for all, until `clear_faults()`.
            page: Only requests for this page use it; None for any.

        Raises:
            TypeError: `fault` is not a `Fault`, or `times` or `page` not an int.
            ValueError: `times` or `page` is below 1.
        """
        if not isinstance(fault, Fault):
            raise TypeError(f"fault must be a Fault, such as Fault.status(503), not {fault!r}.")
        for name, value in (("times", times), ("page", page)):
            if value is not None:
                check_whole(name, value, 1)
        with self._state:
            self._script.add(fault, times, page=page)

    def fail_some(self, fault: Fault, share: float = 0.1) -> None:
        """Let a share of the requests for pages fail, until `clear_faults()`.

        Chance decides, but the same seed decides the same for the same requests, whatever the order in which requests
        for different pages arrive: it goes by what was asked, and by how often this key has asked for it. Faults that
        were scripted before come first.

        Args:
            fault: What goes wrong.
            share: From 0, for none of them, to 1, for all.

        Raises:
            ValueError: `share` is out of range.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"share must be between 0 and 1, not {share}.")
        with self._state:
            self._script.add(fault, None, share=share, used=True)

    def replay(self, recording: Recording) -> None:
        r"""Respond to the next requests with a recorded conversation instead of the list.

        Each recorded response is used once, in order, whatever the key of the request. One that names a page waits for
        a request for this page, so that a client may ask for several at once. A request that no response is left for
        gets status 501, until `clear_faults()`. Like faults, responses that were not used are an error on leaving.

        A recording is a file with a JSON object a line, such as this one, or the objects themselves:

            {"page": 1, "status": 200, "headers": {"requestid": "1f"}, "body": "{\"code\": 0, \"data\": []}"}

        `body` is text, or a JSON value. `headers` may be missing, as may `page`, `body` (empty), and those headers that
        are about the connection, which are not sent. Other names are ignored. This makes a line of a response of
        aiohttp's:

            {"page": page, "status": response.status, "headers": dict(response.headers), "body": await response.text()}

        Args:
            recording: The path of the file, or the objects.

        Raises:
            OSError: The file can't be read.
            ValueError: A response can't be read; the text has its number.
        """
        responses = list(read_recording(recording))
        with self._state:
            for fault, page in responses:
                self._script.add(fault, 1, page=page)
            self._script.add(_NOT_RECORDED, None, used=True)

    def clear_faults(self) -> None:
        """Remove the scripted faults that have not been used."""
        with self._state:
            self._script.clear()

    def between_pages(self, callback: _Callback) -> _Callback:
        """Call `callback` after each page that was sent in full, before the response to any other request.

        This lets a test change the list between two pages. It can be used as a decorator. Several callbacks are called
        in the order of their registration. A callback's error is raised on leaving the fake; the client never sees it.

        Args:
            callback: A function, plain or async. If it can't be called without an argument, it is called with the
                `RecordedRequest` of the page. It runs in the server's event loop, which is in another thread after
                `with`, and must not wait for a response of the same fake.

        Returns:
            The same callback.

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

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        await self._server.close()
        self._report(error)

    def __enter__(self) -> Self:
        self._enter()
        self._thread.start()
        self._thread.call(self._start())
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._thread.call(self._server.close(), last=True)
        self._report(error)

    def _enter(self) -> None:
        if self._entered:
            raise RuntimeError("A FakeZillizCloud can be entered once. Create another one.")
        self._entered = True

    async def _start(self) -> None:
        self._url = f"http://{HOST}:{await self._server.start()}"

    def _report(self, error: BaseException | None) -> None:
        with self._state:
            unused = ", ".join(self._script.unused)
        failure = self._callbacks.error or self._server.error
        if failure is not None and error is not None and not isinstance(error, Exception):
            error.add_note(f"The fake cloud, or a callback between pages, failed: {failure!r}")
            failure = None
        if unused and failure is None and error is None:
            failure = AssertionError(f"Scripted faults that were not used: {unused}.")
        elif unused and (told := failure or error):
            told.add_note(f"Scripted faults that were not used: {unused}.")
        if failure is not None:
            raise failure

    async def _respond(self, request: Request, connection: Connection) -> None:
        monotonic = time.monotonic()
        with self._state:
            asked = self._service.examine(request, monotonic, self._listing.regions)
            entry = log_entry(request, connection.number, monotonic)
            self._log.append(entry)
            if isinstance(asked, Asked):
                entry.note(page=asked.page, page_size=asked.size)
        async with self._turn:
            with self._state:
                page = asked if isinstance(asked, Asked) else None
                fault = self._script.take(asked_page(request), page, bearer(request))
                entry.note(fault=fault)
        if pause := self._service.latency + (fault.seconds if fault else 0.0):
            await asyncio.sleep(pause)
        async with self._turn:
            if not connection.is_open:
                return
            if fault and fault.kind == "reset":
                connection.reset()
                return
            answer = self._answer(asked, fault)
            with self._state:
                recorded = entry.note(status=answer.status)
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
        shuffled = self._service.order == "shuffled"
        shuffle = Random(f"{self._seed}/{self._cuts}") if shuffled else None  # noqa: S311  # not a secret
        size = self._service.used_size(asked)
        with self._state:
            cut = self._listing.cut(asked.page, size, region=asked.region, shuffle=shuffle)
        self._last_page = self._service.answer(asked, cut)
        return self._last_page

    def _first_records(self, clusters: int | Iterable[Mapping[str, Any] | SupportsToDict]) -> list[Record]:
        if isinstance(clusters, int):
            check_whole("clusters", clusters, 0)
            return [self._sample() for _ in range(clusters)]
        return [wire_record(cluster) for cluster in clusters]

    def _sample(self) -> Record:
        self._samples += 1
        return sample_cluster(self._samples - 1, self._seed)
