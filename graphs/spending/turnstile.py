"""The turnstile in the models' HTTP client."""

import contextlib
from collections.abc import Callable, Iterator

import httpx2

from graphs.errors import Unaccounted


class Turnstile:
    """Admits one HTTP request per open reservation, and no other.

    It is part of the models' HTTP client, so that using the raw client, or making it retry, does not get past it.
    """

    HEADER = "x-tollgate-ticket"

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    @contextlib.contextmanager
    def opened(self, ticket: str, most_bytes: int) -> Iterator[Callable[[], bool]]:
        """Admit one request of at most `most_bytes` while the block runs; yields a function that says whether it was
        used."""
        self._open[ticket] = most_bytes
        try:
            yield lambda: ticket not in self._open
        finally:
            self._open.pop(ticket, None)

    async def admit(self, request: httpx2.Request) -> None:
        """An httpx request hook. Raises Unaccounted for a request without a ticket; the provider does not see it."""
        ticket = request.extensions[self.HEADER] = request.headers.pop(self.HEADER, "")
        most = self._open.pop(ticket, -1)
        if int(request.headers.get("content-length", 0)) > most:
            raise Unaccounted("a request to the provider bypassed the toll gate; call the governed model instead")
