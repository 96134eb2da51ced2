"""The prepared queries: revenue by dimensions, top customers, target attainment."""

from collections.abc import Sequence
from typing import Any

from mcp_servers.base.results import Table
from mcp_servers.sales.arguments import Filters, Period
from mcp_servers.sales.plain import cells
from mcp_servers.sales.selection import (
    EXPRESSIONS,
    TIMES,
    Selection,
    column_list,
    require,
    select,
    source_columns,
)
from mcp_servers.sales.warehouse import Warehouse

MAX_ROWS = 1000
REVENUE = "round(sum(revenue_eur), 2)"
NOTHING = "no sales match these filters"


def revenue_by(warehouse: Warehouse, dims: list[str], filters: Filters | None, period: Period | str | None) -> Table:
    """Net revenue, units and number of orders; by time if a dimension is a time, else by size."""
    require(warehouse, "sales", ["revenue_eur", "units", "order_id", *source_columns(dims)])
    chosen = select(warehouse, list(EXPRESSIONS), filters, period)
    found = warehouse.rows(
        f"""
        SELECT {_dimensions(dims)} {REVENUE}, sum(units), count(DISTINCT order_id)
        FROM sales WHERE {chosen.where} GROUP BY ALL HAVING count(*) > 0 ORDER BY {_order(dims)}
        """,  # noqa: S608
        chosen.parameters,
    )
    columns = [*dims, "revenue_eur", "units", "orders"]
    return _table(warehouse, f"Revenue{_by(dims)}", columns, found, chosen)


def top_customers(warehouse: Warehouse, limit: int, filters: Filters | None, period: Period | str | None) -> Table:
    """The customers with the highest net revenue, and their share of the total."""
    identity = ["customer_id", "customer", "country", "segment"]
    require(warehouse, "sales", [*identity, "revenue_eur", "order_id"])
    chosen = select(warehouse, list(EXPRESSIONS), filters, period)
    found = warehouse.rows(
        f"""
        SELECT {column_list(identity)}, {REVENUE} AS revenue, count(DISTINCT order_id)
        FROM sales WHERE {chosen.where} GROUP BY ALL ORDER BY revenue DESC, customer_id LIMIT ?
        """,  # noqa: S608
        [*chosen.parameters, limit],
    )
    table = _table(warehouse, f"Top {limit} customers by revenue", [*identity, "revenue_eur", "orders"], found, chosen)
    if found:
        [(total,)] = warehouse.rows(f"SELECT {REVENUE} FROM sales WHERE {chosen.where}", chosen.parameters)  # noqa: S608
        share = 100 * sum(row[4] for row in found) / total
        table.notes.append(f"together {share:.1f}% of the revenue of {total} EUR")
    return table


def target_attainment(
    warehouse: Warehouse, dims: list[str], filters: Filters | None, period: Period | str | None
) -> Table:
    """Net revenue against target in percent, without the months that have no target."""
    require(warehouse, "sales", ["order_date", "country", "revenue_eur"])
    require(warehouse, "targets", ["country", "month", "target_eur"])
    chosen = select(warehouse, ["country", *TIMES], filters, period)
    found = warehouse.rows(
        f"""
        WITH goals AS (
            SELECT country, CAST(left(CAST(month AS VARCHAR), 7) || '-01' AS DATE) AS order_date,
                   sum(target_eur) AS target FROM targets GROUP BY ALL
        ), reached AS (
            SELECT country, date_trunc('month', order_date) AS order_date, sum(revenue_eur) AS revenue
            FROM sales GROUP BY ALL
        ), monthly AS (SELECT * FROM goals LEFT JOIN reached USING (country, order_date) WHERE {chosen.where})
        SELECT {_dimensions(dims)} round(coalesce(sum(revenue), 0), 2), round(sum(target), 2),
               round(100 * coalesce(sum(revenue), 0) / sum(target), 1)
        FROM monthly GROUP BY ALL HAVING count(*) > 0 ORDER BY {_order(dims, by_size=False)}
        """,  # noqa: S608
        chosen.parameters,
    )
    columns = [*dims, "revenue_eur", "target_eur", "attainment_pct"]
    return _table(warehouse, f"Revenue against target{_by(dims)}", columns, found, chosen)


def _dimensions(dims: list[str]) -> str:
    return "".join(f"{EXPRESSIONS[name]} AS {name}, " for name in dims)


def _order(dims: list[str], *, by_size: bool = True) -> str:
    if by_size and not set(dims) & set(TIMES):
        return f"{len(dims) + 1} DESC{''.join(f', {name}' for name in dims)}"
    return ", ".join(dims) or "1"


def _by(dims: list[str]) -> str:
    return f" by {', '.join(dims)}" if dims else ""


def _table(
    warehouse: Warehouse, title: str, columns: list[str], found: Sequence[tuple[Any, ...]], chosen: Selection
) -> Table:
    return Table(
        title=f"{title}{chosen.words}",
        columns=columns,
        rows=cells(found[:MAX_ROWS]),
        row_count=len(found),
        truncated=len(found) > MAX_ROWS,
        notes=chosen.notes if found else [*chosen.notes, NOTHING],
        data_version=warehouse.data_version,
    )
