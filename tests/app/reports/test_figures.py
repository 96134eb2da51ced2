"""Charts that code draws: of a series or comparison that the report cites, and of nothing else."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.reports.drawing import svg, ticks
from app.reports.figures import FIGURE, Series, series_of
from graphs.evidence.store import Evidence
from tests.app.reports.made import SVG, evidence, made, table

YEARS = [["North", 2022, 18.9, 3], ["North", 2023, 21.1, 4], ["North", 2024, 19.5, 5]]
COLUMNS = ["region", "year", "revenue_eur", "orders"]
BODY = "It rose.\n\n| year | revenue | |\n| - | - | - |\n| 2022 | 18.9 | [1] |\n| 2023 | 21.1 | [1] |\n\nThe end."


def drawn(body: str, known: dict[str, Evidence]) -> list[Series]:
    return [each.meta[FIGURE] for each in made(body, known).body if each.type == FIGURE]


def test_a_series_that_is_cited_is_drawn_behind_its_table() -> None:
    report = made(BODY, {"E1": table(COLUMNS, *YEARS)})
    types = [each.type for each in report.body]
    at = types.index(FIGURE)
    assert types.index("table_close") + 1 == at
    assert report.body[at].content == "Revenue in EUR by year (region: North). Drawn from source 1."
    (series,) = drawn(BODY, {"E1": table(COLUMNS, *YEARS)})
    assert series == Series(
        "E1", "revenue_eur", "year", "region: North", True, {"": {"2022": 18.9, "2023": 21.1, "2024": 19.5}}
    )
    assert series.title == "Revenue in EUR by year (region: North)"
    growth = series._replace(measure="change_pct", by="label", note="")
    assert growth.title == "Change in % by period"
    assert series._replace(measure="open_orders", note="").title == "Open orders by year", "what is counted is no unit"


def test_what_a_tool_has_drawn_is_not_drawn_again() -> None:
    chart = evidence(kind="chart", svg=SVG).model_copy(update={"arguments": {"series": {"evidence_id": "E1"}}})
    known = {"E1": table(COLUMNS, *YEARS), "E2": chart}
    assert drawn(f"{BODY}\n\n![x](evidence/E2.svg)", known) == []
    assert len(drawn(BODY, known)) == 1


@pytest.mark.parametrize(
    "rows",
    [
        YEARS[:2],  # too few
        [*YEARS, ["North", 2024, 7, 1]],  # two values of a year
        [["a", "b", 18.9, 1], ["a", "b", 21.1, 2], ["a", "b", 3, 3]],  # no labels of their own
        [["a", 2022, 18.9, 1], ["b", 2023, 21.1, 1], ["c", 2024, 1e300, 1]],  # no axis for it
    ],
)
def test_what_would_have_to_be_guessed_is_not_drawn(rows: list[list[object]]) -> None:
    assert drawn(BODY, {"E1": table(COLUMNS, *rows)}) == []


def test_a_comparison_leaves_sums_out() -> None:
    known = table(["product", "sold"], ["Cable", 40], ["Box", 30], ["Clip", 20], ["Total", 90])
    found = series_of("E1", known, 1)
    assert found
    assert (found.in_time, found.groups) == (False, {"": {"Cable": 40, "Box": 30, "Clip": 20}})


def test_several_series_are_told_apart() -> None:
    rows: list[list[object]] = [
        [year, name, value] for name, value in (("North", 3), ("South", 5)) for year in (2022, 2023, 2024)
    ]
    found = series_of("E1", table(["year", "region", "sold"], *rows), 2)
    assert found
    assert {name: [*points] for name, points in found.groups.items()} == {
        name: ["2022", "2023", "2024"] for name in ("North", "South")
    }
    assert "stroke-dasharray" in svg(found)


@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=60), st.floats(-1e14, 1e14)), min_size=3, max_size=15),
    st.booleans(),
)
def test_whatever_labels_and_values_are_it_is_valid_svg(points: list[tuple[str, float]], in_time: bool) -> None:
    series = Series("E1", points[0][0], points[1][0], points[2][0], in_time, {"": dict(points)})
    if len(series.groups[""]) >= 2:
        tags = {each.tag.rpartition("}")[2] for each in ET.fromstring(svg(series)).iter()}
        assert tags <= {"svg", "rect", "title", "text", "line", "polyline"}


@pytest.mark.parametrize(("low", "high"), [(0, 0), (18.9, 21.1), (-7.9, 11.7), (1e-9, 2e-9), (-5, -2), (0, 1e15)])
def test_an_axis_has_few_round_values_over_all(low: float, high: float) -> None:
    marks = ticks(low, high)
    assert 2 <= len(marks) <= 7
    assert marks[0] <= min(low, 0) * 0.999
    assert marks[-1] >= max(high, 0) * 0.999
