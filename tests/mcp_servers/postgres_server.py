"""A real Postgres server of one's own, in a folder that is gone afterwards."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.mcp_servers.waiting import soon

UNPRIVILEGED = "nobody"  # Postgres refuses to run as root
PASSWORD = "t0p/s3cret@home"


@dataclass(frozen=True)
class Server:
    """Where it listens. Its superuser comes in by the socket in `folder`, everybody else by password."""

    folder: Path
    port: int

    def run(self, *statements: str, database: str = "postgres") -> None:
        """As the superuser, each in a transaction of its own."""
        with self.connected(database) as connection:
            for statement in statements:
                connection.execute(statement)

    def connected(self, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(host=str(self.folder), port=self.port, user="root", dbname=database, autocommit=True)

    def url(self, user: str, database: str, password: str = "t0p%2Fs3cret%40home") -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    @contextlib.contextmanager
    def database(self, name: str) -> Iterator[str]:
        """A database of its own, with a role of the same name that may log in and do nothing else."""
        role = sql.Identifier(name)
        with self.connected("postgres") as root:
            root.execute(sql.SQL("CREATE DATABASE {}").format(role))
            root.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(PASSWORD)))
            try:
                yield name
            finally:
                root.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(role))
                root.execute(sql.SQL("DROP ROLE {}").format(role))


def program(name: str) -> str | None:
    """Debian keeps the programs of the server outside the path."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(places[-1]) if places else None)


@contextlib.contextmanager
def postgres() -> Iterator[Server]:
    """Skips the test where no Postgres is installed."""
    initdb, server = program("initdb"), program("postgres")
    if initdb is None or server is None:
        pytest.skip("no Postgres server is installed")
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        if os.getuid() == 0:
            shutil.chown(folder, UNPRIVILEGED)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        _run([initdb, "-D", f"{folder}/data", "-U", "root", "--auth-local=trust", "--auth-host=scram-sha-256", "-N"])
        settings = {"listen_addresses": "127.0.0.1", "port": port, "fsync": "off", "unix_socket_directories": folder}
        options = [word for each, value in settings.items() for word in ("-c", f"{each}={value}")]
        with (folder / "log").open("wb") as log, _started([server, "-D", f"{folder}/data", *options], log) as process:
            found = Server(folder, port)
            soon(lambda: _answers(found) or process.poll(), lambda answer: answer is not None, "the start of Postgres")
            assert process.poll() is None, (folder / "log").read_text()
            yield found


def _answers(server: Server) -> bool | None:
    try:
        server.run("SELECT 1")
    except psycopg.OperationalError:
        return None
    return True


def _user() -> str | None:
    return UNPRIVILEGED if os.getuid() == 0 else None


def _run(command: Sequence[str]) -> None:
    environment = {"LC_ALL": "C", "PATH": os.defpath}
    subprocess.run(command, user=_user(), env=environment, cwd="/", capture_output=True, check=True, timeout=60)


@contextlib.contextmanager
def _started(command: Sequence[str], log: Any) -> Iterator["subprocess.Popen[bytes]"]:
    environment = {"LC_ALL": "C", "PATH": os.defpath}
    with subprocess.Popen(command, user=_user(), env=environment, cwd="/", stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            process.send_signal(3)  # an immediate shutdown: nothing is to be kept
