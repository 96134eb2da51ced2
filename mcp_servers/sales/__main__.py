"""`python -m mcp_servers.sales`: serve the sales data over HTTP or stdio."""

from pathlib import Path

from mcp_servers import serving
from mcp_servers.sales.server import build


def main() -> None:
    """Read the options and serve until told to stop."""
    options = serving.parser("mcp_servers.sales", "The company's own sales, as an MCP server.", 7802)
    options.add_argument("--data", type=Path, help="your own data instead of the sample: CSV, Parquet, SQLite, DuckDB")
    options.add_argument(
        "--data-dir", type=Path, default=Path(".data"), help="where databases go (default: %(default)s)"
    )
    serving.run(lambda given: build(given.data, given.data_dir), options.parse_args())


if __name__ == "__main__":
    main()
