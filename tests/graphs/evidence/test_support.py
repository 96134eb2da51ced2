"""A claim with the right number for the wrong period, place, row or unit is refused; a true one never is."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from graphs.evidence.numbers import unknown
from graphs.evidence.store import Evidence
from graphs.evidence.support import background, contradicted

Json = dict[str, Any]


def table(columns: str, *rows: list[Any], title: str = "", notes: tuple[str, ...] = (), **call: Any) -> Evidence:
    content = {"kind": "table", "title": title, "columns": columns.split(), "rows": list(rows), "notes": list(notes)}
    return Evidence(
        task="T1",
        server=call.pop("server", "shop"),
        tool="query",
        arguments=call,
        text="",
        content=content,
        duration_ms=1,
    )


def prose(text: str, title: str = "") -> Evidence:
    content = {"kind": "document", "title": title}
    return Evidence(task="T1", server="library", tool="read", arguments={}, text=text, content=content, duration_ms=1)


def plain(text: str, structured: Any = None) -> Evidence:
    content = {"kind": "text", "text": text, "structured": structured}
    return Evidence(task="T1", server="theirs", tool="get", arguments={}, text=text, content=content, duration_ms=1)


STORED = {
    "E1": table(
        "country year revenue_eur units orders",
        ["Germany", "2023", 21126454.93, 28939, 9633],
        ["Germany", "2024", 19460242.01, 23303, 6604],
        ["France", "2023", 14100800.5, 18765, 5120],
        ["France", "2024", 15980120.0, 20411, 5866],
        title="Revenue by country, year",
    ),
    "E2": table(  # the country is in the call only
        "quarter units",
        ["2024-Q1", 4120],
        ["2024-Q2", 5230],
        sql="SELECT quarter, sum(units) AS units FROM sales WHERE country = 'Spain' GROUP BY quarter",
    ),
    "E3": table(  # the year, too
        "product revenue_eur",
        ["Lamp Small", 310400.25],
        ["Lamp", 512300.75],
        filters={"country": ["Italy"]},
        period={"start": "2022-01", "end": "2022-12"},
    ),
    "E4": table(  # computed on another table
        "label value change_pct",
        ["2023", 21126454.93, None],
        ["2024", 19460242.01, -7.89],
        notes=("from 2022 to 2024: change 2543289.0 (15.03 %)",),
        server="analytics",
        series={
            "evidence_id": "E1",
            "label_column": "year",
            "value_column": "revenue_eur",
            "where": {"country": "Germany"},
        },
    ),
    "E5": table("year total_eur", [2023, 88000111.0], [2024, 91000222.0]),  # of all countries
    "E6": table("region 2023 2024", ["United Kingdom", 61.5, 64.25], ["Sweden", 38.5, 41.75], title="Share in percent"),
    "E7": table(
        "metric area value unit year",
        ["price", "DE", 38.35, "EUR per 100 kWh", 2025],
        ["cars", "IT", 94230, "cars", 2025],
    ),
    "E8": prose(
        "Registrations reached 94,230 in Italy in 2025, up 46.1%. In 2024 they were 64,500 in Italy.\n"
        "A pack cost USD 108 in 2025 and USD 139 in 2023. Norway had a share of 88.9% in 2024."
    ),
    "E9": plain(
        "", {"result": [{"year": 2023, "city": "Oslo", "nok": 5120}, {"year": 2024, "city": "Bergen", "nok": 7340}]}
    ),
    "E10": plain("month,orders\n2024-01,312\n2024-02,298\n"),
    "E11": table(
        "region revenue_eur share_pct", ["DACH", 18960452.0, 67.3], ["Nordics", 4000000.0, 14.2], title="FY2024"
    ),
    "E13": table(
        "country 2023 2024 growth_pct", ["US", 110.2, 121.9, 10.6], ["Japan", 41.5, 43.1, 3.9], title="In USD million"
    ),
    "E14": table("year revenue_eur_m length_m", [2024, 13.56, 12.5]),
    "E15": plain(
        "Cars\n| Country | 2023 | 2024 |\n|-|-|-|\n| Germany | 524,219 | 380,609 |\n| France | 298,216 | 290,614 |\n"
    ),
    "E12": table("country revenue_eur", ["Germany", 13560452.0], ["Austria", 2100000.0], ["total", 15660452.0]),
}

WRONG = [
    # another year
    ("Revenue in Germany was EUR 21,126,455 in 2024.", "E1"),
    ("Revenue in Germany was EUR 19,460,242 in 2023.", "E1"),
    ("In 2023, revenue in France was EUR 15,980,120.", "E1"),
    ("In 2022 Germany sold 28,939 units.", "E1"),
    ("Germany made EUR 19.5 million in 2023 and EUR 21.1 million in 2024.", "E1"),
    ("Spain sold 4,120 units in the second quarter of 2024.", "E2"),
    ("Spain sold 5,230 units in Q2 2023.", "E2"),
    ("Revenue with the Lamp was EUR 512,301 in 2023.", "E3"),
    ("Revenue fell by 7.9% in 2023.", "E4"),
    ("Revenue rose by 15.0% from 2022 to 2023.", "E4"),
    ("Total revenue was EUR 88,000,111 in 2024.", "E5"),
    ("The share in Sweden was 38.5% in 2024.", "E6"),
    ("Power cost EUR 38.35 per 100 kWh in Germany in 2024.", "E7"),
    ("Italy registered 94,230 cars in 2024.", "E8"),
    ("A pack cost USD 139 in 2025.", "E8"),
    ("Orders were 312 in February 2024.", "E10"),
    ("FY24 revenue in Germany was EUR 21,126,455.", "E1"),
    ("Spain sold 5,230 units in Q1'24.", "E2"),
    ("US sales were $110.2 million in 2024.", "E13"),
    ("In 2Q24, Spain sold 4,120 units.", "E2"),
    ("Orders were 312 in Feb '24.", "E10"),
    ("Spain sold 5,230 units in Q2 2024, after 4,120 in Q3.", "E2"),
    ("Germany registered 524,219 cars in 2024.", "E15"),
    # another country
    ("Revenue in France was EUR 21,126,455 in 2023.", "E1"),
    ("Revenue in Germany was EUR 15,980,120 in 2024.", "E1"),
    ("German revenue was EUR 14,100,801 in 2023.", "E1"),
    ("France took 9,633 orders in 2023.", "E1"),
    ("Portugal sold 4,120 units in the first quarter of 2024.", "E2"),
    ("The Lamp brought EUR 512,301 in the Netherlands in 2022.", "E3"),
    ("Revenue in France fell by 7.9% in 2024.", "E4"),
    ("Revenue in Germany was EUR 91,000,222 in 2024.", "E5"),
    ("The share in the UK was 38.5% in 2023.", "E6"),
    ("Power cost EUR 38.35 per 100 kWh in Italy in 2025.", "E7"),
    ("Sweden had a share of 88.9% in 2024.", "E8"),
    ("Spain registered 94,230 cars in 2025.", "E8"),
    ("Germany alone brought EUR 18,960,452 in 2024.", "E11"),
    ("Germany brought EUR 15,660,452.", "E12"),
    ("Japan had sales of $121.9 million in 2024.", "E13"),
    ("France registered 380,609 cars in 2024.", "E15"),
    # another row
    ("The Lamp brought EUR 310,400 in Italy in 2022.", "E3"),
    ("The Lamp Small brought EUR 512,301 in Italy in 2022.", "E3"),
    ("Bergen spent NOK 5,120 in 2023.", "E9"),
    # another unit
    ("Revenue in Germany was USD 21,126,455 in 2023.", "E1"),
    ("Germany sold EUR 28,939 in 2023.", "E1"),
    ("Germany sold 9,633 units in 2023.", "E1"),
    ("Germany took 28,939 orders in 2023.", "E1"),
    ("Germany sold 21,126,455 units in 2023.", "E1"),
    ("Spain sold EUR 4,120 in the first quarter of 2024.", "E2"),
    ("Revenue fell by EUR 7.89 in 2024.", "E4"),
    ("The value was USD 21,126,455 in 2023.", "E4"),
    ("Germany sold 19,460,242 units in 2024.", "E4"),
    ("Power cost GBP 38.35 per 100 kWh in Germany in 2025.", "E7"),
    ("A pack cost EUR 108 in 2025.", "E8"),
    ("Oslo spent EUR 5,120 in 2023.", "E9"),
]

TRUE = [
    ("Revenue in Germany was EUR 21,126,455 in 2023.", "E1"),
    ("Revenue in Germany fell from EUR 21.1 million in 2023 to EUR 19.5 million in 2024.", "E1"),
    ("In 2024 France sold 20,411 units on 5,866 orders, and Germany 23,303 on 6,604.", "E1"),
    ("German revenue of EUR 19,460,242 was above the French EUR 15,980,120 in 2024.", "E1"),
    ("Between 2023 and 2024, EUR 21,126,455 was the best year of Germany.", "E1"),
    ("Spain sold 5,230 units in Q2 2024.", "E2"),
    ("Spain sold 5,230 units in the second quarter of 2024, after 4,120 in the first.", "E2"),
    ("In 2024, the best quarter had 5,230 units.", "E2"),
    ("The Lamp brought EUR 512,301 in Italy in 2022, the Lamp Small EUR 310,400.", "E3"),
    ("In the first half of 2022 alone the Lamp was sold; the year had EUR 512,301.", "E3"),
    ("Revenue fell by 7.9% in 2024, to EUR 19,460,242.", "E4"),
    ("Revenue in Germany rose by 15.0% from 2022 to 2024.", "E4"),
    ("Total revenue was EUR 88,000,111 in 2023 and EUR 91,000,222 in 2024.", "E5"),
    ("The share in Sweden was 38.5% in 2023 and 41.75% in 2024, in the UK 61.5% and 64.25%.", "E6"),
    ("British homes had a share of 64.25% in 2024.", "E6"),
    ("Power cost EUR 38.35 per 100 kWh in Germany in 2025.", "E7"),
    ("Italy registered 94,230 cars in 2025, 46.1% more than in 2024.", "E8"),
    ("According to the report of January 2026, Italy registered 94,230 cars.", "E8"),
    ("A pack cost USD 108 in 2025, against USD 139 in 2023.", "E8"),
    ("Oslo spent NOK 5,120 in 2023.", "E9"),
    ("Orders were 312 in January 2024 and 298 a month later.", "E10"),
    ("FY24 revenue in Germany was \u20ac19.5m, vs. \u20ac21.1m in FY23.", "E1"),
    ("Q2'24 was the best quarter of Spain: 5,230 units, vs. 4,120 units in 1Q24.", "E2"),
    ("Q2 2024 brought 5,230 units, compared with 4,120 in Q1.", "E2"),
    ("Orders were 312 in January 2024; in February they fell to 298.", "E10"),
    ("There were 298 orders in Feb '24, after 312 in January.", "E10"),
    ("The DACH region (Germany, Austria, Switzerland) had 67.3% of revenue in FY24.", "E11"),
    ("Germany, Austria and Switzerland together brought EUR 18,960,452 in 2024.", "E11"),
    ("Revenue in Germany and Austria totalled EUR 15,660,452.", "E12"),
    ("US sales rose 10.6% to $121.9 million in 2024, Japanese sales to USD 43.1m.", "E13"),
    ("Revenue was \u20ac13.56 million in 2024.", "E14"),
    ("German registrations fell from 524,219 in 2023 to 380,609 in 2024, French ones to 290,614.", "E15"),
    ("No number here, in 2019 in Peru.", "E1"),
]


@pytest.mark.parametrize(("claim", "cited"), WRONG)
def test_a_right_number_for_something_else_is_refused(claim: str, cited: str) -> None:
    assert contradicted(claim, [cited], STORED), claim


@pytest.mark.parametrize(("claim", "cited"), TRUE)
def test_a_true_claim_stands(claim: str, cited: str) -> None:
    assert contradicted(claim, [cited], STORED) == []
    assert unknown(claim, STORED[cited].numbers) == []


def test_only_what_a_table_says_to_be_in_millions_is() -> None:
    assert unknown("10.6 million and 12.5 million", STORED["E13"].numbers | STORED["E14"].numbers) != []


def test_one_fitting_source_of_several_is_enough() -> None:
    assert contradicted("Revenue in Germany was EUR 91,000,222 in 2024.", ["E5", "E1"], STORED)
    assert contradicted("Total revenue was EUR 91,000,222 in 2024.", ["E1", "E5"], STORED) == []


def test_the_agent_is_told_what_the_number_stands_for() -> None:
    [told] = contradicted("Revenue in France was EUR 21,126,455 in 2023.", ["E1"], STORED)
    assert told == "21,126,455 is not for France in E1, where it stands for: Germany, 2023"


def test_a_number_of_the_question_needs_no_evidence() -> None:
    assert contradicted("We asked for EUR 28,939.", ["E1"], STORED)
    assert contradicted("We asked for EUR 28,939.", ["E1"], STORED, frozenset({Decimal(28939)})) == []


def test_the_background_is_what_it_was_computed_on_and_small_tables_beside_that() -> None:
    refs = {name: each.reference(name) for name, each in STORED.items()}
    assert background(["E4"], refs) == {"E1", "E2", "E3", "E4", "E5", "E6", "E7", "E11", "E12", "E13", "E14"}
    refs["E5"]["size"] = 1_000_000
    assert "E5" not in background(["E4"], refs)
    assert background(["E8"], refs) == {"E8"}


@pytest.mark.parametrize(
    "claim",
    ["It took 5 pound\u017f", "It took 9 thou\u017fand in the fir\u017ft quarter of 2024", "\u017fep 2024: \u017fix"],
)
def test_letters_that_ignoring_case_makes_equal_are_equal(claim: str) -> None:
    """A long s is an s to a pattern that ignores case, but not to `lower`."""
    known = {"E1": plain("It took 5 euros, 9 thousand in 2023, six in September 2023")}
    usual = contradicted(claim.replace("\u017f", "s"), ["E1"], known)
    assert [each.replace("\u017f", "s") for each in contradicted(claim, ["E1"], known)] == usual != []


@given(st.lists(st.integers() | st.floats() | st.text() | st.booleans() | st.none(), min_size=1, max_size=4))
@example([10**400, 1250])
def test_any_cells_can_be_read(cells: list[Any]) -> None:
    """Third parties send integers of any length, and infinities."""
    rows = [{"name": "Lamp", **{f"c{at}": cell for at, cell in enumerate(cells)}}]
    contradicted("The Lamp sold 1,250 units, 7% more than in 2023 [E1].", ["E1"], {"E1": plain("", rows)})
