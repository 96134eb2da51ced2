"""WebSockets of a server whose connections are bounded (`safe_http.connections`)."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from safe_http.connections import Turn, counted_as

STALLED_S = 60.0


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket of a client that the application knows. It keeps its slot; pings find clients that are gone.

    For `Connections` it has what a `BoundedConnection` has.
    """

    turn = Turn.OURS
    since = float("inf")

    @property
    def address(self) -> str:
        """The client's address, as it is counted."""
        return counted_as(self.client[0]) if self.client else ""

    @property
    def closed(self) -> bool:
        """Whether nothing more will be sent."""
        return self.transport.is_closing()

    def look(self, now: float) -> None:
        """Close it if its client reads nothing for a minute."""
        self.since = now if self.writable.is_set() else min(now, self.since)
        if now - self.since > STALLED_S:
            self.transport.abort()

    def give_up(self) -> None:
        """Close it."""
        self.transport.abort()
