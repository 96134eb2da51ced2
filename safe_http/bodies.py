"""Bodies of answers, read no further than to so many bytes: a few kilobytes of gzip can become gigabytes.

httpx unpacks what has arrived at one go, whatever comes of it, and unpacks what it was not asked for. Here a body is
unpacked piece by piece, from gzip only, and what is counted is what comes of it.
"""

import zlib
from collections.abc import AsyncIterator

import httpx

_GZIP = 16 + zlib.MAX_WBITS
_PLAIN = {"", "identity"}
_PACKED = {"gzip", "x-gzip"}


class TooLarge(httpx.DecodingError):
    """A body has more bytes than are read."""


class Unpacking:
    """Unpacks one body.

    Args:
        headers: of the answer; they say how it is packed.
        most: bytes that it may have.

    Raises:
        httpx.DecodingError: it is packed in another way than gzip.
    """

    def __init__(self, headers: httpx.Headers, most: int) -> None:
        packing = headers.get("content-encoding", "").strip().lower()
        if packing not in _PLAIN | _PACKED:
            raise httpx.DecodingError("it is packed in another way than gzip, which is not read")
        self._gzip = zlib.decompressobj(_GZIP) if packing in _PACKED else None
        self._most = most
        self._left = most

    def feed(self, part: bytes) -> bytes:
        """What this part unpacks to. Raises TooLarge; httpx.DecodingError for what is no gzip."""
        whole = part
        if self._gzip:
            try:
                whole = self._gzip.decompress(part, self._left + 1)
            except zlib.error as error:
                raise httpx.DecodingError("it says that it is packed with gzip, and is not or is damaged") from error
        self._left -= max(len(part), len(whole))  # there is gzip that unpacks to nothing, and goes on for ever
        if self._left < 0:
            raise TooLarge(f"it has more than {self._most} bytes")
        return whole

    def begin_anew(self) -> None:
        """Count from here on: of a stream without end, each piece is bounded."""
        self._left = self._most


async def parts(response: httpx.Response, most: int) -> AsyncIterator[bytes]:
    """The body of an answer whose body was not read yet, as it arrives. Raises as `Unpacking`, and what httpx does."""
    unpacking = Unpacking(response.headers, most)
    async for part in response.aiter_raw():
        yield unpacking.feed(part)


async def body(response: httpx.Response, most: int) -> bytes:
    """The same, whole."""
    return b"".join([part async for part in parts(response, most)])
