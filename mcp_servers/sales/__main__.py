"""`python -m mcp_servers.sales`: serve the sales data over HTTP or stdio."""

import argparse
import os
from pathlib import Path

from mcp_servers.base import serving
from mcp_servers.base.server import Server
from mcp_servers.sales.sandbox import TIME_LIMIT_S
from mcp_servers.sales.server import QUERIES_AT_ONCE, build

SCHEMES = ("postgresql://", "postgres://")


def main() -> None:
    """Read the options and serve until told to stop."""
    options = serving.parser("mcp_servers.sales", "The company's own sales, as an MCP server.")
    source = options.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", help="CSV, Parquet, SQLite, DuckDB, an SQL script, or a Postgres URL")
    source.add_argument(
        "--data-variable", metavar="NAME", help="environment variable that holds it, hidden from other users"
    )
    options.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help="what their owner says of the data (default: beside them, as orders.toml or data.toml)",
    )
    options.add_argument(
        "--data-dir", type=Path, default=Path(".data"), help="folder for databases (default: %(default)s)"
    )
    options.add_argument(
        "--refresh-s",
        type=float,
        help="seconds between checks for changes of the data (default: 2, for Postgres 60)",
    )
    options.add_argument(
        "--time-limit-s", type=float, default=TIME_LIMIT_S, help="seconds a query may take (default: %(default)s)"
    )
    options.add_argument(
        "--queries-at-once",
        type=serving.positive(int),
        default=QUERIES_AT_ONCE,
        help="queries that run at once, in 512 MB each; one caller gets one less (default: %(default)s)",
    )
    serving.run(_build, options.parse_args())


def _build(given: argparse.Namespace) -> Server:
    return build(
        _data(given),
        given.data_dir,
        given.settings,
        refresh_s=given.refresh_s,
        time_limit_s=given.time_limit_s,
        queries=given.queries_at_once,
    )


def _data(given: argparse.Namespace) -> Path | str:
    """The path or URL of the data. Raises StartupError."""
    if given.data_variable:
        if not (named := os.environ.get(given.data_variable)):
            raise serving.StartupError(f"--data-variable names {given.data_variable}, which is not set")
        return named if named.startswith(SCHEMES) else Path(named)
    if not given.data.startswith(SCHEMES):
        return Path(given.data)
    from mcp_servers.sales.postgres import has_password  # noqa: PLC0415

    if has_password(given.data):
        raise serving.StartupError(
            "all users of this machine can read a password in --data; put the URL into an environment variable and "
            "pass its name as --data-variable"
        )
    return str(given.data)


if __name__ == "__main__":
    main()
