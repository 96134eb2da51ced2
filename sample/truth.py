"""Where expected answers come from: the fact sheet behind the sample briefs, and SQL over the sample sales.

Nothing here uses code of the servers that the agents ask. The sales are the output of a script of SQL statements, which
is run here by plain DuckDB. Run for a fifth year it gives what became of the business after the data ends: nothing in
it depends on a later month, so the first four years stay as they are. Forecasts are measured against that.
"""

import csv
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb

from evals.questions import Expected
from sample import SALES

FACT_SHEET = Path(__file__).with_name("facts.csv")
MONTHS, MONTHS_WITH_THE_NEXT_YEAR = 48, 60

PERCENT_TOLERANCE = 0.5  # points: a whole percent in prose is a fair answer
AMOUNT_TOLERANCE = 0.005  # of the value: three digits
FORECAST_TOLERANCE = 0.05  # of what came to be: last year's figure again, some 10 % off, is no forecast
_SCALES = {"million": 1e6, "billion": 1e9}


class Truth:
    """Looks expected numbers up.

    Args:
        facts: rows of the fact sheet by id.
        sales: the data that the agents see.
        later: the same data with the year after.
    """

    def __init__(
        self,
        facts: dict[str, dict[str, str]],
        sales: duckdb.DuckDBPyConnection,
        later: duckdb.DuckDBPyConnection,
    ) -> None:
        self._facts = facts
        self.sales = sales
        self.later = later

    def fact(self, fact_id: str, *said_with: str) -> Expected:
        """A published figure, in units of one: `20.7 million vehicles` is 20,700,000."""
        row = self._facts[fact_id]
        scale, _, unit = row["unit"].partition(" ")
        value = float(row["value"]) * _SCALES.get(scale, 1)
        unit = unit if scale in _SCALES else row["unit"]
        return Expected(value, unit, value * AMOUNT_TOLERANCE, said_with, fact_id)

    def sold(self, sql: str, unit: str, *said_with: str) -> Expected:
        """The one number that the statement gives over the sales data."""
        value = _one_number(self.sales, sql)
        tolerance = PERCENT_TOLERANCE if unit.startswith("%") else abs(value) * AMOUNT_TOLERANCE
        return Expected(value, unit, tolerance, said_with, sql)

    def came_to_be(self, sql: str, unit: str, *said_with: str) -> Expected:
        """The same over the data with the year after. A forecast is right when it is near."""
        value = _one_number(self.later, sql)
        return Expected(value, unit, abs(value) * FORECAST_TOLERANCE, said_with, sql, is_forecast=True)


@contextmanager
def truth() -> Iterator[Truth]:
    """Generates both databases in memory, in about two seconds."""
    with FACT_SHEET.open(encoding="utf-8", newline="") as lines:
        facts = {row["id"]: row for row in csv.DictReader(lines)}
    with closing(sales_of(MONTHS)) as sales, closing(sales_of(MONTHS_WITH_THE_NEXT_YEAR)) as later:
        yield Truth(facts, sales, later)


def sales_of(months: int) -> duckdb.DuckDBPyConnection:
    """The sample sales of so many months from January 2022, in memory."""
    script = SALES.read_text(encoding="utf-8")
    span = "FROM range({}) t(m)"
    if script.count(span.format(MONTHS)) != 1:
        raise RuntimeError(f"{SALES.name} no longer says {span.format(MONTHS)!r} once; adapt sample/truth.py")
    connection = duckdb.connect(config={"threads": 1})
    for statement in duckdb.extract_statements(script.replace(span.format(MONTHS), span.format(months))):
        connection.execute(statement)
    return connection


def _one_number(connection: duckdb.DuckDBPyConnection, sql: str) -> float:
    [(value,)] = connection.execute(sql).fetchall()
    return float(value)
