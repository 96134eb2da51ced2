"""Where the API listens."""

import socket

from app.errors import BadInput
from safe_http.serving import WAITING_AT_THE_DOOR


def bound(host: str, port: int, options: str) -> socket.socket:
    """A listening socket; early connections wait in its backlog. Raises BadInput, which names these options."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=WAITING_AT_THE_DOOR)
    except (OSError, OverflowError, UnicodeError) as error:
        raise BadInput(f"{host} port {port} cannot be listened on ({error}); choose another with {options}") from error


def url_of(host: str, port: int) -> str:
    """The URL of this address."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def url_here(listener: socket.socket) -> str:
    """The URL at which this machine reaches it."""
    host, port = listener.getsockname()[:2]
    return url_of({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)  # noqa: S104
