"""Starts the programs that a job needs, keeps them running, and ends them all."""

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import HttpUrl, SecretStr
from pydantic_core import to_json

from app.config.servers import own_server
from app.config.settings import Settings, bare_environment, child_environment, variable
from app.running.keeping import Program, Store
from app.running.servers import Server
from app.store.embedded_redis import embedded_redis

GATE_SETTINGS = (
    *("openai_api_key", "openai_base_url", "model", "supervisor_model", "embedding_model"),
    *("deployment_day_usd", "job_ttl_days"),
)


@dataclass(frozen=True)
class Addresses:
    """Addresses of the model provider or its stand-in, and of every MCP server by name."""

    model: str
    servers: dict[str, str]
    children: tuple[Server, ...]


@contextlib.contextmanager
def redis_running(settings: Settings) -> Iterator[str]:
    """The address of the configured or embedded Redis, which runs until the block ends. Raises RedisError."""
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
def running(settings: Settings, redis_url: str | None = None) -> Iterator[Addresses]:
    """Run the stand-in model, the embeddings gate and the MCP servers, those that are needed and do not run elsewhere,
    until the block ends. Without a Redis, which has the ledger, there are no embeddings that cost money.
    """
    children: list[Server] = []

    def started(name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> str:
        child = Server(name, arguments, environment, settings.data_dir)
        child.keep()
        children.append(child)
        return child.address

    with contextlib.ExitStack() as stack:
        stack.callback(end, children)
        if (model := settings.model_url) is None:
            model = started("stand_in_model", _stand_in(settings), bare_environment({})) + "/v1"
            settings = settings.model_copy(update={"stand_in_url": model})
        if redis_url and _needs_a_gate(settings):
            key = settings.embeddings_key or SecretStr(secrets.token_urlsafe(32))
            given = child_environment(_of_the_gate(settings, redis_url, key))
            gate = HttpUrl(started("embeddings", ["-m", "app.embeddings"], given) + "/v1")
            settings = settings.model_copy(update={"embeddings_gate_url": gate, "embeddings_key": key})
        servers = {name: server.address for name, server in settings.mcp.items()}
        for name in () if settings.cassette else settings.servers:  # which has the tools' answers too
            if name not in servers:
                arguments, environment = mcp_program(settings, name)
                quiet = ["--log-level", "warning"]  # log files are not rotated
                servers[name] = started(name, [*arguments, *quiet], environment) + "/mcp"
        yield Addresses(model, servers, tuple(children))


def end(programs: Sequence[Program]) -> None:
    """End them, all at the same time, and wait."""
    for each in programs:
        each.told_to_end()
    for each in programs:
        each.ended()


@contextlib.contextmanager
def services(settings: Settings) -> Iterator[tuple[str, Addresses]]:
    """The address of Redis, and those of all programs that a job needs, started here if necessary."""
    with redis_running(settings) as redis_url, running(settings, redis_url) as addresses:
        yield redis_url, addresses


def beside(settings: Settings, redis_url: str, addresses: Addresses) -> dict[str, str]:
    """The environment for a program that uses what already runs here."""
    given = {"REDIS_URL": redis_url}
    here = [name for name in addresses.servers if name not in settings.mcp]  # it reads the others as we did
    given |= {f"MCP__{name.upper()}__URL": addresses.servers[name] for name in here}
    return child_environment(given | ({"TOLLGATE_STAND_IN_URL": addresses.model} if settings.offline else {}))


def mcp_program(settings: Settings, name: str) -> tuple[list[str], dict[str, str]]:
    """The command of one of our MCP servers on the configured data: arguments after `python`, and environment.

    Raises BadInput if there is no such server.
    """
    server = own_server(name)
    command = ["-m", f"mcp_servers.{name}"]
    told = {variable(each): text for each in ("mcp_secret", *server.environment) if (text := _text(settings, each))}
    for option in server.options:
        if not (text := _text(settings, option.setting)):
            command += [option.name, str(option.default)] if option.default else []
        elif option.secret:
            named = variable(option.setting)
            command += [f"{option.name}-variable", named]
            told[named] = text
        else:
            command += [option.name] if getattr(settings, option.setting) is True else [option.name, text]
    return command, bare_environment(settings.otel_variables | told)


def _text(settings: Settings, name: str) -> str:
    """The value of a setting; empty when it is unset or false."""
    value = getattr(settings, name)
    return str(value.get_secret_value() if isinstance(value, SecretStr) else value) if value else ""


def _needs_a_gate(settings: Settings) -> bool:
    """Whether the knowledge base runs here, and its embeddings cost money."""
    return not (settings.offline or settings.embeddings_gate_url or "knowledge_base" in settings.mcp)


def _of_the_gate(settings: Settings, redis_url: str, key: SecretStr) -> dict[str, str]:
    """What it needs of these settings, which need not be those of the environment."""
    told = {variable(name): _text(settings, name) for name in GATE_SETTINGS}
    told |= {variable("prices"): to_json(settings.prices, exclude_none=True).decode(), "REDIS_URL": redis_url}
    return {name: text for name, text in told.items() if text} | {variable("embeddings_key"): key.get_secret_value()}


def _stand_in(settings: Settings) -> list[str]:
    profile = ["--profile", settings.stand_in_profile] if settings.stand_in_profile else []
    tape = ["--cassette", str(settings.cassette)] if settings.cassette else []
    return ["-m", "app.stand_in", "--latency-ms", str(settings.stand_in_latency_ms), *profile, *tape]
