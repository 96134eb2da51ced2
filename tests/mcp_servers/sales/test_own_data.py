"""A company's own data: read as it comes, with odd names, mixed dates and holes in it."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from mcp.server.fastmcp import FastMCP

from mcp_servers.base.results import Table
from mcp_servers.base.serving import StartupError
from mcp_servers.sales import own_data
from mcp_servers.sales.database import open_locked
from mcp_servers.sales.server import build

AWKWARD = """Bestell-Nr.;Order Date;Umsatz (€);Group;2nd Contact;Kunde;kunde;PLZ;Stück
1;2024-01-31;"1.234,50";A;x;Müller;1,00;01234;3
2;31.01.2024;999,5;B;y;;2,5;99999;
3;N/A;n/a;NA;;Bär;-;00001;-
4;28.02.2024;12;C;z;O'Neil;7;12345;12
"""
LINES = [("2024-01-05", "Germany", 100.5), ("2024-02-29", "France", 20.0), ("2025-03-01", "Germany", 3.25)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own" / "sales").mkdir(parents=True)
    return tmp_path


def read(data: Path, folder: Path) -> duckdb.DuckDBPyConnection:
    return open_locked(own_data.load(data, folder / "own")[0])


def column(folder: Path, *values: str) -> tuple[str, list[Any]]:
    """Type and values of a column that comes as this text."""
    file = folder / "data.csv"
    file.write_text("\n".join(["id,v", *(f'{i},"{value}"' for i, value in enumerate(values))]))
    with read(file, folder) as connection:
        [_, (_, kind, *_)] = connection.execute("DESCRIBE data").fetchall()
        return kind, [value for (value,) in connection.execute("SELECT v FROM data ORDER BY id").fetchall()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_an_awkward_csv_becomes_a_clean_table(folder: Path, encoding: str) -> None:
    file = folder / "Verkäufe Süd 2024.csv"
    file.write_text(AWKWARD, encoding=encoding)
    with read(file, folder) as connection:
        described = connection.execute("DESCRIBE verkaufe_sud_2024").fetchall()
        rows = connection.execute("FROM verkaufe_sud_2024 ORDER BY bestell_nr").fetchall()
    assert [name for name, *_ in described] == [
        *("bestell_nr", "order_date", "umsatz_eur", "group_", "c_2nd_contact", "kunde", "kunde_7", "plz", "stuck")
    ]
    assert rows == [
        (1, date(2024, 1, 31), Decimal("1234.5"), "A", "x", "Müller", Decimal("1.0"), "01234", 3),
        (2, date(2024, 1, 31), Decimal("999.5"), "B", "y", None, Decimal("2.5"), "99999", None),
        (3, None, None, "NA", None, "Bär", None, "00001", None),
        (4, date(2024, 2, 28), Decimal("12"), "C", "z", "O'Neil", Decimal("7.0"), "12345", 12),
    ]


@pytest.mark.parametrize(
    ("values", "kind", "read_as"),
    [
        (["1", "-2", "", "NULL"], "BIGINT", [1, -2, None, None]),
        (["1.5", "1e3", ".25"], "DOUBLE", [1.5, 1000.0, 0.25]),
        (["0.00001", "1"], "DOUBLE", [0.00001, 1.0]),
        (["1,234.50", "2"], "DECIMAL(18,2)", [Decimal("1234.5"), Decimal(2)]),
        (["1.234,50", "2,5"], "DECIMAL(18,2)", [Decimal("1234.5"), Decimal("2.5")]),
        (["€ 5", "7.25 EUR"], "DECIMAL(18,2)", [Decimal(5), Decimal("7.25")]),
        (["007", "7"], "VARCHAR", ["007", "7"]),
        (["1", "two"], "VARCHAR", ["1", "two"]),
        (["99999999999999999999"], "VARCHAR", ["99999999999999999999"]),
        (["EUR", "USD"], "VARCHAR", ["EUR", "USD"]),
        (["", ""], "VARCHAR", [None, None]),
        (["2024-02-29", "29.02.2024", "29/02/2024", "29.02.24", "29 Feb 2024"], "DATE", [date(2024, 2, 29)] * 5),
        (
            ["2024-02-29 10:30", "29.02.2024"],
            "TIMESTAMP",
            [datetime.fromisoformat(d) for d in ("2024-02-29 10:30", "2024-02-29")],
        ),
        (["2024-02-30", "2024-02-28"], "VARCHAR", ["2024-02-30", "2024-02-28"]),
        (["03/04/2024", "2024-01-01"], "VARCHAR", ["03/04/2024", "2024-01-01"]),
        (["03/04/2024", "31/01/2024"], "DATE", [date(2024, 4, 3), date(2024, 1, 31)]),
        (["03/04/2024", "01/31/2024"], "DATE", [date(2024, 3, 4), date(2024, 1, 31)]),
        (["03/04/2024", "01/31/2024", "31/01/2024"], "VARCHAR", ["03/04/2024", "01/31/2024", "31/01/2024"]),
        (["2024-01", "2024-02"], "VARCHAR", ["2024-01", "2024-02"]),
    ],
)
def test_a_column_is_read_as_what_all_its_values_are(
    folder: Path, values: list[str], kind: str, read_as: list[Any]
) -> None:
    assert column(folder, *values) == (kind, read_as)


def as_csv(folder: Path) -> Path:
    file = folder / "sales lines.csv"
    file.write_text("Order Date,Country,Revenue EUR\n" + "\n".join(f"{d},{c},{r}" for d, c, r in LINES))
    return file


def as_folder(folder: Path) -> Path:
    (folder / "many").mkdir()
    as_csv(folder).rename(folder / "many" / "sales_lines.csv")
    (folder / "many" / "other.tsv").write_text("a\tb\n1\t2\n")
    (folder / "many" / "notes.md").write_text("not data")
    return folder / "many"


def as_parquet(folder: Path) -> Path:
    file = folder / "Sales Lines.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (FROM read_csv('{as_csv(folder)}')) TO '{file}'")
    return file


def as_sqlite(folder: Path) -> Path:
    file = folder / "shop.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute('CREATE TABLE "Sales Lines" ("Order Date" TEXT, Country TEXT, "Revenue EUR" REAL)')
        connection.executemany('INSERT INTO "Sales Lines" VALUES (?, ?, ?)', LINES)
        connection.commit()
    return file


def as_duckdb(folder: Path) -> Path:
    file = folder / "shop.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE TABLE sales_lines (order_date DATE, country VARCHAR, revenue_eur DECIMAL(9, 2))")
        connection.executemany("INSERT INTO sales_lines VALUES (?, ?, ?)", LINES)
    return file


@pytest.mark.parametrize("make", [as_csv, as_folder, as_parquet, as_sqlite, as_duckdb])
async def test_every_kind_of_source_gives_the_same_answer(folder: Path, make: Callable[[Path], Path]) -> None:
    server = build(make(folder), folder / "own")
    sql = "SELECT country, year(order_date) AS y, sum(revenue_eur) AS r FROM sales_lines GROUP BY ALL ORDER BY ALL"
    assert (await table(server, "query", sql=sql)).rows == [
        ["France", 2024, 20.0],
        ["Germany", 2024, 100.5],
        ["Germany", 2025, 3.25],
    ]


async def table(server: FastMCP, tool: str, **arguments: Any) -> Table:
    result: Any = await server.call_tool(tool, arguments)
    return Table.model_validate(result.structuredContent)


async def test_the_schema_keeps_the_original_names_and_says_the_currency(folder: Path) -> None:
    file = folder / "orders.csv"
    file.write_text("When,Umsatz (€),Empty\n03/04/2024,1.5,\n31/01/2024,2,\n")
    found = await table(build(file, folder / "own"), "describe_schema")
    assert found.data_version.startswith("own-")
    assert found.rows == [
        [
            *("orders", "when_", "DATE"),
            "original name: When",
            "2024-01-31; 2024-04-03",
        ],
        ["orders", "umsatz_eur", "DECIMAL(18,1)", "original name: Umsatz (€); currency: EUR", "1.5; 2.0"],
        ["orders", "empty", "VARCHAR", "original name: Empty; no values", ""],
    ]


def test_the_version_follows_the_file(folder: Path) -> None:
    file = as_csv(folder)
    first = own_data.load(file, folder / "own")
    assert own_data.load(file, folder / "own") == first
    file.write_text(file.read_text() + "\n2025-04-01,Spain,1\n")
    assert own_data.load(file, folder / "own")[1] != first[1]


WRITES_AND_DIES = """
import duckdb, os, sys
connection = duckdb.connect(sys.argv[1])
connection.execute("CHECKPOINT")
connection.execute("INSERT INTO sales_lines VALUES (DATE '2025-04-01', 'Spain', 7)")
os._exit(0)
"""


def test_a_duckdb_file_is_copied_with_its_log_and_its_owner_goes_on_writing(folder: Path) -> None:
    file = as_duckdb(folder)
    subprocess.run([sys.executable, "-c", WRITES_AND_DIES, str(file)], check=True)
    assert file.with_name("shop.duckdb.wal").exists()
    with read(file, folder) as connection:
        assert connection.execute("SELECT count(*) FROM sales_lines").fetchall() == [(4,)]
        with pytest.raises(duckdb.Error):
            connection.execute("DELETE FROM sales_lines")
        with duckdb.connect(str(file)) as owner:  # nothing of ours holds it
            owner.execute("DELETE FROM sales_lines")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("missing.csv", None, "No such file or directory"),
        ("empty.csv", b"", "is empty"),
        ("binary.csv", bytes(range(256)) * 20, "is neither text nor a supported format"),
        ("table.xlsx", b"PK\3\4 and so on", "is no readable spreadsheet"),
        ("half.parquet", b"PAR1 and no more", "No magic bytes"),
        ("broken.sqlite", b"SQLite format 3\0 and no more", "not a database"),
        ("broken.duckdb", b"\0" * 8 + b"DUCK and no more", "cannot read"),
        ("folder/readme.md", b"text", "has no file that can be read"),
    ],
)
def test_unreadable_data_is_told_in_one_line(folder: Path, name: str, content: bytes | None, told: str) -> None:
    file = folder / name
    if content is not None:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
    with pytest.raises(StartupError) as error:
        build(file.parent if "/" in name else file, folder / "own")
    assert told in str(error.value)
    assert re.search(rf"{file.parent if '/' in name else file}", str(error.value))
    assert "\n" not in str(error.value)
    assert list((folder / "own" / "sales").iterdir()) == []


def test_an_empty_database_is_told(folder: Path) -> None:
    sqlite3.connect(folder / "empty.db").close()
    with closing(sqlite3.connect(folder / "none.db")) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("DROP TABLE t")
    for name in ("empty.db", "none.db"):
        with pytest.raises(StartupError, match=r"is empty|has no tables"):
            own_data.load(folder / name, folder / "own")
