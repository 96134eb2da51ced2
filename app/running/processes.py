"""Starts the programs that a job needs beside this one, and leaves none behind.

Each child gets a listening socket that is already bound: its address is known before it runs, connections made early
wait in the backlog, and no port can be lost between choosing and binding it. A child ends when its stdin closes, so
it ends with us even when we are killed.
"""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.config.folders import private
from app.config.settings import Settings, child_environment, variable
from app.errors import BadInput
from app.store.embedded_redis import embedded_redis

LOOPBACK = "127.0.0.1"
STOP_S = 5.0


@dataclass(frozen=True)
class Child:
    """A running program and where it listens."""

    name: str
    process: subprocess.Popen[bytes]
    address: str
    log: Path

    def failure(self) -> str | None:
        """The last line it logged, when it has ended by itself; None while it runs. Blocks up to a second."""
        try:
            self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            return None
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1].removeprefix("error: ") if lines else f"exit code {self.process.returncode}"


@dataclass(frozen=True)
class Addresses:
    """Where everything listens: the model provider or its stand-in, and every MCP server by name."""

    model: str
    servers: dict[str, str]
    children: tuple[Child, ...]


@contextlib.contextmanager
def redis_running(settings: Settings) -> Iterator[str]:
    """The address of the configured Redis, or of the embedded one, until the block ends. Raises RedisError."""
    if settings.redis_url:
        yield settings.redis_url.get_secret_value()
    else:
        with embedded_redis(settings.data_dir) as url:
            yield url


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[Addresses]:
    """The stand-in model and the MCP servers that are not running elsewhere, until the block ends."""
    children: list[Child] = []

    def started(name: str, arguments: Sequence[str]) -> str:
        children.append(_start(name, arguments, settings))
        return children[-1].address

    try:
        model = settings.model_url or started("stand_in_model", _stand_in(settings)) + "/v1"
        elsewhere = {name: server.address for name, server in settings.mcp.items()}
        commands = mcp_commands(settings, model)
        missing = [name for name in settings.servers if name not in elsewhere]
        quiet = ["--log-level", "warning"]  # nothing keeps the files of logs small
        here = {name: started(name, [*commands[name], *quiet]) + "/mcp" for name in missing}
        yield Addresses(model, elsewhere | here, tuple(children))
    finally:
        _stop([child.process for child in children])


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
    """The arguments after `python` that run each MCP server on the configured data."""
    here = ["--data-dir", str(settings.data_dir)]
    documents = ["--data", str(settings.knowledge_base_data)] if settings.knowledge_base_data else []
    sales = ["--data-variable", variable("sales_data")] if settings.sales_data else []
    sales += ["--refresh-s", str(settings.sales_refresh_s)] if settings.sales_refresh_s else []
    embeddings = ["--embedding-model", settings.embedding_model]
    if embeddings_url:
        embeddings += ["--embeddings-url", embeddings_url]
    web = ["--search-url", str(settings.web_search_url)] if settings.web_search_url else []
    web += ["--allow-private"] if settings.web_allow_private else []
    return {
        "knowledge_base": ["-m", "mcp_servers.knowledge_base", *here, *documents, *embeddings],
        "sales": ["-m", "mcp_servers.sales", *here, *sales],
        "analytics": ["-m", "mcp_servers.analytics"],
        "web": ["-m", "mcp_servers.web", *web],
    }


def mcp_environment(settings: Settings, name: str) -> dict[str, str]:
    """The environment of an MCP server, which nobody else can read: secrets, and only those that it needs."""
    own = settings.secrets_for_sales() if name == "sales" else {}
    return child_environment(settings.secrets_for_children() | own)


def _stand_in(settings: Settings) -> list[str]:
    profile = ["--profile", settings.stand_in_profile] if settings.stand_in_profile else []
    return ["-m", "app.offline_model", "--latency-ms", str(settings.stand_in_latency_ms), *profile]


def _start(name: str, arguments: Sequence[str], settings: Settings) -> Child:
    log = settings.data_dir / "logs" / f"{name}.log"
    try:
        private(log.parent)
    except OSError as error:
        raise BadInput(
            f"cannot write to the data folder {settings.data_dir} ({error.strerror}); set TOLLGATE_DATA_DIR"
        ) from error
    with socket.create_server((LOOPBACK, 0)) as listener, log.open("wb") as output:
        port = listener.getsockname()[1]
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, *arguments, "--fd", str(listener.fileno()), "--exit-with-stdin"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=[listener.fileno()],
            env=mcp_environment(settings, name),
            start_new_session=True,  # Ctrl-C is ours to handle
        )
    return Child(name, process, f"http://{LOOPBACK}:{port}", log)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:  # all at once: they end at the same time
        if process.stdin:
            process.stdin.close()
    for process in processes:
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
