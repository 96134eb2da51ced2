"""Sales files that change under a running server: new ones are served, and what is under way ends on the old."""

import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import duckdb
import httpx
import pytest
from mcp.server.fastmcp import FastMCP

from mcp_servers.base.reloading import Progress
from mcp_servers.base.results import Table
from mcp_servers.sales import own_data, stored
from mcp_servers.sales.server import build
from mcp_servers.sales.sql_guard import Refused
from mcp_servers.sales.warehouse import Warehouse
from tests.mcp_servers.base.test_transports import Served, started
from tests.mcp_servers.waiting import PATIENCE_S, soon

OFTEN_S = 0.02
COUNT = "SELECT count(*) AS n FROM orders"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "own"


def csv(path: Path, rows: int) -> Path:
    """Moved into place at once, as a careful program does it."""
    draft = path.with_suffix(".draft")
    draft.write_text("\n".join(["id,amount", *(f"{row},{row}.5" for row in range(rows))]))
    return draft.replace(path)


def sqlite(path: Path, rows: int) -> Path:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER, amount REAL)")
        connection.execute("DELETE FROM orders")
        connection.executemany("INSERT INTO orders VALUES (?, ?)", [(row, row + 0.5) for row in range(rows)])
    return path


def duck(path: Path, rows: int) -> Path:
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            f"CREATE OR REPLACE TABLE orders AS SELECT i AS id, i + 0.5 AS amount FROM range({rows}) t(i)"
        )
    return path


def parquet(path: Path, rows: int) -> Path:
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT i AS id FROM range({rows}) t(i)) TO '{path}.draft' (FORMAT parquet)")
    return Path(f"{path}.draft").replace(path)


async def asked(server: FastMCP, sql: str = COUNT) -> Table:
    result: Any = await server.call_tool("query", {"sql": sql})
    return Table.model_validate(result.structuredContent)


async def until(server: FastMCP, wanted: list[list[Any]], sql: str = COUNT) -> Table:
    """The first answer with these rows. Fails after half a minute."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            try:
                if (found := await asked(server, sql)).rows == wanted:
                    return found
            except Exception as error:
                assert "no table" in str(error)  # noqa: PT017  another table than those there are, for now
            await anyio.sleep(OFTEN_S)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "write"), [("orders.csv", csv), ("shop.db", sqlite), ("shop.duckdb", duck), ("orders.parquet", parquet)]
)
async def test_a_changed_file_is_served_without_a_restart(data: Path, kept: Path, name: str, write: Any) -> None:
    server = build(write(data / name, 3), kept, refresh_s=OFTEN_S)
    before = await asked(server)
    write(data / name, 5)
    after = await until(server, [[5]])
    assert before.rows == [[3]]
    assert before.data_version != after.data_version
    assert [each.name for each in (kept / "sales").iterdir()] == [f"{after.data_version}.duckdb"]
    schema: Any = await server.call_tool("describe_schema", {})
    assert "orders: 5 rows" in schema.content[0].text


@pytest.mark.slow
async def test_a_database_that_is_written_all_the_time_is_read_all_the_same(data: Path, kept: Path) -> None:
    """A shop that runs on SQLite: it never stands still."""
    file = sqlite(data / "shop.db", 3)
    server = build(file, kept, refresh_s=OFTEN_S)
    stop = threading.Event()

    def trade() -> None:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA journal_mode = wal")
            while not stop.wait(0.01):
                with connection:
                    connection.execute("INSERT INTO orders VALUES (9, 9)")

    shop = threading.Thread(target=trade)
    shop.start()
    try:
        with anyio.fail_after(PATIENCE_S):
            while (found := await asked(server)).rows[0][0] in (None, 3):  # noqa: ASYNC110  a file that changes
                await anyio.sleep(OFTEN_S)
    finally:
        stop.set()
        shop.join()
    assert found.notes == []
    with closing(sqlite3.connect(file)) as connection:
        [(last,)] = connection.execute("SELECT count(*) FROM orders").fetchall()
    assert (await until(server, [[last]])).notes == []


def test_only_what_may_be_seen_half_written_has_to_stand_still(data: Path, kept: Path) -> None:
    made = {"csv": csv(data / "a.csv", 1), "duck": duck(data / "b", 1), "sqlite": sqlite(data / "c", 1), "folder": data}
    assert {name: source(path, kept).settles for name, path in made.items()} == {
        "csv": True,
        "duck": True,
        "sqlite": False,
        "folder": True,
    }


@pytest.mark.slow
async def test_files_that_are_added_to_a_folder_and_removed_are_noticed(data: Path, kept: Path) -> None:
    csv(data / "orders.csv", 3)
    server = build(data, kept, refresh_s=OFTEN_S)
    first = await asked(server)
    csv(data / "refunds.csv", 2)
    await until(server, [[2]], "SELECT count(*) AS n FROM refunds")
    (data / "refunds.csv").unlink()

    async def tables() -> list[Any]:
        answer: Any = await server.call_tool("describe_schema", {})
        return sorted({row[0] for row in answer.structuredContent["rows"]})

    with anyio.fail_after(PATIENCE_S):
        while await tables() != ["orders"]:  # noqa: ASYNC110  it is a file that changes
            await anyio.sleep(OFTEN_S)
    assert (await asked(server)).data_version == first.data_version  # the same content has the same name


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["broken", "removed"])
async def test_bad_new_data_leave_the_old_ones_with_a_note(
    data: Path, kept: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = csv(data / "orders.csv", 3)
    server = build(file, kept, refresh_s=OFTEN_S)
    if harm == "broken":
        (data / "new").write_bytes(bytes(range(256)) * 20)
        (data / "new").replace(file)
    else:
        file.unlink()
    soon(lambda: [each for each in caplog.messages if str(file) in each], bool, "the line in the log")
    found = await asked(server)
    assert found.rows == [[3]]
    assert found.notes[-1].startswith("newer data could not be read; these are from 20")
    csv(file, 4)
    assert (await until(server, [[4]])).notes == []


def source(file: Path, kept: Path, time_limit_s: float = 5.0) -> own_data.Files:
    return own_data.Files(file, kept, time_limit_s)


@pytest.mark.slow
def test_a_query_under_way_ends_on_the_old_data(data: Path, kept: Path) -> None:
    old = source(csv(data / "orders.csv", 3), kept).load(Progress())
    slow = "SELECT count(*) + 0 * (SELECT sum(hash(i)) FROM range(60000000) t(i)) // 1 AS n FROM orders"
    answers: list[Any] = []
    query = threading.Thread(target=lambda: answers.append(old.sandbox.run(slow, 1)["rows"]))
    query.start()
    new = source(csv(data / "orders.csv", 5), kept).load(Progress())
    assert new.sandbox.run(COUNT, 1)["rows"] == [[5]]
    query.join(PATIENCE_S)
    assert answers == [[[3]]]


@pytest.mark.slow
def test_removed_files_stay_readable_for_whoever_opened_them(data: Path, kept: Path) -> None:
    """A second server over the same data folder removes what the first one still uses."""
    first = source(csv(data / "orders.csv", 3), kept, time_limit_s=0.5).load(Progress())
    second = source(csv(data / "orders.csv", 5), kept).load(Progress())
    assert [each.name for each in (kept / "sales").iterdir()] == [f"{second.data_version}.duckdb"]
    assert first.rows("SELECT count(*) FROM orders") == [(3,)]
    with pytest.raises(Refused, match="time limit"):
        first.sandbox.run("SELECT count(*) FROM range(100000000000)", 1)
    assert first.sandbox.run(COUNT, 1)["rows"] == [[3]]  # by a process that was started after the removal


def test_two_servers_that_load_at_once_get_the_same(data: Path, kept: Path) -> None:
    file = csv(data / "orders.csv", 1000)
    loaded: list[Warehouse] = []
    both = [threading.Thread(target=lambda: loaded.append(source(file, kept).load(Progress()))) for _ in range(4)]
    for each in both:
        each.start()
    for each in both:
        each.join(PATIENCE_S)
    assert [each.rows(COUNT) for each in loaded] == [[(1000,)]] * 4
    assert len({each.data_version for each in loaded}) == 1
    assert len(list((kept / "sales").iterdir())) == 1


def test_the_version_is_that_of_the_content(data: Path, kept: Path, tmp_path: Path) -> None:
    here, there = csv(data / "orders.csv", 3), tmp_path / "copy" / "orders.csv"
    there.parent.mkdir()
    shutil.copyfile(here, there)
    os.utime(there, (1_700_000_000, 1_700_000_000))
    assert own_data.load(here, kept)[1] == own_data.load(there, tmp_path / "elsewhere")[1]


def test_a_change_that_size_and_age_do_not_show_is_noticed(data: Path, kept: Path) -> None:
    file = csv(data / "orders.csv", 3)
    files = source(file, kept)
    before, stat = files.state(), file.stat()
    replaced = Path(shutil.copyfile(file, data / "other"))
    replaced.write_text(file.read_text().replace("2.5", "9.5"))
    os.utime(replaced, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    replaced.replace(file)
    assert file.stat().st_mtime_ns == stat.st_mtime_ns
    assert files.state() != before


@pytest.mark.parametrize("age_s", [10, 2 * stored.ABANDONED_S])
@pytest.mark.parametrize("what", [".own-0000.duckdb.1-ab", ".own-scratch/0.csv"])
def test_what_a_killed_server_left_is_removed_after_a_while(data: Path, kept: Path, what: str, age_s: float) -> None:
    left = kept / "sales" / what
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    for each in (left, left.parent):
        os.utime(each, (time.time() - age_s, time.time() - age_s))
    source(csv(data / "orders.csv", 3), kept).load(Progress())
    assert left.exists() == (age_s < stored.ABANDONED_S)


def test_a_damaged_copy_is_made_anew(data: Path, kept: Path) -> None:
    file = csv(data / "orders.csv", 3)
    path, _ = own_data.load(file, kept)
    path.write_bytes(b"no database")
    assert source(file, kept).load(Progress()).rows(COUNT) == [(3,)]


@pytest.mark.slow
def test_replicas_that_are_programs_share_data_and_folder(data: Path, kept: Path) -> None:
    """They come to the same version, go on when one of them is killed, and leave one file."""
    file = csv(data / "orders.csv", 3)
    served = Served("sales", ["--data", str(file), "--data-dir", str(kept), "--refresh-s", "0.05"], "", {}, "")

    def version(port: int) -> str:
        return str(httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=30).json()["data_version"])

    with started(served) as (_, first):
        with started(served) as (second_process, second):
            before = version(first)
            assert version(second) == before
            csv(file, 5)
            after = soon(lambda: version(second), lambda now: now != before, "the reload")
            assert soon(lambda: version(first), lambda now: now != before, "the other's reload") == after
            second_process.kill()
        csv(file, 6)
        last = soon(lambda: version(first), lambda now: now != after, "the reload of the survivor")
        assert [each.name for each in (kept / "sales").iterdir()] == [f"{last}.duckdb"]
