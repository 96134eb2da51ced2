"""Reads response bodies up to a size limit: a few kilobytes of gzip can become gigabytes.

httpx decompresses everything that has arrived at once, in encodings that were not asked for too. Here a body is
decompressed piece by piece, from gzip only, and the limit is on decompressed bytes.
"""

import zlib
from collections.abc import AsyncIterator

import httpx

_GZIP = 16 + zlib.MAX_WBITS
_PLAIN = {"", "identity"}
_PACKED = {"gzip", "x-gzip"}


class TooLarge(httpx.DecodingError):
    """A body exceeds the limit."""


class Unpacking:
    """Decompresses one body.

    Args:
        headers: of the response; they name the encoding.
        most: maximum size in bytes.

    Raises:
        httpx.DecodingError: the encoding is not gzip.
    """

    def __init__(self, headers: httpx.Headers, most: int) -> None:
        packing = headers.get("content-encoding", "").strip().lower()
        if packing not in _PLAIN | _PACKED:
            raise httpx.DecodingError("its content encoding is not gzip")
        self._gzip = zlib.decompressobj(_GZIP) if packing in _PACKED else None
        self._most = most
        self._left = most

    def feed(self, part: bytes) -> bytes:
        """Decompress this part. Raises TooLarge, or httpx.DecodingError if it is not gzip."""
        whole = part
        if self._gzip:
            try:
                whole = self._gzip.decompress(part, self._left + 1)
            except zlib.error as error:
                raise httpx.DecodingError("its content encoding is gzip, but the body is not valid gzip") from error
        self._left -= max(len(part), len(whole))  # some gzip decompresses to nothing, for ever
        if self._left < 0:
            raise TooLarge(f"it has more than {self._most} bytes")
        return whole

    def begin_anew(self) -> None:
        """Restart the count: in an endless stream, each piece is limited."""
        self._left = self._most


async def parts(response: httpx.Response, most: int) -> AsyncIterator[bytes]:
    """The body of a streamed response, as it arrives. Raises like `Unpacking`, and httpx errors."""
    unpacking = Unpacking(response.headers, most)
    async for part in response.aiter_raw():
        yield unpacking.feed(part)


async def body(response: httpx.Response, most: int) -> bytes:
    """The whole body of a streamed response. Raises like `parts`."""
    return b"".join([part async for part in parts(response, most)])
