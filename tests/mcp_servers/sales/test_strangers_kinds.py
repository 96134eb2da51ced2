"""Databases, spreadsheets and folders as strangers bring them."""

import sqlite3
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal as D  # noqa: N817
from pathlib import Path
from typing import Any

import duckdb
import pytest
from openpyxl import Workbook  # type: ignore[import-untyped]

from tests.mcp_servers.sales.cases import Case, Make, holds


def sqlite(*statements: str | tuple[str, tuple[Any, ...]]) -> Make:
    def make(path: Path) -> None:
        with closing(sqlite3.connect(path)) as database:
            for each in statements:
                database.execute(*((each,) if isinstance(each, str) else each))
            database.commit()

    return make


def database(*statements: str) -> Make:
    def make(path: Path) -> None:
        with duckdb.connect(str(path)) as connection:
            for each in statements:
                connection.execute(each)

    return make


DATABASES = [
    Case(
        "blob.sqlite",
        sqlite("CREATE TABLE t(id int, s text, pic blob)", ("INSERT INTO t VALUES (1, 'a', ?)", (b"\x89PNG\0",))),
        "SELECT * FROM t",
        [(1, "a")],
        "pic: 1 binary values left out",
    ),
    Case(
        "some.sqlite",
        sqlite("CREATE TABLE t(s)", ("INSERT INTO t VALUES (?)", (b"\0",)), "INSERT INTO t VALUES ('a')"),
        "SELECT count(*), count(s) FROM t",
        [(2, 1)],
        "s: 1 binary values left out",
    ),
    Case(
        "view.sqlite",
        sqlite(
            "CREATE TABLE o(id int, v real)",
            "INSERT INTO o VALUES (1, 2.5)",
            "CREATE VIEW w AS SELECT 2 * v AS x FROM o",
        ),
        "SELECT x FROM w",
        [(D("5"),)],
    ),
    Case(
        "nul.sqlite",
        sqlite("CREATE TABLE t(s)", ("INSERT INTO t VALUES (?)", ("a\0b",))),
        "SELECT s FROM t",
        [("a\ufffdb",)],
        "invalid characters",
    ),
    Case(
        "utf8.sqlite",
        sqlite("CREATE TABLE t(s)", "INSERT INTO t VALUES (CAST(x'e9' AS TEXT)), ('ok')"),
        "SELECT s FROM t",
        [("\ufffd",), ("ok",)],
        "s: 1 values",
    ),
    Case(
        "semi.sqlite",
        sqlite("CREATE TABLE n(body)", "INSERT INTO n VALUES ('a; b'), ('c; d')"),
        "SELECT body FROM n",
        [("a; b",), ("c; d",)],
    ),
    Case(
        "null.sqlite",
        sqlite("CREATE TABLE n(a)", "INSERT INTO n VALUES (NULL), (1), (NULL)"),
        "SELECT count(*), count(a) FROM n",
        [(3, 1)],
    ),
    Case(
        "lines.sqlite",
        sqlite("CREATE TABLE n(a)", ("INSERT INTO n VALUES (?)", ('x\r\ny\n"z',))),
        "SELECT a FROM n",
        [('x\r\ny\n"z',)],
    ),
    Case(
        "clash.sqlite",
        sqlite(
            'CREATE TABLE "Order Items"(a int)', "CREATE TABLE order_items(a int)", "INSERT INTO order_items VALUES (2)"
        ),
        "SELECT a FROM order_items_2",
        [(2,)],
        "order_items: 0 rows. original name: Order Items",
    ),
    Case(
        "cyr.sqlite",
        sqlite('CREATE TABLE "Заказы"(a)', 'CREATE TABLE "Клиенты"("имя")', "INSERT INTO Клиенты VALUES ('И')"),
        "SELECT imya FROM klienty",
        [("И",)],
    ),
    Case(
        "fts.sqlite",
        sqlite("CREATE VIRTUAL TABLE t USING fts5(body)", "INSERT INTO t VALUES ('x')"),
        "SELECT body FROM t",
        [("x",)],
    ),
    Case(
        "broken.sqlite",
        sqlite("CREATE TABLE a(v int)", "INSERT INTO a VALUES (1)", "CREATE VIEW b AS SELECT gone FROM a"),
        "SELECT v FROM a",
        [(1,)],
        "left out: b: no such column: gone",
    ),
    Case(
        "schemas.duckdb",
        database(
            "CREATE SCHEMA shop",
            "CREATE TABLE shop.orders AS SELECT 1 AS a",
            "CREATE SCHEMA old",
            "CREATE TABLE old.orders AS SELECT 2 AS a",
        ),
        "SELECT (SELECT a FROM shop_orders), (SELECT a FROM old_orders)",
        [(1, 2)],
    ),
    Case(
        "views.duckdb",
        database(
            "CREATE TABLE o AS SELECT 1.5 AS v, 'x'::BLOB AS b",
            "CREATE VIEW w AS SELECT 2 * v AS x FROM o",
            "COMMENT ON VIEW w IS 'double'",
        ),
        "SELECT x FROM w",
        [(D("3.0"),)],
        "w: 1 rows. double",
    ),
    Case(
        "reads.duckdb",
        database("CREATE TABLE o AS SELECT 1 AS a", "CREATE VIEW f AS FROM read_text('/etc/*')"),
        "SELECT a FROM o",
        [(1,)],
        "left out: f: ",
    ),
    Case(
        "text.duckdb",
        database("CREATE TABLE o AS SELECT '1,5' AS a, DATE '2024-01-01' AS d"),
        "SELECT a, d FROM o",
        [("1,5", date(2024, 1, 1))],
    ),
    Case(
        "script.sql",
        "CREATE TABLE a AS SELECT 1 AS x; CREATE VIEW b AS SELECT x + 1 AS y FROM a;",
        "SELECT y FROM b",
        [(2,)],
    ),
]


def book(**sheets: list[list[Any]]) -> Make:
    def make(path: Path) -> None:
        workbook = Workbook()
        workbook.remove(workbook.active)
        for name, rows in sheets.items():
            sheet = workbook.create_sheet(name)
            for row in rows:
                sheet.append(row)
        workbook.save(path)

    return make


def hidden_and_merged(path: Path) -> None:
    workbook = Workbook()
    for row in (["a", "b"], ["North", 1], [None, 2]):
        workbook.active.append(row)
    workbook.active.merge_cells("A2:A3")
    secret = workbook.create_sheet("Secret")
    secret.append(["v"])
    secret.append([7])
    secret.sheet_state = "hidden"
    workbook.save(path)


SHEETS = [
    Case("merged.xlsx", hidden_and_merged, told="1 merged cells: only the first of each has the value"),
    Case("hidden.xlsx", hidden_and_merged, "SELECT v FROM secret", [(7,)], "a hidden sheet"),
    Case("plain.xlsx", book(A=[["id", "v"], [1, 2.5], [2, 3.25]]), "SELECT sum(v) FROM plain", [(D("5.75"),)]),
    Case("two.xlsx", book(Orders=[["v"], [1]], Returns=[["v"], [2]]), "SELECT r.v FROM orders o, returns r", [(2,)]),
    Case(
        "dates.xlsx",
        book(A=[["d"], [datetime.fromisoformat("2024-01-05")], [date(2024, 2, 5)]]),
        "SELECT max(d) FROM dates",
        [(date(2024, 2, 5),)],
    ),
    Case(
        "times.xlsx",
        book(A=[["t"], [datetime.fromisoformat("2024-01-05 10:30")]]),
        "SELECT t FROM times",
        [(datetime.fromisoformat("2024-01-05 10:30"),)],
    ),
    Case(
        "title.xlsx",
        book(A=[["Report", None, None], [], ["a", "b", "c"], [1, "x", 2]]),
        "SELECT c FROM title",
        [(2,)],
        "left out: Report",
    ),
    Case(
        "sum.xlsx",
        book(A=[["a", "b", "c"], ["x", "y", 2], ["z", "y", 3], ["Total", None, 5]]),
        "SELECT sum(c) FROM sum",
        [(5,)],
        "Total 5",
    ),
    Case("gaps.xlsx", book(A=[["a", "b"], [1, 2], [], [3, 4]]), "SELECT count(*) FROM gaps", [(2,)]),
    Case("codes.xlsx", book(A=[["plz"], ["01234"], ["99999"]]), "SELECT min(plz) FROM codes", [("01234",)]),
    Case(
        "errors.xlsx",
        book(A=[["v", "w"], [1, 1], ["#N/A", 1], [3, 1]]),
        "SELECT sum(v), count(*) FROM errors",
        [(4, 3)],
    ),
    Case("big.xlsx", book(A=[["v"], [1e-20], [1.5]]), "SELECT min(v) FROM big", [(1e-20,)]),
    Case("blank.xlsx", book(A=[["v"], [1]], B=[]), "SELECT v FROM a", [(1,)], "left out: B: it has no columns"),
    Case("mixed.xlsx", book(A=[["v"], [1], ["two"], [3]]), "SELECT max(v) FROM mixed", [("two",)]),
]


def folder(**files: str) -> Make:
    def make(path: Path) -> None:
        for name, text in files.items():
            (path / name.replace("__", ".")).write_text(text)

    return make


FOLDERS = [
    Case(
        "one_empty/",
        folder(orders__csv="a,b\n1,2\n", returns__csv="a,b\n"),
        "SELECT b FROM orders",
        [(2,)],
        "returns: 0 rows",
    ),
    Case(
        "nothing_in_it/",
        folder(orders__csv="a,b\n1,2\n", returns__csv=""),
        "SELECT b FROM orders",
        [(2,)],
        "left out: returns.csv: it is empty",
    ),
    Case(
        "chinese/",
        folder(销售__csv="a\n1\n", 目标__csv="a\n2\n"),
        "SELECT x.a, m.a FROM xiao_shou x, mu_biao m",
        [(1, 2)],
    ),
    Case(
        "kinds/",
        folder(a__csv="v\n1\n", b__jsonl='{"v": 2}\n', c__tsv="v\tw\n3\t4\n"),
        "SELECT a.v + b.v + c.v FROM a, b, c",
        [(6,)],
    ),
    Case("same/", folder(a__csv="v\n1\n", a__tsv="v\n2\n"), "SELECT a.v, a_2.v FROM a, a_2", [(1, 2)]),
    Case(
        "told/",
        folder(
            a__csv="x,d\n1,1/2/2024\n",
            data__toml='dates = "day-first"\n[tables.a]\ndescription = "rows"\ncolumns.x = {name = "y"}',
        ),
        "SELECT y, d FROM a",
        [(1, date(2024, 2, 1))],
        "a: 1 rows. rows",
    ),
]


@pytest.mark.parametrize("case", [*DATABASES, *SHEETS, *FOLDERS], ids=lambda case: case.name)
def test_it_is_read_right_or_refused_with_a_remedy_that_works(case: Case, tmp_path: Path) -> None:
    holds(case, tmp_path)
