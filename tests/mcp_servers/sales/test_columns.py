"""What is read from text equals what was written, or the column stays text: a property of every notation."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
from hypothesis import assume, given
from hypothesis import strategies as st

from mcp_servers.sales.columns import readings
from mcp_servers.sales.settings import TableSettings

DATABASE = duckdb.connect(config={"threads": 1})
DATABASE.execute("SET TimeZone = 'UTC'")

MARKS = st.sampled_from([(".", ","), (",", "."), (".", "'"), (",", " "), (".", "")])
UNITS = st.sampled_from(["", "€", "$", " EUR", " %"])
DAYS = st.dates(date(1000, 1, 1), date(2999, 12, 31))
FORMATS = ["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d %b %Y", "%b %d, %Y", "%Y/%m/%d"]


def read(values: list[str]) -> tuple[str, list[object]]:
    """The type and values of a column of these texts."""
    DATABASE.execute("CREATE OR REPLACE TABLE t AS SELECT unnest(?::VARCHAR[]) AS v", [values])
    [reading] = readings(DATABASE, "t", ["v"], TableSettings(), Path("data.toml")).values()
    found = DATABASE.execute(f"SELECT {reading.expression} AS v FROM t ORDER BY rowid")
    [(_, kind, *_)] = found.description or []
    return str(kind), [value for (value,) in found.fetchall()]


@given(
    numbers=st.lists(st.decimals(-(10**9), 10**9, places=2), min_size=1, max_size=8),
    mark=MARKS,
    unit=UNITS,
    odd=st.sampled_from(["", "-", "N/A", " "]),
)
def test_a_number_is_what_was_written(numbers: list[Decimal], mark: tuple[str, str], unit: str, odd: str) -> None:
    point, group = mark
    written = [f"{each:,.2f}".replace(",", "\0").replace(".", point).replace("\0", group) + unit for each in numbers]
    kind, found = read([*written, odd])
    assert kind != "VARCHAR"
    assert found == [*numbers, None]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
def test_a_measurement_keeps_all_its_digits(numbers: list[float]) -> None:
    _, found = read([repr(each) for each in numbers])
    assert [float(str(each)) for each in found] == numbers


@given(days=st.lists(DAYS, min_size=1, max_size=6), form=st.sampled_from(FORMATS), more=st.sampled_from(FORMATS))
def test_a_date_is_what_was_written_or_text(days: list[date], form: str, more: str) -> None:
    assume({form, more} != {"%d/%m/%Y", "%m/%d/%Y"})  # nobody can tell these apart
    written = [each.strftime(form) for each in days] + [days[0].strftime(more)]
    kind, found = read(written)
    if kind == "VARCHAR":  # nothing decides, or not all can be meant
        assert "/" in form + more
        assert found == written
    else:
        assert found == [*days, days[0]]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12), min_size=1, max_size=6))
def test_whatever_it_is_nothing_is_lost(values: list[str]) -> None:
    kind, found = read(values)
    if kind == "VARCHAR":
        assert found == [each or None for each in values]


def test_a_setting_that_is_no_way_to_read_the_dates_leaves_a_note() -> None:
    DATABASE.execute("CREATE OR REPLACE TABLE t AS SELECT '1/2/2024' AS v")
    [reading] = readings(DATABASE, "t", ["v"], TableSettings(dates="year-first"), Path("data.toml")).values()
    [note] = reading.notes
    assert note.startswith("text, because its 1 dates may have the day or the month first")
