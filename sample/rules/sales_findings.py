"""Turns the tables of the sales tools into findings; every number is a cell of the table it cites."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from agents.base import Finding
from app.stand_in.results import number
from app.stand_in.turns import Answer, rows_of
from sample.rules.amounts import amount, moved, percent, plain
from sample.rules.claims import finding, of_filters, part, subject
from sample.rules.periods import month_name
from sample.rules.reading import BASIC_MEASURES
from sample.rules.sales_ask import Ask
from sample.rules.sales_tables import Fetch
from sample.rules.vocabulary import MISSES, TIME, says

MOST_ROWS = 24
ENDS = 6

TARGETS = ("attainment_pct", "target_eur", "revenue_eur")

Row = dict[str, str]

# measure: column, how a sentence calls it, unit
FIGURES: Mapping[str, tuple[str, str, str]] = {
    "revenue": ("revenue_eur", "revenue", "EUR"),
    "units": ("units", "sales volume", "units"),
    "orders": ("orders", "number of orders", "orders"),
    "discount": ("average_discount_pct", "average discount per order line", "%"),
}


@dataclass(frozen=True)
class Result:
    """One table, for what it was fetched and what was asked. `rows` are those of the times asked for."""

    ask: Ask
    fetch: Fetch
    evidence: str
    rows: list[Row]


def findings(ask: Ask, fetch: Fetch, answer: Answer) -> list[Finding]:
    """What one table says."""
    return _READERS.get(fetch.kind, _measured)(Result(ask, fetch, answer.evidence, rows_of(answer.text).rows))


def _measured(of: Result) -> list[Finding]:
    """Tables of one figure, ranked by the SQL that made them."""
    return [each for row in of.rows[:MOST_ROWS] if (each := _figure(of, row, of.fetch.kind))]


def _basic(of: Result) -> list[Finding]:
    """Revenue, units, orders: those of them that the question names."""
    names = [name for name in of.ask.measures if name in BASIC_MEASURES] or ["revenue"]
    of = replace(of, rows=[row for row in of.rows if _is_asked_for(of, row)])
    return [each for name in names for row in _chosen(of, FIGURES[name][0]) if (each := _figure(of, row, name))]


def _series(of: Result) -> list[Finding]:
    """A long series is there to be computed on: only where it stands last is told."""
    return _basic(replace(of, rows=of.rows[-1:]))


def _figure(of: Result, row: Row, name: str) -> Finding | None:
    column, words, unit = FIGURES[name]
    value = number(row.get(column, ""))
    if value is None:
        return None
    labels = _labels(of, row)
    counted = "" if words.startswith("number of") else unit
    fields = {"subject": _subject(of, words), "value": amount(value, counted), "period": _period(of, row)}
    form = ("measure", "measure for", "measure for two")[min(len(labels), 2)]
    return finding(form, [of.evidence], value, unit, fields | _named(labels))


def _customers(of: Result) -> list[Finding]:
    found = []
    for row in of.rows[:MOST_ROWS]:
        value = number(row.get("revenue_eur", ""))
        if value is not None:
            fields = {name: row.get(name, "?") for name in ("country", "segment")}
            fields |= {"item": row.get("customer", "?"), "period": of.fetch.period, "value": amount(value, "EUR")}
            found.append(finding("customer", [of.evidence], value, "EUR", fields))
    return found


def _targets(of: Result) -> list[Finding]:
    found = []
    for row in _by_attainment(of)[:MOST_ROWS]:
        share, target, revenue = (number(row.get(column, "")) for column in TARGETS)
        if share is None or target is None or revenue is None:
            continue
        fields = {"subject": _subject(of, "revenue"), "period": _period(of, row), "value": percent(share)}
        fields |= {"after": amount(revenue, "EUR"), "target": amount(target, "EUR")}
        fields |= {"verdict": "reached" if revenue >= target else "missed"}
        labels = _labels(of, row)
        form = "target for" if labels else "target"
        found.append(finding(form, [of.evidence], share, "%", fields | _named(labels)))
    return found


def _by_attainment(of: Result) -> list[Row]:
    """Countries from the best, or from the worst where misses are asked for; times stay in order."""
    if all(label in TIME for label in of.fetch.dimensions) or of.ask.grain:
        return of.rows
    misses = says(MISSES, of.ask.reading.text)
    return sorted(of.rows, key=lambda row: number(row.get("attainment_pct", "")) or 0, reverse=not misses)


def _returned(of: Result) -> list[Finding]:
    where = f"sold{of_filters(_fixed(of))}"
    found = []
    for row in of.rows[:MOST_ROWS]:
        rate, back, sold = (number(row.get(each, "")) for each in ("return_rate_pct", "returned_units", "sold_units"))
        if rate is None or back is None or sold is None:
            continue
        fields = {"where": where, "period": _period(of, row), "value": percent(rate)}
        fields |= {"after": plain(back), "before": plain(sold)}
        labels = _labels(of, row)
        form = "returned for" if labels else "returned"
        found.append(finding(form, [of.evidence], rate, "%", fields | _named(labels)))
    return found


def _fastest(of: Result) -> list[Finding]:
    _, words, unit = FIGURES[next((each for each in of.ask.measures if each in FIGURES), "revenue")]
    dimension = of.fetch.dimensions[0]
    found = []
    for row in of.rows[:MOST_ROWS]:
        change, before, after = (number(row.get(each, "")) for each in ("change_pct", "value_before", "value_after"))
        if change is None or before is None or after is None:
            continue
        fields = {"subject": _subject(of, words), "period": of.fetch.period}
        fields |= {"item": part(dimension, row[dimension]), "moved": moved(change), "value": percent(abs(change))}
        fields |= {"before": amount(before, unit), "after": amount(after, unit)}
        found.append(finding("fastest", [of.evidence], change, "%", fields))
    return found


def _chosen(of: Result, column: str) -> list[Row]:
    """All rows of a short table, ranked if it has no time in it; the extremes of a long one."""
    intents, timed = of.ask.reading.intents, not of.fetch.period
    ranked = sorted(of.rows, key=lambda row: number(row.get(column, "")) or 0, reverse="bottom" not in intents)
    if len(of.rows) > MOST_ROWS:
        return ranked[:ENDS] + ranked[-ENDS:]
    return of.rows if timed and "rank" not in intents else ranked


def _is_asked_for(of: Result, row: Row) -> bool:
    """A table that was fetched for a share has the siblings of what was asked for, too."""
    wanted = of.ask.filters.items()
    return all(name not in row or row[name] in values for name, values in wanted)


def _labels(of: Result, row: Row) -> list[str]:
    """What the row is about, beyond the filters that every row shares."""
    fixed = _fixed(of)
    varying = [each for each in of.fetch.dimensions if each not in TIME and each not in fixed]
    return [part(name, row.get(name, "?")) for name in varying]


def _named(labels: list[str]) -> Row:
    return dict(zip(("item", "item2"), labels, strict=False))


def _fixed(of: Result) -> dict[str, list[str]]:
    """Filters with one value, or that the table is not broken down by."""
    broken_down = of.fetch.dimensions
    filters = of.fetch.filters.items()
    return {name: values for name, values in filters if len(values) == 1 or name not in broken_down}


def _subject(of: Result, words: str) -> str:
    return subject(words, _fixed(of))


def _period(of: Result, row: Row) -> str:
    if of.fetch.period:
        return of.fetch.period
    label = next((row[each] for each in TIME if each in of.fetch.dimensions and row.get(each)), "")
    return month_name(label) or of.ask.label


_READERS: Mapping[str, Callable[[Result], list[Finding]]] = {
    "basic": _basic,
    "series": _series,
    "customers": _customers,
    "target": _targets,
    "targets": _targets,
    "returns": _returned,
    "fastest": _fastest,
}
