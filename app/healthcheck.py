"""`python -m app.healthcheck [URL]`: whether the program of a container can do its work.

What serves is asked at URL: `/healthz`, or `/readyz` for an MCP server, which also has its data loaded. A worker
listens on nothing, so without a URL its Redis is asked; a worker that hangs loses its lease, and another goes on with
its job. Exits with 0 or, after one line on stderr, with 1, as Docker wants it.
"""

import http.client
import sys
from urllib.parse import urlsplit

TIMEOUT_S = 3.0


def main() -> None:
    """Check the URL that is given, or Redis."""
    try:
        if sys.argv[1:]:
            _answers(sys.argv[1])
        else:
            _reaches_redis()
    except Exception as error:
        print(f"unhealthy: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(1) from error


def _answers(url: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_S)  # never through a proxy
    try:
        connection.request("GET", urlsplit(url).path)
        if (status := connection.getresponse().status) != http.client.OK:
            raise ConnectionError(f"{url} answers {status}")
    finally:
        connection.close()


def _reaches_redis() -> None:
    from redis import Redis  # noqa: PLC0415  heavy, and only workers need it

    from app.config import settings as configuration  # noqa: PLC0415

    if url := configuration.load().redis_url:
        with Redis.from_url(
            url.get_secret_value(), socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        ) as client:
            client.ping()


if __name__ == "__main__":
    main()
