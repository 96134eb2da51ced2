"""The prepared queries: revenue by dimensions, top customers, target attainment."""

from collections.abc import Sequence
from typing import Any

from mcp_servers.base.results import Table
from mcp_servers.sales.arguments import Filters, Period
from mcp_servers.sales.facts import first, of
from mcp_servers.sales.plain import cells
from mcp_servers.sales.roles import MONTHS_IN, Facts
from mcp_servers.sales.selection import Selection, as_text, column_of, expression, select
from mcp_servers.sales.warehouse import Warehouse

MAX_ROWS = 1000
DIGITS = 15  # significant ones of a floating point number
Found = tuple[Sequence[Sequence[Any]], int]  # the rows up to the limit, and how many there are
DISTINCT = "count(DISTINCT order_code)"


def revenue_by(warehouse: Warehouse, dims: list[str], filters: Filters | None, period: Period | str | None) -> Table:
    """Revenue, quantity and number of orders; by time if a dimension is a time, else by size."""
    facts = warehouse.facts
    chosen = select(warehouse, [*facts.dimensions, *MONTHS_IN], filters, period)
    keys = list(dict.fromkeys([*dims, *facts.currencies]))
    orders = _orders(facts, {column_of(name): MONTHS_IN.get(name, 1) == 1 for name in keys}, chosen)
    measures = {facts.revenue: "sum(amount)"}
    measures |= {facts.quantity: "sum(quantity)"} if facts.quantity else {}
    measures |= {"orders": orders} if orders else {}
    by_size = not set(dims) & set(MONTHS_IN)
    found = _grouped(warehouse, "lines" if orders == DISTINCT else "cube", keys, measures, chosen, by_size=by_size)
    return _table(warehouse, f"Revenue{_by(dims)}", [*keys, *measures], found, chosen)


def top_customers(warehouse: Warehouse, limit: int, filters: Filters | None, period: Period | str | None) -> Table:
    """The customers with the highest revenue (in each currency), and their share of the total."""
    facts = warehouse.facts
    chosen = select(warehouse, [*facts.dimensions, *MONTHS_IN], filters, period)
    currencies = [of(name) for name in facts.currencies]
    orders = _orders(facts, dict.fromkeys(["customer", *currencies], True), chosen)
    source = "lines" if chosen.conditions or orders == DISTINCT else "buyers"
    keys, shown = ", ".join(["customer", *currencies]), [f"c{at}" for at in range(len(facts.customer))]
    rank = "ORDER BY sum(amount) DESC NULLS LAST, customer"
    best = (
        f"QUALIFY row_number() OVER (PARTITION BY {', '.join(currencies)} {rank}) <= ?"
        if currencies
        else f"{rank} LIMIT ?"
    )
    found = warehouse.rows(
        f"""
        SELECT {", ".join([*shown, *currencies, "amount", *(["orders"] if orders else [])])} FROM (
            SELECT {keys}, sum(amount) AS amount, {orders or 0} AS orders FROM prepared.{source}
            WHERE {chosen.where} AND customer IS NOT NULL GROUP BY {keys} {best}
        ) JOIN prepared.customers ON code = customer
        ORDER BY {", ".join([*currencies, "amount DESC NULLS LAST", "customer"])}
        """,  # noqa: S608
        [*chosen.parameters, limit],
    )
    columns = [*facts.customer, *facts.currencies, facts.revenue, *(["orders"] if orders else [])]
    if facts.anonymous:
        chosen.notes.append(f"{facts.anonymous} rows of the data have no {facts.customer[0]}; they are left out")
    if found and not currencies:
        chosen.notes += _share(warehouse, chosen, sum(row[len(shown)] or 0 for row in found))
    return _table(warehouse, f"Top {limit} customers by revenue", columns, (found, len(found)), chosen)


def target_attainment(
    warehouse: Warehouse, dims: list[str], filters: Filters | None, period: Period | str | None
) -> Table:
    """Revenue against target in percent, without the months that have no target."""
    facts = warehouse.facts
    chosen = select(warehouse, [*facts.target_dimensions, *MONTHS_IN], filters, period)
    revenue = "coalesce(sum(amount), 0)"
    measures = {facts.revenue: revenue, facts.target: "sum(target)"}
    measures |= {"attainment_pct": f"round(100 * {revenue} / sum(target), 1)"}
    found = _grouped(warehouse, "attainment", dims, measures, chosen, by_size=False)
    if facts.aimless:
        chosen.notes.append(f"{facts.aimless} targets of the data have no month; they are left out")
    return _table(warehouse, f"Revenue against target{_by(dims)}", [*dims, *measures], found, chosen)


def _orders(facts: Facts, grouped: dict[str, bool], chosen: Selection) -> str:
    """How to count orders once each. `grouped`: columns of the groups, and whether a group has one value of it."""
    if not facts.orders:
        return ""
    single = {column for column, one in grouped.items() if one} | {each for each, n in chosen.leaves.items() if n == 1}
    used = [column for column in facts.varying if column in grouped or column in chosen.leaves]
    for column in list(used):  # a product decides its category
        if any((other, column) in facts.determined for other in single.intersection(used)):
            used.remove(column)
    if not used:
        return f"sum({first()})"
    return f"sum({first(used[0])})" if len(used) == 1 and used[0] in single else DISTINCT


def _grouped(
    warehouse: Warehouse, source: str, keys: list[str], measures: dict[str, str], chosen: Selection, *, by_size: bool
) -> Found:
    places = [str(at) for at in range(1, len(keys) + 1)]
    if by_size:
        currencies = [str(keys.index(each) + 1) for each in warehouse.facts.currencies]
        places = [*currencies, f"{len(keys) + 1} DESC NULLS LAST", *places]
    rows = warehouse.rows(
        f"""
        SELECT {", ".join([*map(expression, keys), *measures.values(), "count(*) OVER ()"])} FROM prepared.{source}
        WHERE {chosen.where} GROUP BY ALL HAVING count(*) > 0 ORDER BY {", ".join(places) or "1"} LIMIT {MAX_ROWS}
        """,  # noqa: S608
        chosen.parameters,
    )
    times = [(at, name) for at, name in enumerate(keys) if name in MONTHS_IN]
    found = [list(row[:-1]) for row in rows]
    for row in found:
        for at, name in times:
            row[at] = None if row[at] is None else as_text(name, row[at])
    return found, rows[0][-1] if rows else 0


def _share(warehouse: Warehouse, chosen: Selection, part: Any) -> list[str]:
    [(total,)] = warehouse.rows(f"SELECT sum(amount) FROM prepared.cube WHERE {chosen.where}", chosen.parameters)  # noqa: S608
    of_all = f"{cells([[_rounded(total)]])[0][0]} {warehouse.facts.unit}".strip()
    return [f"together {100 * part / total:.1f}% of the revenue of {of_all}"] if total and total > 0 else []


def _by(dims: list[str]) -> str:
    return f" by {', '.join(dims)}" if dims else ""


def _rounded(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _table(warehouse: Warehouse, title: str, columns: list[str], found: Found, chosen: Selection) -> Table:
    rows, count = found
    notes = list(chosen.notes) if rows else [*chosen.notes, "no sales match these filters"]
    if warehouse.facts.unpriced:
        notes.append(f"{warehouse.facts.unpriced} rows of the data have no {warehouse.facts.amount}")
    return Table(
        title="".join([title, *(f", {each}" for each in chosen.words)]),
        columns=columns,
        rows=cells([_rounded(value) for value in row] for row in rows),
        row_count=count,
        truncated=count > len(rows),
        notes=notes,
        data_version=warehouse.data_version,
    )
