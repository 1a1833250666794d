"""The body of a response: read once and within its bound, also if tracing hooks or agents read it too."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, cast

import aiohttp
from aiohttp import hdrs


class BodyTooLargeError(aiohttp.ClientPayloadError):
    """A tracing hook has asked for a body that is larger than the bound."""


def share_body(response: aiohttp.ClientResponse, bound: int) -> None:
    """Let others read the body before `read_body` does, within its bound: `await response.text()`, say.

    Args:
        response: The response; nothing of its body has been read.
        bound: Of the body, in bytes as decompressed. What is asked for beyond raises `BodyTooLargeError`.
    """
    response.content = cast("aiohttp.StreamReader", _SharedContent(response, bound))


async def read_body(response: aiohttp.ClientResponse, bound: int) -> bytes | None:
    """Return the body as decompressed, or None if it is larger than the bound; it is then not read to its end.

    Raises:
        Exception: Anything of aiohttp's.
    """
    if isinstance(response.content, _SharedContent):
        # So tracing hears of it (`on_response_chunk_received`). `text` and not `read`, which refuses a body that a hook
        # has read and released.
        with suppress(BodyTooLargeError):
            return (await response.text("latin-1")).encode("latin-1")
        return None
    try:
        body = await _read_bounded(response, response.content, bound)
    except aiohttp.ClientConnectionError:  # it was released
        body = b""
    if body != b"":
        return body
    # It is empty, or an agent that wraps aiohttp has read it: the response has kept it then, also if it was released.
    body = (await response.text("latin-1")).encode("latin-1")
    return body if len(body) <= bound else None


async def _read_bounded(
    response: aiohttp.ClientResponse, content: aiohttp.StreamReader, bound: int
) -> bytes | None:
    """Return the body; or None if it is larger than the bound, once so much has come or has been announced."""
    announced = response.content_length
    if announced is not None and hdrs.CONTENT_ENCODING not in response.headers:
        if announced <= bound:
            # A small page has mostly come whole, together with its headers.
            return content.read_nowait() if content.is_eof() else await content.read()
        response.close()
        return None
    # Compressed, or of unknown length: count what arrives, so that a small body can't become a huge one.
    chunks: list[bytes] = []
    size = 0
    async for chunk in content.iter_any():
        size += len(chunk)
        if size > bound:
            response.close()
            return None
        chunks.append(chunk)
    return b"".join(chunks)


class _SharedContent:
    """Stands for the content of a response whose body tracing hooks may read, and keeps its bound for them too.

    Args:
        response: The response.
        bound: Bytes, as decompressed.
    """

    def __init__(self, response: aiohttp.ClientResponse, bound: int) -> None:
        self._response = response
        self._content = response.content
        self._bound = bound
        self._too_large = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def read(self, n: int = -1) -> bytes:
        """Read the whole body, as `response.read()` does, or `n` bytes."""
        if n >= 0:
            return await self._content.read(n)
        body = None if self._too_large else await _read_bounded(self._response, self._content, self._bound)
        if body is None:
            self._too_large = True
            raise BodyTooLargeError
        return body
