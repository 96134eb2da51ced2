"""Turns the tables of the analytics tools into findings; every number is one that the tool returned."""

import re
from dataclasses import dataclass

from agents.base import Finding
from app.stand_in.results import number
from app.stand_in.turns import Answer, Rows, rows_of
from sample.rules.amounts import amount, moved, percent
from sample.rules.analyst_sources import Source
from sample.rules.claims import finding, without_company
from sample.rules.periods import month_name
from sample.rules.reading import Reading

MOST_FORECAST_ROWS = 12
MOST_SHARES = 12

Row = dict[str, str]

_TOTAL = re.compile(r"total (\d{4})")
_INTERVAL = re.compile(r"(\d+(?:\.\d+)?) ?% interval")
_AGAINST = re.compile(r"total (\d{4}) against observed (\d{4}): (-?\d+(?:\.\d+)?) ?%")
_OVERALL = re.compile(r"from (\S+) to (\S+): change \S+ \((-?\d+(?:\.\d+)?) ?%\)")


@dataclass(frozen=True)
class Outcome:
    """What a computation returned: on which table, for which part of it (`item`), and for what question."""

    source: Source
    answer: Answer
    item: str
    reading: Reading

    @property
    def table(self) -> Rows:
        return rows_of(self.answer.text)

    @property
    def cited(self) -> list[str]:
        """A name with a number in it (`Home 11`) stands in the source, not in the result."""
        has_number = re.search(r"\d", self.source.subject + self.item)
        return [self.answer.evidence, self.source.evidence] if has_number else [self.answer.evidence]

    def amount(self, value: float) -> str:
        return amount(value, self.source.unit)


def forecast(of: Outcome) -> list[Finding]:
    """Totals of whole years first, and how they compare; single periods when there is no total or on request."""
    table = of.table
    totals = [row for row in table.rows if _TOTAL.fullmatch(row.get("label", ""))]
    single = [row for row in table.rows if row not in totals]
    shown = single[:MOST_FORECAST_ROWS] if not totals or "monthly" in of.reading.intents else []
    found = [_forecast_row(of, row, _interval(table)) for row in [*totals, *shown]]
    return [each for each in found if each] + _against(of)


def _interval(table: Rows) -> str:
    """As the notes give it: `95%`."""
    stated = next((match[1] for note in table.notes if (match := _INTERVAL.search(note))), "")
    return f"{stated}%" if stated else "prediction"


def _forecast_row(of: Outcome, row: Row, interval: str) -> Finding | None:
    value, low, high = (number(row.get(column, "")) for column in ("forecast", "lower", "upper"))
    if value is None or low is None or high is None:
        return None
    total = _TOTAL.fullmatch(row["label"])
    fields = {
        "subject": of.source.subject,
        "period": total[1] if total else month_name(row["label"]),
        "value": of.amount(value),
        "low": of.amount(low),
        "high": of.amount(high),
        "interval": interval,
    }
    return finding("forecast total" if total else "forecast", of.cited, value, of.source.unit, fields)


def _against(of: Outcome) -> list[Finding]:
    """How a total compares with the last observed year, as the notes say."""
    found = []
    for match in (match for note in of.table.notes if (match := _AGAINST.search(note))):
        change = float(match[3])
        fields = {
            "subject": of.source.subject,
            "period": match[1],
            "before": match[2],
            "value": percent(abs(change)),
            "direction": "above" if change >= 0 else "below",
        }
        found.append(finding("forecast change", of.cited, change, "%", fields))
    return found


def growth(of: Outcome) -> list[Finding]:
    """The change over the whole span, then of each period."""
    table = of.table
    overall = next((match for note in table.notes if (match := _OVERALL.search(note))), None)
    found = []
    if overall and len(table.rows) > 2:
        span = {"start": month_name(overall[1]), "end": month_name(overall[2])}
        found.append(_moved(of, "growth between", float(overall[3]), span))
    for row in table.rows:
        change, value = number(row.get("change_pct", "")), number(row.get("value", ""))
        if change is not None and value is not None:
            period = {"period": month_name(row["label"]), "after": of.amount(value)}
            found.append(_moved(of, "growth", change, period))
    return found


def _moved(of: Outcome, form: str, change: float, fields: Row) -> Finding:
    """A claim that something rose or fell by so many percent."""
    base = {"subject": of.source.subject, "moved": moved(change), "value": percent(abs(change))}
    return finding(form, of.cited, change, "%", base | fields)


def share(of: Outcome) -> list[Finding]:
    """Shares of one table, the part that the question names first; over time (`item`) that part alone."""
    rows = [(value, row) for row in of.table.rows if (value := number(row.get("share_pct", ""))) is not None]
    rows.sort(key=lambda pair: not _is_named(pair[1]["label"], of.reading.text))
    if of.item:
        rows = [pair for pair in rows if _is_named(pair[1]["label"], of.reading.text)] or rows
    found = []
    for value, row in rows[:MOST_SHARES]:
        fields = {
            "subject": of.source.subject,
            "item": row["label"],
            "value": percent(value),
            "after": of.amount(number(row.get("value", "")) or 0.0),
            "period": month_name(of.item) or of.source.period,
        }
        found.append(finding("share", of.cited, value, "%", fields))
    return found


def _is_named(label: str, text: str) -> bool:
    words = without_company(label).lower().split()
    return any(word.rstrip("s") in text.lower() for word in words if len(word) > 3 or word.isdecimal())
