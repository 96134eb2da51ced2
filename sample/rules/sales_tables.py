"""Which tool calls answer a sales question: the prepared views where they fit, one SELECT where they do not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from app.stand_in.wire import Call
from sample.rules.periods import Span, month_label, span
from sample.rules.sales_ask import Ask, literal
from sample.rules.vocabulary import TIME

SERVER = "sales"
DEFAULT_CUSTOMERS = 10
SHARED = ("product", "channel", "segment", "category")
TARGET_DIMENSIONS = ("country", "year", "quarter")
# Ahead of the words of the question: these need a series that is fine enough and as long as it can be.
MONTHLY_INTENTS = frozenset({"forecast", "seasonality"})

Json = dict[str, object]


@dataclass(frozen=True)
class Fetch:
    """One call, and what its table is: `kind` names the rule in sales_findings.py that reads it.

    `period` is the label of all rows; "" where each row has its own time.
    """

    kind: str
    call: Call
    filters: Mapping[str, list[str]]
    dimensions: tuple[str, ...] = ()
    period: str = ""


RETURNS = "(SELECT line_id, sum(units) AS returned FROM returns GROUP BY line_id)"
# A figure that needs SQL: its columns, the table that they come from, and by which it is ordered.
SELECTS: Mapping[str, tuple[str, str, str]] = {
    "basic": (
        "sum(revenue_eur) AS revenue_eur, sum(units) AS units, count(DISTINCT order_id) AS orders",
        "sales",
        "revenue_eur",
    ),
    "discount": ("round(avg(discount_pct), 2) AS average_discount_pct", "sales", "average_discount_pct"),
    "returns": (
        "coalesce(sum(returned), 0) AS returned_units, sum(units) AS sold_units, "
        "round(100.0 * coalesce(sum(returned), 0) / sum(units), 2) AS return_rate_pct",
        f"sales LEFT JOIN {RETURNS} AS sent_back USING (line_id)",
        "returned_units",
    ),
}


def fetches(ask: Ask) -> list[Fetch]:
    """The calls for every measure of the question, each call once."""
    found: list[Fetch] = []
    for measure in ask.measures:
        found += _RULES.get(measure, _basic)(ask)
    return list({repr(fetch.call): fetch for fetch in found}.values())


def _basic(ask: Ask) -> list[Fetch]:
    """Revenue, units and orders: one view has all three."""
    intents, dimensions = ask.reading.intents, ask.dimensions
    if "fastest" in intents and dimensions:
        return [_fastest(ask, dimensions[0])]
    if "share" in intents:
        return [_share(ask)]
    found = []
    if (
        not (intents & MONTHLY_INTENTS)
        or "growth" in intents
        or ask.period
        or dimensions
        or ask.reading.time_dimensions
    ):
        found.append(_by(ask, dimensions, ask.grain, ask.period))
    if ask.grain and dimensions:
        found.append(_by(ask, [], ask.grain, ask.period))
    if intents & MONTHLY_INTENTS:
        found.append(_by(ask, [], "month", None, kind="series"))
    return found


def _by(ask: Ask, dimensions: Sequence[str], grain: str | None, period: Span | None, kind: str = "basic") -> Fetch:
    """Filters stay in the table as columns, so that it says itself what it is about."""
    period = _with_the_year_before(ask, period)
    shown = _shown(ask, dimensions, grain)
    label = "" if grain else ask.label
    arguments: Json = {"dimensions": shown}
    arguments |= {"filters": ask.filters} if ask.filters else {}
    arguments |= {"period": period.bounds} if period else {}
    return Fetch(kind, Call(f"{SERVER}__revenue_by", arguments), ask.filters, tuple(shown), label)


def _share(ask: Ask) -> Fetch:
    """Of a value among its siblings: its own dimension is broken down and not filtered."""
    dimension = [*ask.dimensions, *(name for name in ask.filters if name in SHARED), "country"][0]
    filters = {name: values for name, values in ask.filters.items() if name != dimension}
    over_time = ask.reading.time_dimensions or len(ask.keep) > 1 or "growth" in ask.reading.intents
    grain = ask.grain if over_time else None
    shown = (*filters, dimension, *([grain] if grain else []))
    covered = ask.period or ask.schema.coverage
    arguments: Json = {"dimensions": list(shown)}
    arguments |= {"filters": filters} if filters else {}
    arguments |= {"period": covered.bounds} if covered else {}
    return Fetch("basic", Call(f"{SERVER}__revenue_by", arguments), filters, shown, "" if grain else ask.label)


def _fastest(ask: Ask, dimension: str) -> Fetch:
    """Growth by group between two years, ranked by SQL."""
    covered = ask.schema.coverage
    last = (ask.period or covered or span(0, 11)).end // 12
    first = ask.period.start // 12 if ask.period else last
    first = last - 1 if first == last else first
    column = {"units": "sum(units)", "orders": "count(DISTINCT order_id)"}.get(ask.measures[0], "sum(revenue_eur)")
    figures = ", ".join(
        f"{column} FILTER (WHERE year = '{year}') AS {name}"
        for year, name in ((first, "value_before"), (last, "value_after"))
    )
    change = "round(100.0 * (value_after - value_before) / value_before, 2) AS change_pct"
    direction = "ASC" if "bottom" in ask.reading.intents else "DESC"
    grouped = f"SELECT {dimension}, {figures} FROM sales{_where(ask, None)} GROUP BY {dimension}"
    ranked = f"FROM ({grouped}) ORDER BY change_pct {direction}"
    sql = f"SELECT {dimension}, value_before, value_after, {change} {ranked}"
    label = str(last) if first == last - 1 else f"{first} to {last}"
    return Fetch("fastest", Call(f"{SERVER}__query", {"sql": sql}), ask.filters, (dimension,), label)


def _customers(ask: Ask) -> list[Fetch]:
    arguments: Json = {"limit": DEFAULT_CUSTOMERS}
    arguments |= {"filters": ask.filters} if ask.filters else {}
    arguments |= {"period": ask.period.bounds} if ask.period else {}
    return [Fetch("customers", Call(f"{SERVER}__top_customers", arguments), ask.filters, period=ask.label)]


def _targets(ask: Ask) -> list[Fetch]:
    """Targets are set by country and month: other filters do not apply to them."""
    countries = {name: values for name, values in ask.filters.items() if name == "country"}
    wanted = [*countries, *ask.dimensions, ask.grain if ask.grain in TARGET_DIMENSIONS else "year"]
    shown = [each for each in dict.fromkeys(wanted) if each in TARGET_DIMENSIONS]
    arguments: Json = {"dimensions": shown}
    arguments |= {"filters": countries} if countries else {}
    arguments |= {"period": ask.period.bounds} if ask.period else {}
    return [Fetch("targets", Call(f"{SERVER}__target_attainment", arguments), countries, tuple(shown))]


def _selected(measure: str) -> Callable[[Ask], list[Fetch]]:
    def rule(ask: Ask) -> list[Fetch]:
        grain = _named_grain(ask) if ask.dimensions else ask.grain
        shown = _shown(ask, ask.dimensions, grain)
        label = "" if set(shown) & set(TIME) else ask.label
        return [Fetch(measure, _query(measure, ask, shown, ask.period), ask.filters, tuple(shown), label)]

    return rule


def _query(measure: str, ask: Ask, shown: Sequence[str], period: Span | None) -> Call:
    figures, source, order = SELECTS[measure]
    times = [each for each in shown if each in TIME]
    ranked = f"{order} {'ASC' if 'bottom' in ask.reading.intents else 'DESC'}"
    if measure == "returns" and "rate" in ask.reading.text.lower():
        ranked = ranked.replace("returned_units", "return_rate_pct")
    columns = ", ".join([*shown, figures])
    group = f" GROUP BY {', '.join(shown)}" if shown else ""
    where = _where(ask, period)
    sql = f"SELECT {columns} FROM {source}{where}{group} ORDER BY {', '.join([*times, ranked])}"
    return Call(f"{SERVER}__query", {"sql": sql})


def _where(ask: Ask, period: Span | None) -> str:
    conditions = [
        f"{name} IN ({', '.join(literal(value) for value in values)})" for name, values in ask.filters.items()
    ]
    if period:
        conditions.append(f"month BETWEEN '{month_label(period.start)}' AND '{month_label(period.end)}'")
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _shown(ask: Ask, dimensions: Sequence[str], grain: str | None) -> list[str]:
    fixed = [name for name, values in ask.filters.items() if len(values) == 1]
    shown = list(dict.fromkeys([*fixed, *dimensions, *([grain] if grain else [])]))
    return shown or ["year"]


def _named_grain(ask: Ask) -> str | None:
    return ask.grain if ask.reading.time_dimensions or len(ask.keep) > 1 else None


def _with_the_year_before(ask: Ask, period: Span | None) -> Span | None:
    """Growth in one period needs the same period a year earlier."""
    covered = ask.schema.coverage
    if period is None or covered is None or "growth" not in ask.reading.intents or len(period.years) > 1:
        return period
    return span(max(covered.start, period.start - 12), period.end)


_RULES: Mapping[str, Callable[[Ask], list[Fetch]]] = {"customers": _customers, "target": _targets} | {
    measure: _selected(measure) for measure in SELECTS if measure != "basic"
}
