"""`python -m mcp_servers.analytics`."""

from mcp_servers.analytics.server import build
from mcp_servers.base import serving


def main() -> None:
    """Read the options and serve."""
    options = serving.parser("mcp_servers.analytics", "Computes on series of numbers.").parse_args()
    serving.run(lambda _: build(), options)


if __name__ == "__main__":
    main()
