"""What nginx says itself, in HTML: each a typed error, tried again where that is promised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aiozilliz import APIError, RateLimitError, ResponseError, RetryPolicy, ServerError, TransportError
from aiozilliz.testing import FakeZillizCloud
from tests.support.listing_server import QUICK, quick_client, read
from tests.support.wire_server import OK, Exchange, WireServer

if TYPE_CHECKING:
    from aiozilliz import ZillizError
    from tests.middleboxes.conftest import StartNginx

KEY = "key0123456789abcdefghij"


async def refusal(url: str, key: str = KEY, **options: Any) -> ZillizError:
    """Ask for a page, at most twice, and give the error that comes of it."""
    async with quick_client(url, key, **options) as client:
        with pytest.raises((APIError, ResponseError, TransportError)) as raised:
            await client.list_clusters()
    assert key not in repr(raised.value)
    return raised.value


def assert_refused(error: ZillizError, kind: type[APIError], status: int, attempts: int) -> None:
    assert type(error) is kind
    assert isinstance(error, APIError)
    assert (error.status, error.code, error.attempts) == (status, None, attempts)
    assert error.retryable == (attempts == QUICK.attempts)
    assert str(error).startswith(f"No message, but an HTML page (HTTP {status}). [GET http://127.0.0.1:")
    assert error.advice in str(error)


async def test_a_dead_upstream_is_a_server_error(nginx: StartNginx) -> None:
    async with WireServer() as server:
        pass
    box = nginx(f"location / {{ proxy_pass {server.url}; }}")
    assert_refused(await refusal(box.url), ServerError, 502, 2)


async def test_an_upstream_that_fails_once_is_asked_again(nginx: StartNginx) -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.number == 1:
            exchange.reset()
        else:
            await exchange.send(OK)

    async with WireServer(script) as server:
        box = nginx(f"location / {{ proxy_pass {server.url}; }}")
        async with quick_client(box.url) as client:
            assert len((await client.list_clusters()).clusters) == 1
        assert len(server.requests) == 2


async def test_an_upstream_that_does_not_answer_in_time_is_a_server_error(nginx: StartNginx) -> None:
    async with WireServer(lambda exchange: exchange.silence()) as server:
        box = nginx(f"location / {{ proxy_pass {server.url}; proxy_read_timeout 50ms; }}")
        assert_refused(await refusal(box.url), ServerError, 504, 2)
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("status", "kind", "attempts"),
    [
        (400, APIError, 1),
        (404, APIError, 1),
        (405, APIError, 1),
        (413, APIError, 1),
        (414, APIError, 1),
        (429, RateLimitError, 2),
        (500, ServerError, 2),
        (501, ServerError, 1),
        (503, ServerError, 2),
        (507, ServerError, 1),
    ],
)
async def test_its_pages_never_hide_the_status(
    status: int, kind: type[APIError], attempts: int, nginx: StartNginx
) -> None:
    box = nginx(f"return {status};")
    assert_refused(await refusal(box.url), kind, status, attempts)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_box_that_lets_nobody_in_refuses_the_key(status: int, nginx: StartNginx) -> None:
    box = nginx(f"return {status};")
    error = await refusal(box.url)
    assert type(error).__name__ == "AuthenticationError"
    assert "No message, but an HTML page" in str(error)
    assert error.attempts == 1


async def test_a_key_that_is_too_long_for_the_box_is_not_told(nginx: StartNginx) -> None:
    async with WireServer() as server:
        box = nginx(
            f"client_header_buffer_size 1k; large_client_header_buffers 2 1k; location / {{ proxy_pass {server.url}; }}"
        )
        error = await refusal(box.url, KEY * 200)
        assert_refused(error, APIError, 400, 1)
        assert KEY not in repr(error)
        assert server.connections == 0


async def test_a_wrong_prefix_is_named(nginx: StartNginx) -> None:
    async with FakeZillizCloud(1) as cloud:
        box = nginx(f"location /zilliz/ {{ proxy_pass {cloud.url}/; }}")
        error = await refusal(f"{box.url}/ziliz")
        assert_refused(error, APIError, 404, 1)
        assert "Check base_url and its path prefix" in str(error)
        assert cloud.requests == []


async def test_a_redirect_to_tls_is_not_followed(nginx: StartNginx) -> None:
    box = nginx("return 301 https://service.example$request_uri;")
    error = await refusal(box.url)
    assert type(error) is ResponseError
    assert "redirect (HTTP 301) to https://service.example/v2/clusters" in str(error)
    assert error.attempts == 1


async def test_a_page_for_people_under_200_is_tried_again(nginx: StartNginx) -> None:
    box = nginx("default_type text/html; return 200 '<html><h1>Maintenance</h1></html>';")
    error = await refusal(box.url)
    assert type(error) is ResponseError
    assert error.retryable
    assert error.attempts == 2
    assert "proxy or load balancer" in str(error)


@pytest.mark.parametrize("status", [408, 444])
async def test_a_connection_that_the_box_closes_without_a_word_is_tried_again(
    status: int, nginx: StartNginx
) -> None:
    box = nginx(f"return {status};")
    error = await refusal(box.url)
    assert isinstance(error, TransportError)
    assert error.lost_connection
    assert error.attempts == 2


# A rate limit of the box's

ONE_A_MINUTE = "limit_req_zone $binary_remote_addr zone=each:1m rate=1r/m;"
FIFTY_A_SECOND = "limit_req_zone $binary_remote_addr zone=each:1m rate=50r/s;"


@pytest.mark.parametrize(("status", "kind"), [(503, ServerError), (429, RateLimitError)])
async def test_a_rate_limit_of_the_box_is_told(status: int, kind: type[APIError], nginx: StartNginx) -> None:
    async with FakeZillizCloud(1) as cloud:
        box = nginx(
            f"limit_req zone=each; limit_req_status {status}; location / {{ proxy_pass {cloud.url}; }}",
            http=ONE_A_MINUTE,
        )
        async with quick_client(box.url) as client:
            await client.list_clusters()
        assert_refused(await refusal(box.url), kind, status, 2)
        assert len(cloud.requests) == 1


@pytest.mark.parametrize("status", [503, 429])
async def test_a_walk_outlives_a_rate_limit_of_the_box(status: int, nginx: StartNginx) -> None:
    patient = RetryPolicy(attempts=1000, wait_initial=0.02, wait_max=0.02, wait_jitter=0.0)
    async with FakeZillizCloud(100) as cloud:
        box = nginx(
            f"limit_req zone=each; limit_req_status {status}; location / {{ proxy_pass {cloud.url}; }}",
            http=FIFTY_A_SECOND,
        )
        async with quick_client(box.url, retry=patient) as client:
            ids, end = await read(client.iter_clusters(page_size=10, concurrency=4))
            assert end is None
            assert ids == [cluster["clusterId"] for cluster in cloud.clusters]
        assert sorted(request.page or 0 for request in cloud.requests) == list(range(1, 11))


async def test_a_pause_that_the_box_asks_for_is_heeded(nginx: StartNginx) -> None:
    async with FakeZillizCloud(1) as cloud:
        box = nginx(
            f"""limit_req zone=each; limit_req_status 429; error_page 429 @later;
            location @later {{ add_header Retry-After 100 always; return 429; }}
            location / {{ proxy_pass {cloud.url}; }}""",
            http=ONE_A_MINUTE,
        )
        async with quick_client(box.url) as client:
            await client.list_clusters()
        error = await refusal(box.url)
        assert isinstance(error, RateLimitError)
        assert error.retry_after == 100
        assert error.attempts == 1  # the deadline does not allow the wait
