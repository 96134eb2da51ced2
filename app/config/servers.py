"""The MCP servers of our own: one entry each. Settings, commands, health check and tests follow from this table."""

from dataclasses import dataclass
from pathlib import Path

import sample
from app.errors import BadInput


@dataclass(frozen=True)
class Option:
    """An option of a server's program, and the setting that it gets its value from.

    Attributes:
        name: `--data`.
        setting: a field or property of `Settings`. While it is unset or false, the option is left out.
        secret: whether the value may hold a password. Everybody on the machine can read arguments, so the program is
            told the name of a variable of its environment instead, by `--data-variable`.
        default: the value while the setting is unset.
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
        port: where it listens unless it is told otherwise.
        options: what its program is told.
        environment: settings that it reads from its environment under their usual names; of secrets these alone.
        turned_on_by: settings of which one has to be set for it to run; empty: it always runs.
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
            Option("--embeddings-url", "model_url", secret=True),
        ),
        environment=("openai_api_key",),
    ),
    OwnServer(
        "sales",
        7802,
        (
            Option("--data", "sales_data", secret=True, default=sample.SALES),
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
    raise BadInput(f"{name} is no MCP server of this project; there are: {', '.join(NAMES)}")
