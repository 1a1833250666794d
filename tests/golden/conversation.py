"""What a conversation is: services, and what is called on a client or an inventory of them. Plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.golden.services import Service


@frozen
class Iterate:
    """`iter_clusters`. `take` breaks off after so many records; `whole` records each with all its fields."""

    page_size: int = 2
    concurrency: int = 1
    verify: bool = False
    max_passes: int = 5
    take: int | None = None
    whole: bool = False


@frozen
class Pages:
    """`iter_pages`."""

    page_size: int = 2
    start_page: int = 1


@frozen
class OnePage:
    """`list_clusters`."""

    current_page: int = 1
    page_size: int = 2


@frozen
class Snapshots:
    """`snapshot`, so many times, each compared with the one before."""

    page_size: int = 2
    concurrency: int = 1
    max_passes: int = 5
    number: int = 1


@frozen
class Watch:
    """`watch_clusters`. It is closed after so many events; None reads to its end.

    With `since`, a snapshot is taken first and is what is known.
    """

    events: int | None = None
    confirmations: int = 2
    since: bool = False


@frozen
class IterateAll:
    """`Inventory.iter_clusters`."""

    page_size: int = 2
    verify: bool = False
    max_passes: int = 5


@frozen
class Collect:
    """`Inventory.collect`, so many times, each compared with the one before."""

    page_size: int = 2
    max_passes: int = 5
    number: int = 1


@frozen
class WatchAll:
    """`Inventory.watch_clusters`, to its end. With `since`, a report is collected first and is what is known."""

    confirmations: int = 2
    since: bool = False


ClientCall: TypeAlias = Iterate | Pages | OnePage | Snapshots | Watch
InventoryCall: TypeAlias = IterateAll | Collect | WatchAll


@frozen
class Conversation:
    """A call on a client of one service.

    Attributes:
        name: What the outcome is recorded under.
        service: What the server answers.
        call: What is called.
        waves: Requests that the server answers together; see `Server`.
        keys: More than one come from a callable, one after another; the last one again and again.
        async_key: Whether the callable is async.
        attempts: Of the retry policy; it never waits.
        read_timeout: Seconds without a byte; None leaves the client's own bound.
        max_response_bytes: None leaves the client's own bound.
        prefix: Path below which the service is.
        lent: Whether the session is borrowed, and has headers of its own.
        headers: Lower-case names of the request headers to record, of each request.
    """

    name: str
    service: Service
    call: ClientCall = field(factory=Iterate)
    waves: tuple[int, ...] = ()
    keys: tuple[str, ...] = ("key-1",)
    async_key: bool = False
    attempts: int = 3
    read_timeout: float | None = None
    max_response_bytes: int | None = None
    prefix: str = ""
    lent: bool = False
    headers: tuple[str, ...] = ()


@frozen
class InventoryConversation:
    """A call on an inventory: account name to its service. Requests are recorded by account, sorted."""

    name: str
    accounts: Mapping[str, Service]
    call: InventoryCall = field(factory=IterateAll)
    concurrency: int = 16
    attempts: int = 2


AnyConversation: TypeAlias = Conversation | InventoryConversation
