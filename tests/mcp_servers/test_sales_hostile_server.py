"""The whole corpus against the real server: refused or bounded, nothing changed, nothing read, nobody called."""

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from mcp_servers.sales.database import open_locked
from sample import SALES
from tests.mcp_servers.hostile_sql import EVERYTHING, EXHAUSTS, REACHES_OUT
from tests.mcp_servers.waiting import soon

REPOSITORY = Path(__file__).parents[2]
SECRET = "canary-6f2b8e0e"
LIMIT_S = 0.5
HONEST = {"sql": "SELECT count(*) AS n FROM targets"}


@dataclass(frozen=True)
class Scene:
    """A server with its data, a secret in a file and in its environment, and a listener that nobody should call."""

    client: httpx.Client
    data: Path
    canary: Path
    listener: socket.socket

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        # json.dumps: half a character is sent, too
        answer = self.client.post("/mcp", content=json.dumps(request), headers={"Content-Type": "application/json"})
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()["result"]
        return result

    def filled(self, sql: str) -> str:
        url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        file = self.canary / "canary.csv"
        return sql.replace("{file}", str(file)).replace("{folder}", str(self.canary)).replace("{url}", url)

    def state(self) -> dict[str, str]:
        """Every file that a statement could have made or changed, with its content."""
        files = [each for folder in (self.data, self.canary) for each in folder.rglob("*") if each.is_file()]
        found = {str(each): hashlib.sha256(each.read_bytes()).hexdigest() for each in files}
        return found | {str(each): "" for each in REPOSITORY.glob("stolen*")}

    def check_untouched(self, before: dict[str, str]) -> None:
        assert self.state() == before
        with pytest.raises(BlockingIOError):  # nobody is waiting to be accepted
            self.listener.accept()
        assert self.client.get("/healthz").json()["status"] == "ok"
        assert self.call("query", HONEST)["structuredContent"]["rows"] == [[384]]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    data, canary = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("canary")
    (canary / "canary.csv").write_text(f"word\n{SECRET}\n")
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as listener,
        closing(socket.create_server(("127.0.0.1", 0))) as own,
        httpx.Client(
            base_url=f"http://127.0.0.1:{own.getsockname()[1]}",
            headers={"Accept": "application/json, text/event-stream"},
            timeout=60,
        ) as client,
    ):
        listener.setblocking(False)
        options = [
            "--fd",
            own.fileno(),
            "--exit-with-stdin",
            "--data",
            SALES,
            "--data-dir",
            data,
            "--time-limit-s",
            LIMIT_S,
        ]
        process = subprocess.Popen(
            [sys.executable, "-m", "mcp_servers.sales", *map(str, options)],
            pass_fds=[own.fileno()],
            cwd=REPOSITORY,
            env={**os.environ, "CANARY": SECRET},
            stdin=subprocess.PIPE,
        )
        with process:
            soon(lambda: client.get("/readyz").status_code, lambda status: status == 200, "readiness")
            yield Scene(client, data, canary, listener)
            process.kill()


def test_the_corpus_is_large_and_holds_no_statement_twice() -> None:
    assert len(set(EVERYTHING)) == len(EVERYTHING) >= 200


@pytest.mark.parametrize("sql", [each for each in EVERYTHING if each not in EXHAUSTS], ids=lambda sql: repr(sql)[:60])
def test_it_is_refused_and_touches_nothing(scene: Scene, sql: str) -> None:
    before = scene.state()
    result = scene.call("query", {"sql": scene.filled(sql)})
    assert result["isError"], result
    [told] = result["content"]
    assert SECRET not in str(result)
    assert 20 < len(told["text"]) < 1200
    assert "Traceback" not in told["text"]
    scene.check_untouched(before)


@pytest.mark.parametrize("sql", EXHAUSTS)
def test_what_would_exhaust_the_server_is_stopped(scene: Scene, sql: str) -> None:
    before = scene.state()
    result = scene.call("query", {"sql": sql})
    assert result["isError"], result
    assert "time limit" in result["content"][0]["text"] or "memory" in result["content"][0]["text"]
    scene.check_untouched(before)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("query", {"sql": "SELECT 1", "max_rows": 10**9}),
        ("query", {"sql": "SELECT 1", "max_rows": -1}),
        ("query", {"sql": "SELECT 1", "max_rows": "1; DROP TABLE products"}),
        ("query", {"sql": ["SELECT 1", "DROP TABLE products"]}),
        ("query", {"sql": {"$ne": None}}),
        ("revenue_by", {"dimensions": ["country; DROP TABLE products"]}),
        ("revenue_by", {"dimensions": ["(SELECT content FROM read_text('{file}'))"]}),
        ("revenue_by", {"dimensions": [], "filters": {"country": ["Germany' OR '1'='1"]}}),
        ("revenue_by", {"dimensions": [], "filters": {"country": ["'); DROP TABLE products; --"]}}),
        ("revenue_by", {"dimensions": [], "filters": {"country": ["{file}"]}}),
        ("revenue_by", {"dimensions": [], "filters": {"country) OR 1=1 --": ["x"]}}),
        ("revenue_by", {"dimensions": [], "filters": {"(SELECT content FROM read_text('{file}'))": ["x"]}}),
        ("revenue_by", {"dimensions": [], "period": "2024' OR '1'='1"}),
        ("revenue_by", {"dimensions": [], "period": {"start": "2024-01-01'; DROP TABLE products; --", "end": "2024"}}),
        ("top_customers", {"limit": 10**12}),
        ("top_customers", {"limit": "1; DROP TABLE products"}),
        ("top_customers", {"filters": {"customer_id": ["1"]}}),
        ("target_attainment", {"dimensions": ["product"]}),
        ("target_attainment", {"dimensions": [], "filters": {"country": ["x" * 100_000]}}),
        ("describe_everything", {}),
    ],
)  # fmt: skip
def test_other_arguments_are_no_way_in_either(scene: Scene, tool: str, arguments: dict[str, Any]) -> None:
    before = scene.state()
    filled = {name: _filled(scene, value) for name, value in arguments.items()}
    result = scene.call(tool, filled)
    assert result["isError"], result
    assert SECRET not in str(result)
    scene.check_untouched(before)


def _filled(scene: Scene, value: Any) -> Any:
    if isinstance(value, dict):
        return {scene.filled(name): _filled(scene, each) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(scene, each) for each in value]
    return scene.filled(value) if isinstance(value, str) else value


@pytest.mark.parametrize("sql", REACHES_OUT)
def test_the_locked_database_alone_keeps_them_in(scene: Scene, sql: str) -> None:
    """Should the guard ever let one pass."""
    before = scene.state()
    with open_locked(next(scene.data.glob("sales/own-*.duckdb"))) as connection:
        try:
            found = str(connection.execute(scene.filled(sql)).fetchall())
        except duckdb.Error as error:
            found = str(error)
    assert SECRET not in found
    scene.check_untouched(before)


def test_the_canary_sings_where_nothing_is_locked(scene: Scene) -> None:
    """Or the tests above could not fail."""
    with duckdb.connect() as connection:
        assert SECRET in str(connection.execute(scene.filled("FROM '{file}'")).fetchall())
        connection.execute(scene.filled("COPY (SELECT 1) TO '{folder}/stolen.csv'"))
    before = scene.state()
    (scene.canary / "stolen.csv").unlink()
    assert scene.state() != before
