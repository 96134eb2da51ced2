"""The prepared tools give what plain Python over the same rows gives, whatever the shape of a stranger's data."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_servers.base.results import Table
from mcp_servers.base.serving import StartupError
from mcp_servers.sales import facts, prepared
from mcp_servers.sales.arguments import Period
from mcp_servers.sales.server import build
from mcp_servers.sales.settings import DataSettings
from mcp_servers.sales.warehouse import Warehouse
from tests.examples import at_most

Row = dict[str, Any]
QUESTIONS = 5  # about the same rows
TIMES: dict[str, Callable[[date], str]] = {
    "year": lambda day: f"{day.year:04}",
    "quarter": lambda day: f"{day.year:04}-Q{(day.month + 2) // 3}",
    "month": lambda day: f"{day.year:04}-{day.month:02}",
}
DAYS = st.sampled_from([date(1897, 12, 31), date(1999, 1, 1), date(2023, 3, 31), date(2023, 4, 1), date(2024, 2, 29)])
MOMENTS = st.sampled_from(["1999-12-31 23:59:59", "2024-01-01", "2024-01-31 12:30"]).map(datetime.fromisoformat)
MONEY = st.decimals(-1000, 1000, places=2)
WHOLE = st.integers(-3, 9)


def some(*values: str) -> st.SearchStrategy[str | None]:
    return st.sampled_from([*values, None])


@dataclass(frozen=True)
class Shape:
    """Columns with their types and values, and which of them have roles."""

    columns: dict[str, tuple[str, st.SearchStrategy[Any]]]
    roles: dict[str, Any]

    @property
    def rows(self) -> st.SearchStrategy[list[Row]]:
        return st.lists(
            st.fixed_dictionaries({name: values for name, (_, values) in self.columns.items()}), max_size=25
        )

    def settings(self, **more: Any) -> DataSettings:
        return DataSettings.model_validate({"roles": {"table": "deals", **self.roles, **more}})


PLAIN: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "day": ("DATE", DAYS),
    "paid": ("DECIMAL(9, 2)", MONEY),
    "Land": ("VARCHAR", st.sampled_from(["Chile", "Peru"])),
    "kind of": ("VARCHAR", st.sampled_from(["a", "b", "B"])),
}
ROLES = {"date": "day", "amount": "paid", "dimensions": ["Land", "kind of"]}
ORDERS = {"no": ("BIGINT", st.integers(1, 6)), "pieces": ("INTEGER", WHOLE)}
BUYERS = {"who": ("VARCHAR", some("Ann", "Bob", "Cy")), "id": ("VARCHAR", some("1", "2", "3", "4"))}
SHAPES = {
    "only what is needed": Shape(PLAIN, ROLES),
    "several rows per order": Shape(PLAIN | ORDERS, ROLES | {"order": "no", "quantity": "pieces"}),
    "gaps everywhere": Shape(
        {name: (kind, values | st.none()) for name, (kind, values) in (PLAIN | ORDERS | BUYERS).items()},
        ROLES | {"order": "no", "quantity": "pieces", "customer": "who"},
    ),
    "moments and floats": Shape(
        PLAIN | {"day": ("TIMESTAMP", MOMENTS), "paid": ("DOUBLE", st.sampled_from([0.1, 0.2, -0.3, 1e-7, 2 / 3]))},
        ROLES,
    ),
    "floats that are cents": Shape(PLAIN | {"paid": ("DOUBLE", st.sampled_from([0.1, 0.2, 0.7, 1.15]))}, ROLES),
    "whole amounts": Shape(PLAIN | {"paid": ("BIGINT", st.sampled_from([2**62, -1, 7]))}, ROLES),
    "numbers as dimensions": Shape(PLAIN | {"Land": ("INTEGER", WHOLE)}, ROLES),
    "several currencies": Shape(
        PLAIN | ORDERS | BUYERS | {"paid_currency": ("VARCHAR", some("CHF", "USD"))},
        ROLES | {"order": "no", "customer": "who", "customer_id": "id"},
    ),
    "customers with attributes": Shape(
        PLAIN | ORDERS | BUYERS,
        ROLES | {"order": "no", "customer": "who", "customer_id": "id", "customer_attributes": ["Land"]},
    ),
    "an order is of one country": Shape(
        PLAIN | {"no": ("VARCHAR", st.text("xyz", min_size=1, max_size=3)), "Land": ("VARCHAR", st.just("Chile"))},
        ROLES | {"order": "no"},
    ),
}


@contextmanager
def stored(tables: dict[str, tuple[dict[str, str], list[Row]]], said: DataSettings) -> Iterator[Warehouse]:
    """A database with these tables, each with its columns and rows."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "own.duckdb"
        with duckdb.connect(str(path)) as connection:
            for name, (columns, rows) in tables.items():
                listed = ", ".join(f'"{each}" {kind}' for each, kind in columns.items())
                connection.execute(f"CREATE TABLE {name} ({listed})")
                if rows:
                    marks = ", ".join("?" * len(columns))
                    connection.executemany(
                        f"INSERT INTO {name} VALUES ({marks})", [[row[each] for each in columns] for row in rows]
                    )
            facts.prepare(connection, said)
        yield Warehouse(lambda: (path, "1")).opened()


def kinds(shape: Shape) -> dict[str, str]:
    return {name: kind for name, (kind, _) in shape.columns.items()}


def value(row: Row, name: str) -> str | None:
    """A dimension or time as the tools write it."""
    if name in TIMES:
        return TIMES[name](row["day"]) if row["day"] else None
    return None if row[name] is None else str(row[name])


def selected(rows: list[Row], filters: dict[str, list[str]], period: list[str] | None) -> list[Row]:
    return [
        row
        for row in rows
        if all(value(row, name) in wanted for name, wanted in filters.items())
        and (period is None or (row["day"] and period[0] <= TIMES["month"](row["day"]) <= period[1]))
    ]


def total(rows: Iterable[Row], name: str) -> Any:
    values = [row[name] for row in rows if row[name] is not None]
    exact = sum(map(Decimal, map(str, values)))
    return pytest.approx(float(exact), rel=1e-12, abs=1e-12) if values else None


def asked(data: st.DataObject, rows: list[Row], names: list[str]) -> tuple[dict[str, list[str]], list[str] | None]:
    """Filters and a period that the data can answer."""
    there = {name: sorted({text for row in rows if (text := value(row, name))}) for name in [*names, *TIMES]}
    filters = {
        name: data.draw(st.lists(st.sampled_from(there[name]), min_size=1, max_size=3), label=name)
        for name in data.draw(st.lists(st.sampled_from([*names, *TIMES]), unique=True, max_size=2), label="filters")
        if there[name]
    }
    months = there["month"]
    ends = st.lists(st.sampled_from(months), min_size=2, max_size=2).map(sorted) if months else st.none()
    return filters, data.draw(st.none() | ends, label="period")


def as_period(period: list[str] | None) -> Period | None:
    return Period(start=period[0], end=period[1]) if period else None


def groups(rows: list[Row], keys: list[str]) -> dict[tuple[str | None, ...], list[Row]]:
    found: dict[tuple[str | None, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(value(row, name) for name in keys), []).append(row)
    return found


def orders(rows: list[Row]) -> int:
    return len({row["no"] for row in rows} - {None})


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@settings(max_examples=at_most(8), deadline=None)
@given(data=st.data())
def test_revenue_by(shape: Shape, data: st.DataObject) -> None:
    rows = data.draw(shape.rows)
    names = shape.roles["dimensions"]
    with stored({"deals": (kinds(shape), rows)}, shape.settings()) as warehouse:
        for _ in range(QUESTIONS):
            dims = data.draw(st.lists(st.sampled_from([*names, *TIMES]), unique=True, max_size=3), label="dims")
            filters, period = asked(data, rows, names)
            found = prepared.revenue_by(warehouse, dims, filters, as_period(period))
            keys = [*dims, *(["paid_currency"] if "paid_currency" in shape.columns else [])]
            there = groups(selected(rows, filters, period), keys)
            expected = {key: measured(shape, of) for key, of in there.items()}
            assert {tuple(row[: len(keys)]): row[len(keys) :] for row in found.rows} == expected
            assert found.row_count == len(found.rows)
            undated = sum(row["day"] is None for row in rows)
            timed = period is not None or set(filters) & set(TIMES)
            assert told(found, f"{undated} rows of the data have no date") == bool(undated and timed)


def measured(shape: Shape, rows: list[Row]) -> list[Any]:
    quantity = [total(rows, "pieces")] if "quantity" in shape.roles else []
    return [total(rows, "paid"), *quantity, *([orders(rows)] if "order" in shape.roles else [])]


def told(found: Table, words: str) -> bool:
    return any(words in note for note in found.notes)


@pytest.mark.parametrize("shape", [each for each in SHAPES.values() if "customer" in each.roles])
@settings(max_examples=at_most(8), deadline=None)
@given(data=st.data())
def test_top_customers(shape: Shape, data: st.DataObject) -> None:
    rows = data.draw(shape.rows)
    key = shape.roles.get("customer_id", "who")
    anonymous = sum(row[key] is None for row in rows)
    with stored({"deals": (kinds(shape), rows)}, shape.settings()) as warehouse:
        for _ in range(QUESTIONS):
            limit = data.draw(st.integers(1, 4), label="limit")
            filters, period = asked(data, rows, shape.roles["dimensions"])
            found = prepared.top_customers(warehouse, limit, filters, as_period(period))
            assert found.rows == best(shape, rows, selected(rows, filters, period), limit)
            assert told(found, f"{anonymous} rows of the data have no {key}") == bool(anonymous)


def best(shape: Shape, rows: list[Row], chosen: list[Row], limit: int) -> list[list[Any]]:
    key = shape.roles.get("customer_id", "who")
    shown = dict.fromkeys([key, "who", *shape.roles.get("customer_attributes", [])])
    by = [*(["paid_currency"] if "paid_currency" in shape.columns else []), key]
    expected = list[list[Any]]()
    for _, same in itertools.groupby(by_size(groups(chosen, by)), lambda each: each[0][:-1]):
        for group, its in [each for each in same if each[0][-1] is not None][:limit]:
            of = [only(row[name] for row in rows if row[key] == group[-1]) for name in shown]
            expected.append([*of, *group[:-1], total(its, "paid"), orders(its)])
    return expected


def by_size(found: dict[tuple[str | None, ...], list[Row]]) -> list[tuple[tuple[str | None, ...], list[Row]]]:
    def place(each: tuple[tuple[str | None, ...], list[Row]]) -> Any:
        key, rows = each
        paid = [row["paid"] for row in rows if row["paid"] is not None]
        return [(part is None, part or "") for part in key[:-1]], not paid, -sum(paid), key[-1] or ""

    return sorted(found.items(), key=place)


def only(values: Iterable[Any]) -> Any:
    different = {each for each in values if each is not None}
    return "several" if len(different) > 1 else next(iter(different), None)


GOALS = st.lists(
    st.fixed_dictionaries(
        {
            "month": st.sampled_from(["1897-12", "2023-03", "2023-04", "2023-05", None]),
            "Land": some("Chile", "Peru", "Cuba"),
            "goal": st.none() | st.decimals(1, 100, places=1),
        }
    ),
    max_size=12,
)


@settings(max_examples=at_most(40), deadline=None)
@given(
    rows=SHAPES["gaps everywhere"].rows, goals=GOALS, dims=st.sampled_from([[], ["Land"], ["year", "Land"], ["month"]])
)
def test_target_attainment(rows: list[Row], goals: list[Row], dims: list[str]) -> None:
    shape = SHAPES["gaps everywhere"]
    targets = {"table": "goals", "month": "month", "amount": "goal", "dimensions": ["Land"]}
    columns = {"month": "VARCHAR", "Land": "VARCHAR", "goal": "DECIMAL(6, 1)"}
    with stored(
        {"deals": (kinds(shape), rows), "goals": (columns, goals)}, shape.settings(targets=targets)
    ) as warehouse:
        found = prepared.target_attainment(warehouse, dims, None, None)
    set_ = [{**row, "day": date.fromisoformat(f"{row['month']}-01")} for row in goals if row["month"] and row["goal"]]
    expected = {}
    for key, its in groups(set_, dims).items():
        covered = {(row["month"], row["Land"]) for row in its}
        made = [row for row in rows if (value(row, "month"), row["Land"]) in covered and row["paid"] is not None]
        goal, revenue = sum(row["goal"] for row in its), sum(row["paid"] for row in made)
        expected[key] = [float(revenue), float(goal), pytest.approx(float(100 * revenue / goal), abs=0.051)]
    assert {tuple(row[: len(dims)]): row[len(dims) :] for row in found.rows} == expected
    aimless = sum(row["month"] is None for row in goals)
    assert told(found, f"{aimless} targets of the data have no month") == bool(aimless)


def test_more_groups_than_rows_are_cut_largest_first() -> None:
    rows = [{"day": date(2024, 1, 1), "paid": Decimal(at), "Land": f"L{at}", "kind of": "a"} for at in range(1500)]
    with stored(
        {"deals": (kinds(SHAPES["only what is needed"]), rows)}, SHAPES["only what is needed"].settings()
    ) as own:
        found = prepared.revenue_by(own, ["Land"], None, None)
    assert (found.row_count, found.truncated, len(found.rows)) == (1500, True, prepared.MAX_ROWS)
    assert [row[1] for row in found.rows] == list(range(1499, 499, -1))


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        ({"table": "orders"}, "roles.table: the data has no orders; it has deals"),
        ({"amount": "price"}, "roles.amount: deals has no price; it has day, paid, Land, kind of, no, pieces"),
        ({"amount": "Land"}, "roles.amount: Land is VARCHAR, not a number; these are: paid, no, pieces"),
        ({"date": "no"}, "roles.date: no is BIGINT, not a date; these are: day"),
        ({"quantity": "day"}, "roles.quantity: day is DATE, not a number"),
        ({"dimensions": ["Land", "city"]}, "roles.dimensions: deals has no city"),
        ({"customer": "Land", "customer_attributes": ["age"]}, "roles.customer_attributes: deals has no age"),
        ({"dimensions": ["no"], "quantity": "no"}, r"have a column no of their own; .*tables\.deals\.columns"),
        ({"targets": {"table": "plan", "month": "m", "amount": "a"}}, "roles.targets.table: the data has no plan"),
    ],
)
def test_a_role_that_does_not_fit_is_refused_with_what_there_is(roles: dict[str, Any], said: str) -> None:
    shape = SHAPES["several rows per order"]
    with pytest.raises(StartupError, match=said), stored({"deals": (kinds(shape), [])}, shape.settings(**roles)):
        pass


SPLIT = """order_date,country,customer_id,customer,revenue
2024-01-05,Germany,c1,Anna,600.00
2024-02-05,France,c1,Anna,500.00
2024-03-05,Spain,c2,Ben,700.00
"""
SAID = """[roles]
table = "sales"
date = "order_date"
amount = "revenue"
customer = "customer"
customer_id = "customer_id"
customer_attributes = ["country"]
dimensions = ["country"]

[tables.sales.columns.revenue]
currency = "CHF"
description = "what was paid"
"""


async def test_the_settings_beside_the_data_decide_which_tools_there_are(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text(SPLIT)
    bare = build(tmp_path / "sales.csv", tmp_path / "kept")
    assert {tool.name for tool in await bare.list_tools()} == {"describe_schema", "query"}
    assert "revenue" not in str(bare.instructions).lower()
    (tmp_path / "sales.toml").write_text(SAID)
    server = build(tmp_path / "sales.csv", tmp_path / "kept")
    tools = {tool.name: tool for tool in await server.list_tools()}
    assert set(tools) == {"describe_schema", "query", "revenue_by", "top_customers"}
    assert str(server.instructions).endswith("Revenue is what was paid, in CHF.")
    items = tools["revenue_by"].inputSchema["properties"]["dimensions"]["items"]
    assert items["enum"] == ["country", "year", "quarter", "month"]


async def test_a_customer_with_two_countries_is_one(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text(SPLIT)
    said = tmp_path / "elsewhere.toml"
    said.write_text(SAID)
    result: Any = await build(tmp_path / "sales.csv", tmp_path / "kept", said).call_tool("top_customers", {})
    found = Table.model_validate(result.structuredContent)
    assert found.columns == ["customer_id", "customer", "country", "revenue_chf"]
    assert found.rows == [["c1", "Anna", "several", 1100.0], ["c2", "Ben", "Spain", 700.0]]
    assert found.notes == ["together 100.0% of the revenue of 1800.0 CHF"]


def test_settings_that_are_named_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text(SPLIT)
    with pytest.raises(StartupError, match=r"there is no .*other\.toml"):
        build(tmp_path / "sales.csv", tmp_path / "kept", tmp_path / "other.toml")
