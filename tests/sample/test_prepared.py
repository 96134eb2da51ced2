"""The prepared tools give the same figures as plain SQL over the base tables."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_servers.sales import own_data, prepared
from mcp_servers.sales.arguments import Period
from mcp_servers.sales.warehouse import Warehouse
from sample import SALES
from tests.examples import at_most

BASE = "order_lines l JOIN products p ON l.product_id = p.product_id JOIN customers c ON l.customer_id = c.customer_id"
PLAIN = {
    "country": "c.country",
    "product": "p.product",
    "category": "p.category",
    "channel": "l.channel",
    "segment": "c.segment",
    "year": "left(l.order_date::VARCHAR, 4)",
    "quarter": "left(l.order_date::VARCHAR, 4) || '-Q' || ((month(l.order_date) + 2) // 3)::VARCHAR",
    "month": "left(l.order_date::VARCHAR, 7)",
}
VALUES = {
    "country": ["Germany", "France", "Norway", "Italy"],
    "product": ["Voltbay Home 11", "Voltbay Home Flex", "Voltbay Work Pro", "Voltbay Care Plan"],
    "category": ["home", "workplace", "service"],
    "channel": ["Online shop", "Wholesale"],
    "segment": ["Households", "Fleet"],
    "year": ["2022", "2024"],
    "quarter": ["2022-Q1", "2023-Q4", "2024-Q3"],
    "month": ["2022-01", "2023-12", "2025-06"],
}
MONTHS = [f"{year}-{month:02}" for year in range(2022, 2026) for month in range(1, 13)]

dimensions = st.lists(st.sampled_from(sorted(PLAIN)), unique=True, max_size=2)
filters = st.dictionaries(st.sampled_from(sorted(VALUES)), st.none(), max_size=2).flatmap(
    lambda names: st.fixed_dictionaries(
        {name: st.lists(st.sampled_from(VALUES[name]), unique=True, min_size=1) for name in names}
    )
)
periods = st.none() | st.lists(st.sampled_from(MONTHS), min_size=2, max_size=2).map(sorted)


@pytest.fixture(scope="module")
def warehouse(with_sales: Path) -> Warehouse:
    return Warehouse(lambda: own_data.load(SALES, with_sales))


def condition(chosen: dict[str, list[str]], period: list[str] | None) -> str:
    parts = [f"{PLAIN[name]} IN ({', '.join(repr(value) for value in values)})" for name, values in chosen.items()]
    if period:
        parts.append(f"{PLAIN['month']} BETWEEN '{period[0]}' AND '{period[1]}'")
    return " AND ".join(parts) or "true"


def as_period(period: list[str] | None) -> Period | None:
    return Period(start=period[0], end=period[1]) if period else None


def keyed(rows: Any, keys: int) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    return {tuple(row[:keys]): tuple(float(v) if isinstance(v, Decimal) else v for v in row[keys:]) for row in rows}


@settings(max_examples=at_most(30), deadline=None)
@given(dims=dimensions, chosen=filters, period=periods)
def test_revenue_by_equals_plain_sql(
    warehouse: Warehouse, dims: list[str], chosen: dict[str, list[str]], period: list[str] | None
) -> None:
    groups = "".join(f"{PLAIN[name]}, " for name in dims)
    expected = warehouse.rows(
        f"SELECT {groups} sum(l.revenue_eur), sum(l.units), count(DISTINCT l.order_id) FROM {BASE} "
        f"WHERE {condition(chosen, period)} GROUP BY ALL HAVING count(*) > 0"
    )
    found = prepared.revenue_by(warehouse, dims, chosen, as_period(period))
    assert found.row_count == len(expected)
    shown = keyed(found.rows, len(dims))
    everything = keyed(expected, len(dims))
    assert len(shown) == min(found.row_count, prepared.MAX_ROWS)
    assert shown == {key: everything[key] for key in shown}


@pytest.mark.slow
@settings(max_examples=at_most(10), deadline=None)
@given(limit=st.integers(1, 40), chosen=filters, period=periods)
def test_top_customers_equal_plain_sql(
    warehouse: Warehouse, limit: int, chosen: dict[str, list[str]], period: list[str] | None
) -> None:
    expected = warehouse.rows(
        f"SELECT c.customer_id, c.customer, c.country, c.segment, sum(l.revenue_eur) AS r, count(DISTINCT order_id) "
        f"FROM {BASE} WHERE {condition(chosen, period)} GROUP BY ALL ORDER BY r DESC, c.customer_id LIMIT {limit}"
    )
    found = prepared.top_customers(warehouse, limit, chosen, as_period(period))
    assert [[*row[:4], float(row[4]), row[5]] for row in expected] == found.rows


@pytest.mark.parametrize("dims", [[], ["country"], ["year"], ["country", "quarter"]])
@pytest.mark.parametrize("period", [None, ["2025-01", "2025-12"], ["2023-03", "2024-02"]])
def test_attainment_is_revenue_over_target(warehouse: Warehouse, dims: list[str], period: list[str] | None) -> None:
    when = f"month BETWEEN '{period[0]}' AND '{period[1]}'" if period else "true"
    plain = {"country": "country", "year": "left(month, 4)", "quarter": "quarter"}
    groups = "".join(f"{plain[name]}, " for name in dims)
    quarter = "left(month, 4) || '-Q' || ((right(month, 2)::INTEGER + 2) // 3)::VARCHAR AS quarter"
    goals = dict(
        keyed(
            warehouse.rows(
                f"SELECT {groups} sum(target_eur) FROM (SELECT *, {quarter} FROM targets) WHERE {when} GROUP BY ALL"
            ),
            len(dims),
        )
    )
    made = keyed(warehouse.rows(f"SELECT {groups} sum(revenue_eur) FROM sales WHERE {when} GROUP BY ALL"), len(dims))
    found = keyed(prepared.target_attainment(warehouse, dims, None, as_period(period)).rows, len(dims))
    assert found == {
        key: (made[key][0], goal, pytest.approx(100 * made[key][0] / goal, abs=0.051)) for key, (goal,) in goals.items()
    }


@pytest.mark.parametrize(
    ("short", "months"),
    [("2024", ("2024-01", "2024-12")), ("2023-Q4", ("2023-10", "2023-12")), ("2024-02", ("2024-02",) * 2)],
)
def test_a_period_has_a_short_form(warehouse: Warehouse, short: str, months: tuple[str, str]) -> None:
    long = Period(start=months[0], end=months[1])
    by_word = prepared.revenue_by(warehouse, ["month"], None, short)
    assert by_word.rows == prepared.revenue_by(warehouse, ["month"], None, long).rows
    assert by_word.rows == prepared.revenue_by(warehouse, ["month"], None, Period(start=short, end=short)).rows
    assert [by_word.rows[0][0], by_word.rows[-1][0]] == list(months)
