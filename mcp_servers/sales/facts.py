"""Placeholder."""

from duckdb import DuckDBPyConnection

from mcp_servers.sales.settings import DataSettings


def prepare(connection: DuckDBPyConnection, settings: DataSettings) -> None:
    """Nothing yet."""
