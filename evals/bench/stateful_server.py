"""The analytics server as the SDK runs one by default: sessions that it knows, answers as event streams."""

import logging

from mcp_servers.analytics.server import build
from mcp_servers.base import serving


def main() -> None:
    """Read the options and serve."""
    options = serving.parser("evals.bench.stateful_server", "Computes on series of numbers.").parse_args()
    server = build()
    server.settings.stateless_http = False
    server.settings.json_response = False
    logging.disable(logging.ERROR)  # the SDK reports every session that ends as one
    serving.run(lambda _: server, options)


if __name__ == "__main__":
    main()
