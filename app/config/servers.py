"""Our own MCP servers: one entry each, from which settings, commands, health check and tests follow."""

from dataclasses import dataclass
from pathlib import Path

import sample
from app.errors import BadInput


@dataclass(frozen=True)
class Option:
    """An option of a server's program, and the setting with its value.

    Attributes:
        name: `--data`.
        setting: a field or property of `Settings`. If it is unset or false, the option is left out.
        secret: whether the value may contain a password. All users of the machine can read arguments, so the program
            gets the name of an environment variable instead, in `--data-variable`.
        default: the value if the setting is unset.
    """

    name: str
    setting: str
    secret: bool = False
    default: Path | None = None


@dataclass(frozen=True)
class OwnServer:
    """An MCP server that is started with the rest, unless `MCP__<NAME>__URL` says that it runs elsewhere.

    Attributes:
        name: its package is `mcp_servers.<name>`, and agents call its tools `<name>.<tool>`.
        port: default port.
        options: of its program.
        environment: settings that it reads from its environment under their usual names; it gets no other secrets.
        turned_on_by: it runs if one of these settings is set; empty: always.
    """

    name: str
    port: int
    options: tuple[Option, ...] = ()
    environment: tuple[str, ...] = ()
    turned_on_by: tuple[str, ...] = ()


_WEB_SEARCH = ("tavily_api_key", "brave_api_key", "searxng_url")

SERVERS = (
    OwnServer(
        "knowledge_base",
        7801,
        (
            Option("--data", "knowledge_base_data", default=sample.DOCUMENTS),
            Option("--data-dir", "data_dir"),
            Option("--embedding-model", "embedding_model"),
            Option("--embeddings-url", "embeddings_url", secret=True),
        ),
        environment=("embeddings_key",),
    ),
    OwnServer(
        "sales",
        7802,
        (
            Option("--data", "sales_data", secret=True, default=sample.SALES),
            Option("--settings", "sales_settings"),
            Option("--data-dir", "data_dir"),
            Option("--refresh-s", "sales_refresh_s"),
        ),
    ),
    OwnServer("analytics", 7803),
    OwnServer(
        "web",
        7804,
        (Option("--search-url", "web_search_url", secret=True), Option("--allow-private", "web_allow_private")),
        environment=_WEB_SEARCH,
        turned_on_by=_WEB_SEARCH,
    ),
)
NAMES = tuple(server.name for server in SERVERS)
WITHOUT_OPTIONAL = {setting: None for server in SERVERS for setting in server.turned_on_by}


def own_server(name: str) -> OwnServer:
    """The server of this name. Raises BadInput."""
    for server in SERVERS:
        if server.name == name:
            return server
    raise BadInput(f"{name} is not an MCP server of this project; there are: {', '.join(NAMES)}")
