"""Starts the programs that a job needs beside this one, keeps them running, and leaves none behind."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sample
from app.config.settings import Settings, child_environment, variable
from app.running.keeping import Program, Store
from app.running.servers import Server
from app.store.embedded_redis import embedded_redis


@dataclass(frozen=True)
class Addresses:
    """Where everything listens: the model provider or its stand-in, and every MCP server by name."""

    model: str
    servers: dict[str, str]
    children: tuple[Server, ...]


@contextlib.contextmanager
def redis_running(settings: Settings) -> Iterator[str]:
    """The address of the configured Redis, or of the embedded one, until the block ends. Raises RedisError."""
    if settings.redis_url:
        yield settings.redis_url.get_secret_value()
    else:
        with embedded_redis(settings.data_dir) as url:
            store = Store(settings.data_dir, url)
            store.keep()
            try:
                yield url
            finally:
                store.let_go()


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[Addresses]:
    """The stand-in model and the MCP servers that are not running elsewhere, until the block ends."""
    children: list[Server] = []

    def started(name: str, arguments: Sequence[str], embeddings_url: str | None = None) -> str:
        environment = mcp_environment(settings, name, embeddings_url)
        child = Server(name, arguments, environment, settings.data_dir)
        child.keep()
        children.append(child)
        return child.address

    with contextlib.ExitStack() as stack:
        stack.callback(end, children)
        model = settings.model_url or started("stand_in_model", _stand_in(settings)) + "/v1"
        elsewhere = {name: server.address for name, server in settings.mcp.items()}
        commands = mcp_commands(settings, model)
        missing = [name for name in settings.servers if name not in elsewhere]
        quiet = ["--log-level", "warning"]  # nothing keeps the files of logs small
        here = {name: started(name, [*commands[name], *quiet], model) + "/mcp" for name in missing}
        yield Addresses(model, elsewhere | here, tuple(children))


def end(programs: Sequence[Program]) -> None:
    """Let them end, all at the same time, and wait until they have."""
    for each in programs:
        each.told_to_end()
    for each in programs:
        each.ended()


@contextlib.contextmanager
def services(settings: Settings) -> Iterator[tuple[str, Addresses]]:
    """Redis and every program a job needs, started or found: the address of the one, and of the others."""
    with running(settings) as addresses, redis_running(settings) as redis_url:
        yield redis_url, addresses


def beside(settings: Settings, redis_url: str, addresses: Addresses) -> dict[str, str]:
    """The environment of a program that is to use what runs here already."""
    given = {"REDIS_URL": redis_url, **settings.secrets_for_children()}
    here = [name for name in addresses.servers if name not in settings.mcp]  # of the others it reads as we did
    given |= {f"MCP__{name.upper()}__URL": addresses.servers[name] for name in here}
    return child_environment(given | ({"TOLLGATE_STAND_IN_URL": addresses.model} if settings.offline else {}))


def mcp_commands(settings: Settings, embeddings_url: str | None) -> dict[str, list[str]]:
    """The arguments after `python` that run each MCP server on the configured data.

    Everybody on the machine can read them, so an address, which may hold a password, is named by its variable.
    """
    here = ["--data-dir", str(settings.data_dir)]
    documents = ["--data", str(settings.knowledge_base_data or sample.DOCUMENTS)]
    sales = ["--data-variable", variable("sales_data")] if settings.sales_data else ["--data", str(sample.SALES)]
    sales += ["--refresh-s", str(settings.sales_refresh_s)] if settings.sales_refresh_s else []
    embeddings = ["--embedding-model", settings.embedding_model]
    if embeddings_url:
        embeddings += ["--embeddings-url-variable", variable("openai_base_url")]
    web = ["--search-url-variable", variable("web_search_url")] if settings.web_search_url else []
    web += ["--allow-private"] if settings.web_allow_private else []
    return {
        "knowledge_base": ["-m", "mcp_servers.knowledge_base", *here, *documents, *embeddings],
        "sales": ["-m", "mcp_servers.sales", *here, *sales],
        "analytics": ["-m", "mcp_servers.analytics"],
        "web": ["-m", "mcp_servers.web", *web],
    }


def mcp_environment(settings: Settings, name: str, embeddings_url: str | None) -> dict[str, str]:
    """The environment of an MCP server, which nobody else can read: secrets, and only those that it needs."""
    own: dict[str, str] = {}
    if name == "sales":
        own = settings.secrets_for_sales()
    elif name == "knowledge_base" and embeddings_url:
        own = {variable("openai_base_url"): embeddings_url}
    elif name == "web" and settings.web_search_url:
        own = {variable("web_search_url"): str(settings.web_search_url)}
    return child_environment(settings.secrets_for_children() | own)


def _stand_in(settings: Settings) -> list[str]:
    profile = ["--profile", settings.stand_in_profile] if settings.stand_in_profile else []
    return ["-m", "app.stand_in", "--latency-ms", str(settings.stand_in_latency_ms), *profile]
