"""Text files as strangers bring them: what is right, or refused with a remedy that works; nothing silently wrong."""

import gzip
import json
import re
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from mcp_servers.base.serving import StartupError
from mcp_servers.sales import catalog, own_data, settings
from tests.mcp_servers.sales.cases import Case, holds, loaded

D = Decimal
CSV = [
    Case(
        "money.csv",
        "id,amount\n1,$100.00\n2,-$20.50\n3,$5.00\n",
        "SELECT sum(amount) FROM money",
        [(D("84.50"),)],
        "currency: $",
    ),
    Case("neg.csv", "id,v\n1,(1.50)\n2,2.00\n3,3-\n4,\u22124\n", "SELECT sum(v) FROM neg", [(D("-6.50"),)]),
    Case(
        "mixed.csv",
        "id,amount\n1,$100.00\n2,€100.00\n3,£100.00\n4,USD 50\n5,EUR 50\n",
        "SELECT amount_currency, sum(amount) FROM mixed GROUP BY ALL ORDER BY 1",
        [("$", D(100)), ("EUR", D(150)), ("GBP", D(100)), ("USD", D(50))],
        "currency: in amount_currency",
    ),
    Case("tiny.csv", "g,p\na,1e-20\nb,0.5\nc,5e-14\n", "SELECT p FROM tiny", [(1e-20,), (0.5,), (5e-14,)]),
    Case("huge.csv", "b,m\nsun,1.989e30\nball,5\n", "SELECT m FROM huge", [(1.989e30,), (5.0,)]),
    Case(
        "long.csv", "v\n0.12345678901234567\n1\n", "SELECT max(v) FROM long", [(1.0,)], "the first 15 digits are exact"
    ),
    Case("percent.csv", "v\n5 %\n7.5%\n", "SELECT sum(v) FROM percent", [(D("12.5"),)], "in percent"),
    Case("half.csv", "v\n5 %\n7.5\n", "SELECT v FROM half ORDER BY 1", [("5 %",), ("7.5",)], "only some of its values"),
    Case("swiss.csv", "v\n1'234.50\n2\n", "SELECT sum(v) FROM swiss", [(D("1236.5"),)]),
    Case("french.csv", "v;w\n1\u202f234,50;a\n2,25;b\n", "SELECT sum(v) FROM french", [(D("1236.75"),)], "1.234,50"),
    Case(
        "thousand.csv",
        'v\n"1,234"\n"5,678"\n',
        "SELECT sum(v) FROM thousand",
        [(6912,)],
        'decimal = "." or ","',
        'decimal = "."',
    ),
    Case("decided.csv", "v;w\n1.234;0,5\n5.678;1,5\n", "SELECT sum(v) FROM decided", [(6912,)], "decimal read as ,"),
    Case("phone.csv", "v\n+491701234567\n+491707654321\n", "SELECT min(v) FROM phone", [("+491701234567",)]),
    Case("zip.csv", "plz\n01234\n99999\n", "SELECT min(plz) FROM zip", [("01234",)]),
    Case(
        "words.csv",
        "v\n" + "1\n" * 99 + "TBD\n",
        "SELECT sum(v) FROM words",
        [(99,)],
        "1 of its 100 values are not a number, such as 'TBD'",
        'missing = ["TBD"]',
    ),
    Case(
        "words2.csv", "v,w\n1,a\nN/A,b\n", "SELECT sum(v) FROM words2", [(1,)], "1 missing values were written as words"
    ),
    Case(
        "monthly.csv",
        "month,units\n" + "".join(f"{month}/1/2023,{10 * month}\n" for month in range(1, 13)),
        "SELECT quarter(month), sum(units) FROM monthly GROUP BY ALL ORDER BY 1",
        [(1, 60), (2, 150), (3, 240), (4, 330)],
        'say in monthly.toml: dates = "day-first" or "month-first"',
        'dates = "month-first"',
    ),
    Case(
        "two.csv",
        "ordered,shipped\n1/2/2023,1/15/2023\n3/4/2023,3/18/2023\n",
        "SELECT max(shipped - ordered) FROM two",
        [(14,)],
        "dates read as month-first",
    ),
    Case("late.csv", "d\n" + "1/2/2023\n" * 600 + "13/2/2023\n", "SELECT max(d) FROM late", [(date(2023, 2, 13),)]),
    Case(
        "orders2.csv",
        "d\n13/1/2023\n1/13/2023\n",
        "SELECT count(d) FROM orders2",
        [(2,)],
        "some of its dates are day first",
    ),
    Case(
        "zone.csv",
        "t\n2024-01-05T10:00:00+02:00\n",
        "SELECT t FROM zone",
        [(datetime.fromisoformat("2024-01-05 08:00"),)],
        "UTC",
    ),
    Case("epoch.csv", "t\n2024-01-05\nepoch\n", "SELECT min(t) FROM epoch", [("2024-01-05",)]),
    Case("pm.csv", 't\n"Jan 5, 2024 3:04 PM"\n', "SELECT t FROM pm", [(datetime.fromisoformat("2024-01-05 15:04"),)]),
    Case("y2.csv", "d\n31.12.24\n01.01.70\n", "SELECT max(d) FROM y2", [(date(2024, 12, 31),)], "1969 to 2068"),
    Case("midnight.csv", "d\n2024-01-05 00:00:00\n", "SELECT d FROM midnight", [(date(2024, 1, 5),)]),
    Case("sep.csv", "sep=;\nKunde;Umsatz\nA;10,5\nB;20,5\n", "SELECT sum(umsatz) FROM sep", [(D("31.0"),)]),
    Case(
        "preamble.csv",
        "Umsatzbericht 2024\nErstellt am 01.02.2024\n\nKunde;Umsatz;Land\nA;10,5;DE\nB;20,5;AT\nC;1,5;CH\n",
        "SELECT sum(umsatz) FROM preamble",
        [(D("32.5"),)],
        "2 lines above the header left out: Umsatzbericht 2024; Erstellt am 01.02.2024",
    ),
    Case("years.csv", "land,2023,2024\nA,1,2\n", "SELECT c_2024 FROM years", [(2,)], "original name: 2024"),
    Case("bare.csv", "1,2.5\n3,4.5\n", "SELECT sum(column_2) FROM bare", [(D(7),)], "no line has names of columns"),
    Case(
        "footer.csv",
        "land;ort;umsatz\nA;x;1\nB;y;2\nTotal;;3\nQuelle: Amt;;\n",
        "SELECT sum(umsatz) FROM footer",
        [(3,)],
        "2 lines below the data left out: Total 3; Quelle: Amt",
    ),
    Case("holes.csv", "who,tel,mail\nAnna,x,y\nBen,,\nCarl,,\n", "SELECT count(*) FROM holes", [(3,)]),
    Case(
        "total.csv",
        "land,umsatz\nA,1\nTotal,1\n",
        "SELECT sum(umsatz) FROM total",
        [(1,)],
        "looks like a total",
        "footer_lines = 1",
    ),
    Case("short.csv", "a,b,c\n1,2,3\n4,5\n6,7,8\n", "SELECT count(*), count(c) FROM short", [(3, 2)], "too few fields"),
    Case("wide.csv", "a,b\n1,2\n4,5,6\n", told="line 3 has 3 fields, the header has 2", remedy='delimiter = ";"'),
    Case("open.csv", 'a,b\n1,"x\n2,y\n', "SELECT count(*) FROM open", [(2,)], "a quote", 'quote = ""'),
    Case("inch.csv", 'a,b\n1,5" pipe\n2,y\n', "SELECT b FROM inch ORDER BY a", [('5" pipe',), ("y",)]),
    Case("mac.csv", b"a,b\r1,2\r3,4\r", "SELECT sum(b) FROM mac", [(6,)]),
    Case("ends.csv", b'a,b\r\n1,"x\ny"\n3,4\r\n', "SELECT count(*) FROM ends", [(2,)]),
    Case("tabs.tsv", "a\tb\n1\t2\n", "SELECT b FROM tabs", [(2,)]),
    Case("one.csv", "note\nalpha; beta\ngamma; delta, epsilon\n", "SELECT count(*) FROM one", [(2,)]),
    Case("twice.csv", "Kunde,kunde\n1,2\n", "SELECT kunde, kunde_2 FROM twice", [(1, 2)]),
    Case("order.csv", "a,b\n1,2\n", "SELECT b FROM order_", [(2,)], "original name: order"),
    Case("packed.csv.gz", gzip.compress(b"a,b\n1,2\n"), "SELECT b FROM packed", [(2,)]),
    Case("utf16.csv", "a;b\n1;ü\n".encode("utf-16"), "SELECT b FROM utf16", [("ü",)]),
    Case(
        "west.csv",
        "Kunde;Ort\nMüller;Köln\nGröße;Fürth\n".encode("cp1252"),
        "SELECT max(ort) FROM west",
        [("Köln",)],
        "cp1252",
    ),
    Case(
        "kyrillisch.csv",
        "id;товар;сумма\n1;Молоко;10,50\n2;Хлеб;20,75\n".encode("cp1251"),
        "SELECT tovar, summa FROM kyrillisch",
        [("Молоко", D("10.50")), ("Хлеб", D("20.75"))],
        '"cp1251" (товар)',
        'encoding = "cp1251"',
    ),
    Case("empty.csv", "a,b\n", "SELECT count(*) FROM empty", [(0,)], "empty: 0 rows"),
    Case(
        "lines.jsonl", '{"a": 1, "d": "2024-01-05"}\n{"a": 2.5, "n": {"x": 1}}\n', "SELECT sum(a) FROM lines", [(3.5,)]
    ),
    Case("list.json", json.dumps([{"v": "1.234,50"}, {"v": "2,5"}]), "SELECT sum(v) FROM list", [(D("1237.00"),)]),
]


CSV += [
    Case("inches.csv", 'size,"Net" amount,q2\n10,1,2\n11,3,4\n', "SELECT sum(q2) FROM inches", [(6,)]),
    Case(
        "best.csv", '"Best" products 2024\nregion,q1,q2\nA,1,2\nB,3,4\n', "SELECT sum(q2) FROM best", [(6,)], "left out"
    ),
    Case(
        "utf16le.txt", "a\tb\r\n1\tü\r\n2\tx\r\n".encode("utf-16"), "SELECT count(*), max(b) FROM utf16le", [(2, "ü")]
    ),
    Case(
        "header.csv",
        'size,"Net,q2\n' + "1,2,3\n" * 300,
        "SELECT count(*) FROM header",
        [(300,)],
        "a quote",
        'quote = ""',
    ),
    Case("quoted.csv", '"a";"b"\n"1";"2"\n', "SELECT b FROM quoted", [(2,)]),
    Case(
        "long_last.csv",
        "id,name,text\n" + "1,a,b\n" * 50 + '2,c,"' + "x y\n" * 7000 + '"\n',
        "SELECT count(*) FROM long_last",
        [(51,)],
    ),
    Case("large.csv", "v\n123456789012345\n0.1234\nNA\n", "SELECT sum(v) FROM large", [(D("123456789012345.1234"),)]),
    Case("huge2.csv", "v\n123456789012345678\n0.5\n", "SELECT sum(v) FROM huge2", [(D("123456789012345678.5"),)]),
    Case(
        "year.csv",
        "d\n23/12/31\n24/01/15\n",
        "SELECT max(d) FROM year",
        [(date(2024, 1, 15),)],
        "may have the day or the month first",
        'dates = "year-first"',
    ),
    Case("beside.csv", "id,amount,currency\n1,100,EUR\n2,200,USD\n", told="currency: in currency"),
    Case(
        "one_note.csv",
        "v\n" + "1\n" * 700 + "TBD\n",
        told="['one_note', 'v', 'VARCHAR', \"text, because 1 of its 701 values",
    ),
    Case("codes.csv", "v\n10E4\n1E5\n", "SELECT min(v) FROM codes", [("10E4",)]),
    Case("exact.csv", "v\n9007199254740993\n1e3\n", told="the first 15 digits are exact"),
    Case(
        "euro.csv",
        "name;betrag\nA;5 €\nB;6 €\n".encode("cp1252"),
        "SELECT sum(betrag) FROM euro",
        [(11,)],
        "currency: EUR",
    ),
    Case("subtotals.csv", "a,b,c\nA,x,1\nSubtotal,,1\nB,y,3\n", told="1 rows look like totals, by a: do not add them"),
    Case("tel.csv", "v\n+49 170 1234567\n", "SELECT v FROM tel", [("+49 170 1234567",)]),
    Case("odd.csv", "v\n13)\n--5\n7\n", "SELECT count(*) FROM odd WHERE v IN ('13)', '--5')", [(2,)]),
    Case(
        "wide2.csv",
        ",".join(f"{'long' * 250}_{at}" for at in range(300)) + "\n" + "1," * 299 + "1\n",
        f"SELECT {'long' * 250}_299 FROM wide2",
        [(1,)],
    ),
    Case("same2.csv", "a (3),a,a\n1,2,3\n", "SELECT count(*) FROM same2", [(1,)]),
    Case("days.jsonl", '{"d": "01-02-2024"}\n{"d": "03-14-2024"}\n', "SELECT max(d) FROM days", [(date(2024, 3, 14),)]),
    Case(
        "day.jsonl",
        '{"d": "01-02-2024"}\n',
        "SELECT d FROM day",
        [(date(2024, 2, 1),)],
        "dates may",
        'dates = "day-first"',
    ),
]


def late(middle: str) -> str:
    rows = [f"{number},row,{number}" for number in range(1, 25001)]
    return "id,name,amount\n" + "\n".join(rows) + f"\n25001,{middle},7.5\n"


CSV += [
    Case(
        f"late{number}.csv",
        late(middle),
        f"SELECT count(*), sum(amount) FROM late{number}",
        [(25001, D("312512507.5"))],
    )
    for number, middle in enumerate(('"two\nlines"', '"a, b"', '"a ""b"""'))
]


@pytest.mark.parametrize("case", CSV, ids=lambda case: case.name)
def test_it_is_read_right_or_refused_with_a_remedy_that_works(case: Case, tmp_path: Path) -> None:
    holds(case, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "said", "told"),
    [
        ("cut.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 99999, mtime=0)[:200], "", "ended before"),
        ("few.csv", b"a,b\n1,2\n", 'delimiter = "||"', "delimiter: String should have at most 1 character"),
        ("typo.csv", b"a,b\n1,2\n", 'dats = "day-first"', "dats: Extra inputs are not permitted"),
        ("gone.csv", b"a,b\n1,2\n", "[tables.other]", "has settings for other; the tables are gone"),
        (
            "named.csv",
            b"a,b\n1,2\n",
            "tables.named.columns.c = {text = true}",
            "names columns that it does not have: c",
        ),
        ("semicolons.csv", b'"a";"b"\n"1";"2"\n', 'delimiter = ","', 'a quote (") that is not closed'),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(
    name: str, content: bytes, said: str, told: str, tmp_path: Path
) -> None:
    data = tmp_path / name
    data.write_bytes(content)
    if said:
        settings.place(data).write_text(said)
    with pytest.raises(StartupError, match=re.escape(told)) as refusal:
        loaded(data, tmp_path).rows("SELECT 1")
    assert "\n" not in str(refusal.value)
    assert str(data) in str(refusal.value)


def test_a_passing_failure_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    for name in "ab":
        (tmp_path / "data" / f"{name}.csv").write_text("v\n1\n")
    with monkeypatch.context() as full:
        full.setattr(catalog, "record", lambda *_: (_ for _ in ()).throw(duckdb.IOException("no space left")))
        with pytest.raises(StartupError, match="no space left"):
            own_data.load(tmp_path / "data", tmp_path / "own")
    assert loaded(tmp_path / "data", tmp_path).rows("SELECT a.v + b.v FROM a, b") == [(2,)]
