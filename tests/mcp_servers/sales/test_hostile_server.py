"""The whole corpus: refused or bounded, nothing changed, nothing read, nobody called.

Every statement meets the guard and the bounded process that the server runs it in; one of each kind comes over HTTP.
"""

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
from mcp_servers.sales.sandbox import Sandbox
from mcp_servers.sales.sql_guard import Refused
from tests.data import SALES
from tests.mcp_servers.hostile_sql import (
    CHANGES,
    CHANGES_ITS_ANSWER,
    DISGUISES,
    EVERYTHING,
    EXHAUSTS,
    LOOKS_INSIDE,
    REACHES_OUT,
)
from tests.mcp_servers.waiting import soon

pytestmark = pytest.mark.xdist_group("hostile statements")

REPOSITORY = Path(__file__).parents[3]
SECRET = "canary-6f2b8e0e"
LIMIT_S, SHORT_S = 0.5, 0.2
HONEST = {"sql": "SELECT count(*) AS n FROM targets"}
REFUSED = [each for each in EVERYTHING if each not in EXHAUSTS]
OVER_HTTP = [
    CHANGES[0],
    REACHES_OUT[0],
    LOOKS_INSIDE[0],
    CHANGES_ITS_ANSWER[0],
    DISGUISES[0],
    *(
        each for each in DISGUISES if "\x00" in each or "\ud800" in each or len(each) > 100_000
    ),  # the wire is tried, too
]


@dataclass(frozen=True)
class Scene:
    """A server with its data, a secret in a file and in its environment, and a listener that nobody should call."""

    client: httpx.Client
    data: Path
    canary: Path
    listener: socket.socket

    @property
    def database(self) -> Path:
        return next(self.data.glob("sales/own-*.duckdb"))

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

    def state(self) -> dict[str, tuple[int, int]]:
        """Every file that a statement could have made or changed, with its size and when it was written."""
        files = [each for folder in (self.data, self.canary) for each in folder.rglob("*") if each.is_file()]
        found = {str(each): (each.stat().st_size, each.stat().st_mtime_ns) for each in files}
        return found | {str(each): (0, 0) for each in REPOSITORY.glob("stolen*")}

    def check_untouched(self, before: dict[str, tuple[int, int]]) -> None:
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


@pytest.mark.slow
def test_every_statement_is_refused_and_touches_nothing(
    scene: Scene, subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", SECRET)
    sandbox, before = Sandbox(scene.database), scene.state()
    for sql in REFUSED:
        with subtests.test(repr(sql)[:60]):
            with pytest.raises(Refused) as refusal:
                sandbox.run(scene.filled(sql), 100)
            check_told(str(refusal.value))
            assert scene.state() == before
    scene.check_untouched(before)


@pytest.mark.slow
@pytest.mark.parametrize("sql", EXHAUSTS)
def test_what_would_exhaust_a_process_is_stopped(scene: Scene, sql: str) -> None:
    with pytest.raises(Refused, match=r"time limit|memory"):
        Sandbox(scene.database, time_limit_s=SHORT_S).run(sql, 100)


@pytest.mark.parametrize("sql", OVER_HTTP, ids=lambda sql: repr(sql)[:60])
def test_the_server_refuses_what_its_guard_does(scene: Scene, sql: str) -> None:
    before = scene.state()
    result = scene.call("query", {"sql": scene.filled(sql)})
    assert result["isError"], result
    [told] = result["content"]
    check_told(told["text"])
    scene.check_untouched(before)


@pytest.mark.slow
@pytest.mark.parametrize("sql", [EXHAUSTS[0], "SELECT length(repeat('x', 1000000000))"], ids=["time", "memory"])
def test_what_would_exhaust_the_server_is_stopped(scene: Scene, sql: str) -> None:
    before = scene.state()
    result = scene.call("query", {"sql": sql})
    assert result["isError"], result
    assert "time limit" in result["content"][0]["text"] or "memory" in result["content"][0]["text"]
    scene.check_untouched(before)


def check_told(text: str) -> None:
    """It is advice, and nothing of ours."""
    assert 20 < len(text) < 1200
    assert "Traceback" not in text
    assert SECRET not in text


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


@pytest.mark.slow
def test_the_locked_database_alone_keeps_them_in(scene: Scene, subtests: pytest.Subtests) -> None:
    """Should the guard ever let one pass."""
    before = scene.state()
    for sql in REACHES_OUT:
        with subtests.test(sql), open_locked(scene.database) as connection:
            try:
                found = str(connection.execute(scene.filled(sql)).fetchall())
            except duckdb.Error as error:
                found = str(error)
            assert SECRET not in found
            assert scene.state() == before
    scene.check_untouched(before)


def test_the_canary_sings_where_nothing_is_locked(scene: Scene) -> None:
    """Or the tests above could not fail."""
    with duckdb.connect() as connection:
        assert SECRET in str(connection.execute(scene.filled("FROM '{file}'")).fetchall())
        connection.execute(scene.filled("COPY (SELECT 1) TO '{folder}/stolen.csv'"))
    before = scene.state()
    (scene.canary / "stolen.csv").unlink()
    assert scene.state() != before
