"""TLS with certificates of a real authority: what does not verify is named and tried once, and never gets the key."""

from __future__ import annotations

import shutil
import ssl
import traceback
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from aiozilliz import APIError, RetryPolicy, TransportError, ZillizError
from aiozilliz.testing import FakeZillizCloud
from tests.middleboxes.certificates import Authority
from tests.middleboxes.relay import Relay
from tests.support.listing_server import quick_client, read
from tests.support.wire_server import WireServer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from tests.middleboxes.certificates import Files
    from tests.middleboxes.conftest import StartNginx

KEY = "key0123456789abcdefghij"


def trusting(context: ssl.SSLContext) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))


async def failure(url: str, session: aiohttp.ClientSession | None = None) -> ZillizError:
    """Begin a walk, with two attempts for a page, and give the error that comes of it."""
    async with quick_client(url, KEY, session=session) as client:
        clusters = client.iter_clusters(concurrency=3)
        with pytest.raises(ZillizError) as raised:
            await anext(clusters)
        with pytest.raises(ZillizError) as again:
            await anext(clusters)
    assert again.value is raised.value
    text = "".join(traceback.format_exception(raised.value))
    assert KEY not in text
    assert raised.value.advice
    assert raised.value.advice in text
    return raised.value


# Certificates that do not verify

FAULTS: dict[str, tuple[Callable[[Authority], Files], str]] = {
    "wrong host": (lambda authority: authority.issue("service.example"), r"IP address mismatch"),
    "expired": (
        lambda authority: authority.issue("127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC)),
        r"certificate has expired",
    ),
    "not yet valid": (
        lambda authority: authority.issue(
            "127.0.0.1",
            not_before=datetime(2130, 1, 1, tzinfo=UTC),
            not_after=datetime(2140, 1, 1, tzinfo=UTC),
        ),
        r"certificate is not yet valid",
    ),
    "no intermediate": (
        lambda authority: authority.issue_without_chain("127.0.0.1"),
        r"unable to get local issuer certificate",
    ),
}


@asynccontextmanager
async def watched(server: WireServer) -> AsyncGenerator[str, None]:
    """Give the URL of a service, and show in the end that it was connected to once and got no request."""
    async with server, Relay(server.port) as relay:
        yield relay.url.replace("http:", "https:")
        assert len(relay.said) == 1
        assert server.requests == []


def assert_refused(error: ZillizError, says: str) -> None:
    assert isinstance(error, TransportError)
    assert error.message.startswith("The server certificate does not verify: ")
    assert says in error.message.replace(
        "self signed", "self-signed"
    )  # the words of OpenSSL before version 3
    assert "the machine's certificate authorities" in error.advice
    assert "session=" in error.advice
    assert not error.retryable
    assert error.attempts == 1
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_certificate_with_a_fault_is_named_and_tried_once(fault: str, authority: Authority) -> None:
    make, says = FAULTS[fault]
    async with (
        watched(WireServer(tls=make(authority).serve())) as url,
        trusting(authority.trusting()) as session,
    ):
        assert_refused(await failure(url, session), says)


@pytest.mark.parametrize("borrowed", [False, True])
async def test_an_unknown_issuer_is_named_and_tried_once(
    borrowed: bool, authority: Authority, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    async with (
        watched(WireServer(tls=authority.issue("127.0.0.1").serve())) as url,
        trusting(Authority(other).trusting()) as session,
    ):
        error = await failure(url, session if borrowed else None)
        assert_refused(error, "unable to get local issuer certificate")


@pytest.mark.parametrize("borrowed", [False, True])
async def test_a_self_signed_certificate_is_named_and_tried_once(
    borrowed: bool, authority: Authority, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    async with (
        watched(WireServer(tls=Authority(other).self_signed().serve())) as url,
        trusting(authority.trusting()) as session,
    ):
        error = await failure(url, session if borrowed else None)
        assert_refused(error, "self-signed certificate")


async def test_a_fingerprint_that_does_not_match_is_named_and_tried_once(authority: Authority) -> None:
    connector = aiohttp.TCPConnector(ssl=aiohttp.Fingerprint(b"x" * 32))
    async with (
        watched(WireServer(tls=authority.issue("127.0.0.1").serve())) as url,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        error = await failure(url, session)
        assert "does not match the expected fingerprint" in str(error)
        assert error.attempts == 1


# Two sides that do not speak the same


async def test_tls_spoken_to_a_port_without_it_is_named(nginx: StartNginx) -> None:
    box = nginx("return 404;")
    error = await failure(box.url.replace("http:", "https:"))
    assert isinstance(error, TransportError)
    assert error.message == "The TLS handshake failed: WRONG_VERSION_NUMBER"
    assert "Check base_url" in error.advice
    assert error.attempts == 2


async def test_a_box_that_is_spoken_to_without_tls_says_so(nginx: StartNginx, authority: Authority) -> None:
    box = nginx(f"{certificate(authority.issue('127.0.0.1'))} return 404;", tls=True)
    error = await failure(box.url.replace("https:", "http:"))
    assert type(error) is APIError
    assert error.status == 400
    assert error.attempts == 1


async def test_a_service_that_is_spoken_to_without_tls_hangs_up(authority: Authority) -> None:
    async with WireServer(tls=authority.issue("127.0.0.1").serve()) as server:
        error = await failure(server.url.replace("https:", "http:"))
        assert isinstance(error, TransportError)
        assert error.lost_connection
        assert error.attempts == 2
        assert server.requests == []


async def test_versions_that_do_not_meet_are_named(nginx: StartNginx, authority: Authority) -> None:
    box = nginx(f"{certificate(authority.issue('127.0.0.1'))} ssl_protocols TLSv1.2; return 404;", tls=True)
    context = authority.trusting()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    async with trusting(context) as session:
        error = await failure(box.url, session)
    assert isinstance(error, TransportError)
    assert error.message.startswith("The TLS handshake failed: ")
    assert "PROTOCOL_VERSION" in error.message
    assert error.attempts == 2


async def test_a_handshake_that_is_cut_is_tried_again() -> None:
    async with WireServer() as server:
        pass
    async with Relay(server.port) as relay:  # to nobody: it hangs up
        error = await failure(relay.url.replace("http:", "https:"))
        assert isinstance(error, TransportError)
        assert error.message == "The connection failed: Connection reset by peer"
        assert error.attempts == len(relay.said) == 2


# TLS that ends at a box


def certificate(files: Files) -> str:
    return f'ssl_certificate "{files.certificate}"; ssl_certificate_key "{files.key}";'


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
async def test_a_walk_through_tls_that_ends_at_a_box(
    version: str, nginx: StartNginx, authority: Authority
) -> None:
    async with FakeZillizCloud(250, api_key=KEY) as cloud:
        box = nginx(
            f"""{certificate(authority.issue("127.0.0.1"))} ssl_protocols {version}; keepalive_requests 3;
            location / {{ proxy_pass {cloud.url}; }}""",
            tls=True,
        )
        async with (
            trusting(authority.trusting()) as session,
            quick_client(box.url, KEY, session=session, retry=RetryPolicy(attempts=1)) as client,
        ):
            ids, end = await read(client.iter_clusters(page_size=10, concurrency=3))
        assert end is None
        assert ids == [cluster["clusterId"] for cluster in cloud.clusters]
        assert sorted(request.page or 0 for request in cloud.requests) == list(range(1, 26))


async def test_a_walk_outlives_a_new_certificate_of_the_box(nginx: StartNginx, authority: Authority) -> None:
    async with FakeZillizCloud(250, api_key=KEY) as cloud:
        old, new = authority.issue("127.0.0.1"), authority.issue("127.0.0.1")
        box = nginx(f"{certificate(old)} location / {{ proxy_pass {cloud.url}; }}", tls=True)

        @cloud.between_pages
        def renew(request: Any) -> None:
            if request.page == 8:
                shutil.copy(new.certificate, old.certificate)
                shutil.copy(new.key, old.key)
                box.reload()

        async with (
            trusting(authority.trusting()) as session,
            quick_client(box.url, KEY, session=session, retry=RetryPolicy(wait_initial=0.0)) as client,
        ):
            ids, end = await read(client.iter_clusters(page_size=10, concurrency=3))
        assert end is None
        assert ids == [cluster["clusterId"] for cluster in cloud.clusters]
        assert {request.headers["X-Worker"] for request in cloud.requests} >= {str(box.worker)}


async def test_a_box_that_wants_a_certificate_of_the_client_gets_the_lenders(
    nginx: StartNginx, authority: Authority
) -> None:
    async with FakeZillizCloud(3, api_key=KEY) as cloud:
        box = nginx(
            f"""{certificate(authority.issue("127.0.0.1"))}
            ssl_client_certificate "{authority.file}"; ssl_verify_client on;
            location / {{ proxy_pass {cloud.url}; }}""",
            tls=True,
        )
        async with trusting(authority.trusting()) as session:
            error = await failure(box.url, session)
            assert type(error) is APIError
            assert error.status == 400
            assert cloud.requests == []
        context = authority.trusting()
        own = authority.issue("client@example.org")
        context.load_cert_chain(own.certificate, own.key)
        async with trusting(context) as session, quick_client(box.url, KEY, session=session) as client:
            assert len((await client.list_clusters()).clusters) == 3
