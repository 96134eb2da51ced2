"""The generic policy in whole jobs: teams, servers and data that no rule knows."""

import json
import shlex
import sys
from pathlib import Path

import pytest

from agents import AGENTS
from app.running.processes import Addresses
from tests.app.invented_team import INVENTORY, InventedTeam, invented
from tests.app.strangers import GRADES, MANY, MEMBERS, NAMES, READINGS, SHORT_NAMES, TICKETS, TURNOVER
from tests.graphs.odd_results import giving, texts

__all__ = ["invented"]

KEEPER = {"keeper": ("Knows the warehouse: stock on hand, prices of items, and notes of its staff.", "inventory.*")}
DRIVERS = {"fleet": ("Knows the vans: which van drives which tour, and the mileage of each van.", "vans.*")}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SERVERS = {"inventory": INVENTORY}


@pytest.mark.parametrize(
    ("question", "claims"),
    [
        ("How many pieces of Bolt M8 are on hand in Oslo?", ["On hand for item Bolt M8, warehouse Oslo: 380"]),
        ("Which warehouse has the highest price of Bolt M8?", ["Price eur for item Bolt M8, warehouse Oslo: 0.14"]),
        ("When does the warehouse in Oslo open?", ["The warehouse in Oslo opens at 7 and closes at 16."]),
        (
            "How are bolts stored, and what is the price of Washer W2?",
            ["Bolts are stored below 60 percent humidity.", "Price eur for item Washer W2, warehouse Hamburg: 0.03"],
        ),
    ],
)
async def test_tables_and_texts_of_a_strange_server_are_quoted(
    invented: InventedTeam, question: str, claims: list[str]
) -> None:
    job = await invented.ask(question, KEEPER, SERVERS)
    assert (job.status, job.reason) == ("completed", "answered")
    assert set(claims) <= set(job.claims)
    assert job.claims[0] in claims
    assert job.refused == []
    for claim in claims:
        assert f"{claim.rstrip('.')} [" in job.report
    assert "set_stock" not in job.tools  # what changes something is not called


@pytest.mark.slow
@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("How many pieces of Nut N5 are on hand in Oslo?", "Nut N5"),
        ("How many pieces of Bolt M8 are on hand in Tokyo?", "Tokyo"),
        ("What is the profit of Bolt M8?", "profit"),
        ("What was the price of Bolt M8 in 2019?", "2019"),
        ("Who is the chief of Hamburg?", "chief"),
    ],
)
async def test_what_the_data_do_not_say_is_a_gap(invented: InventedTeam, question: str, named: str) -> None:
    job = await invented.ask(question, KEEPER, SERVERS)
    assert (job.status, job.reason) == ("completed", "not_in_data")
    assert job.claims == []
    assert job.tools
    assert any(named in gap for gap in job.gaps)


async def test_each_part_of_a_question_goes_to_the_agent_that_knows_it(invented: InventedTeam) -> None:
    table = {"content": texts('[{"van": "V1", "mileage_km": 48210}, {"van": "V2", "mileage_km": 910}]')}
    with giving({"mileage": table}) as url:
        question = "What is the mileage of van V1, and how many pieces of Bolt M8 are on hand in Oslo?"
        job = await invented.ask(question, {**KEEPER, **DRIVERS}, {**SERVERS, "vans": url})
    assert sorted(job.agents) == ["fleet", "keeper"]
    assert sorted(job.claims) == ["Mileage km for van V1: 48210", "On hand for item Bolt M8, warehouse Oslo: 380"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "said",
    [
        "van,mileage_km,tour\nV1,48210,north\nV2,910,south\n",
        "Vans:\n\n| van | mileage_km | tour |\n| --- | ---: | --- |\n| V1 | 48210 | north |\n| V2 | 910 | south |",
        json.dumps({"vans": [{"van": "V1", "mileage_km": 48210}, {"van": "V2", "mileage_km": 910}], "total": 2}),
        '{"van": "V1", "mileage_km": 48210}\n{"van": "V2", "mileage_km": 910}',
        "# Fleet report\n\nThe mileage of van V2 is 910 km.\nThe mileage of van V1 is 48210 km.",
    ],
    ids=["csv", "markdown", "json", "json lines", "prose"],
)
async def test_a_table_is_read_in_any_form(invented: InventedTeam, said: str) -> None:
    with giving({"fleet_report": {"content": texts(said)}}) as url:
        job = await invented.ask("What is the mileage of van V1?", DRIVERS, {"vans": url})
    assert (job.status, job.reason) == ("completed", "answered")
    assert ["48210" in each and "910" not in each for each in job.claims] == [True]


@pytest.mark.slow
async def test_an_agent_that_computes_comes_after_the_one_that_fetches(invented: InventedTeam) -> None:
    rows = [[f"2025-{month:02}", 1000 + 10 * month] for month in range(1, 13)]
    table = {"kind": "table", "title": "Litres by month", "columns": ["month", "litres"], "rows": rows}
    lines = "\n".join(f"{month},{litres}" for month, litres in rows)
    result = {"content": texts(f"# Litres by month\nmonth,litres\n{lines}"), "structuredContent": table}
    team = {
        "tank": ("Knows the litres of fuel that were taken, by month.", "tank.*"),
        "reckoner": ("Computes on tables that other tasks found: growth, shares, forecasts.", "analytics.*"),
    }
    with giving({"litres_by_month": result}) as tank:
        servers = {"tank": tank, "analytics": shlex.join([sys.executable, "-m", "mcp_servers.analytics", "--stdio"])}
        job = await invented.ask("Forecast the litres of fuel by month.", team, servers)
    tasks = job.state["tasks"]
    assert [(each["agent"], each["depends_on"]) for each in tasks.values()] == [("tank", []), ("reckoner", ["T1"])]
    assert job.tools == ["litres_by_month", "forecast"]
    assert (job.status, job.reason, job.refused) == ("completed", "answered", [])
    assert any(claim.startswith("Forecast for label 2026-01: ") for claim in job.claims)


@pytest.mark.slow
async def test_who_was_not_asked_is_asked_before_nothing_is_found(invented: InventedTeam) -> None:
    with giving({"tours": {"content": texts("No tour today.")}}) as url:
        team = {
            "fleet": ("Knows the vans, and the price of fuel.", "vans.*"),
            "keeper": ("Knows what lies on the shelves.", "inventory.*"),
        }
        job = await invented.ask("What is the price of Washer W2?", team, {**SERVERS, "vans": url})
    assert job.agents == ["fleet", "keeper"]
    assert "could not be answered" not in job.report  # that the first had nothing is no news where the second had it
    assert job.claims == ["Price eur for item Washer W2, warehouse Hamburg: 0.03"]


@pytest.mark.parametrize(
    ("said", "claims"),
    [
        ('{"temperature_c": 5, "sky": "light rain"}', ["Temperature c for sky light rain: 5 (Oslo)"]),
        ("Temperature: 5 degrees", ["Temperature: 5 degrees"]),
        ('{"city": "Bergen", "temperature_c": 5}', []),
        ("In Bergen the temperature is 5 degrees.", []),
    ],
)
async def test_an_answer_without_a_name_is_about_what_was_asked_for_and_no_other_is(
    invented: InventedTeam, said: str, claims: list[str]
) -> None:
    team = {"sky": ("Knows the temperature in every city.", "weather.*")}
    with giving({"temperature": {"content": texts(said)}}, inputs=CITY) as url:
        job = await invented.ask("What is the temperature in Oslo?", team, {"weather": url})
    assert job.claims == claims
    assert job.reason == ("answered" if claims else "not_in_data")


async def test_a_tool_that_fails_is_told(invented: InventedTeam) -> None:
    broken = {"content": texts("the index is being rebuilt"), "isError": True}
    with giving({"mileage": broken}) as url:
        job = await invented.ask("What is the mileage of van V1?", DRIVERS, {"vans": url})
    assert job.claims == []
    assert job.status == "partial" or any("the index is being rebuilt" in gap for gap in job.gaps)


OWN_DATA = """order_id,ordered_on,region,article,amount,quantity
1,2024-01-05,North,Bolt M8,100.50,10
2,2024-02-06,South,Nut N5,50.25,5
3,2025-01-07,North,Bolt M8,200.00,20
4,2025-03-08,East,Washer W2,10.00,100
"""
SALES = {"sales": ("Answers from the company's own sales data by SQL.", "sales.*")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("question", "claims"),
    [
        (
            "What is our total amount by region?",
            ["Total amount for region North: 300.5", "Total amount for region South: 50.25",
             "Total amount for region East: 10"],
        ),
        ("How many orders did we have in 2024?", ["Number of orders for ordered on 2024: 2"]),
        ("Which article has the lowest quantity?", ["Total quantity for article Nut N5, rank 1: 5"]),
        ("What was the average amount of Bolt M8?", ["Average amount for article Bolt M8: 150.25"]),
        (
            "How did our amount develop?",
            ["Total amount for ordered on year 2024: 150.75", "Total amount for ordered on year 2025: 210"],
        ),
        ("How much amount did we sell in the North?", ["Total amount for region North: 300.5"]),
    ],
)  # fmt: skip
async def test_own_data_are_queried(invented: InventedTeam, tmp_path: Path, question: str, claims: list[str]) -> None:
    job = await invented.ask(question, SALES, {"sales": own_sales(tmp_path)})
    assert (job.status, job.reason, job.refused) == ("completed", "answered", [])
    assert job.claims[: len(claims)] == claims


@pytest.mark.slow
@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("What is our profit by region?", "'profit'"),
        ("How did our revenue develop in 2024?", "'revenue'"),
        ("What was our amount in Tokyo?", "'Tokyo'"),
        ("How many orders did we have in 2019?", "2019"),
        ("What is our total amount without the region North?", "'without"),
        ("How many orders had an amount of more than 100?", "'more', 'than'"),
    ],
)
async def test_what_own_data_do_not_say_is_never_answered(
    invented: InventedTeam, tmp_path: Path, question: str, named: str
) -> None:
    job = await invented.ask(question, SALES, {"sales": own_sales(tmp_path)})
    assert job.reason != "answered"
    assert job.claims == []
    assert any(named in gap for gap in job.gaps), job.gaps


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "question", "claim"),
    [
        (NAMES, "What was our revenue by country in 2024?",
         "Total revenue eur for order date 2024, country Germany: 800 EUR"),
        (NAMES, "What was the revenue for By Design Ltd?", "Total revenue eur for customer By Design Ltd: 500 EUR"),
        (SHORT_NAMES, "Who are the top 3 customers by revenue?", "Total revenue eur for customer Carl, rank 3: 20 EUR"),
        (MANY, "What was our revenue in California?", "Total revenue for state California: 104"),
        (MEMBERS, "How many members joined in 2024 by club?",
         "Number of members for joined on 2024, club South: 2"),
        (READINGS, "Which sensor has the lowest temperature?",
         "Lowest temperature c for sensor s3, rank 1: -1.25"),
        (GRADES, "What is the average note of klasse 5a?", "Average note for klasse 5a: 1.75"),
        (TICKETS, "How many tickets of agent Total were created since 2024?",
         "Number of tickets for agent Total, created at since 2024: 2"),
        (TURNOVER, "Umsatz by Bundesland and year",
         "Total umsatz eur for bundesland Bayern, bestelldatum year 2024: 310.25 EUR"),
    ],
)  # fmt: skip
async def test_data_of_strangers_are_queried(
    invented: InventedTeam, tmp_path: Path, data: str, question: str, claim: str
) -> None:
    job = await invented.ask(question, SALES, {"sales": own_sales(tmp_path, data)})
    assert (job.status, job.reason, job.refused) == ("completed", "answered", [])
    assert claim in job.claims


def own_sales(folder: Path, data: str = OWN_DATA) -> str:
    """Our sales server over data of somebody's own."""
    (folder / "orders.csv").write_text(data, encoding="utf-8")
    options = ["--stdio", "--data", str(folder / "orders.csv"), "--data-dir", str(folder)]
    return shlex.join([sys.executable, "-m", "mcp_servers.sales", *options])


async def test_an_agent_beside_those_of_the_sample_is_used(invented: InventedTeam, addresses: Addresses) -> None:
    question = "What was our revenue in Italy in 2025, and how many pieces of Bolt M8 are on hand in Oslo?"
    job = await invented.ask(question, KEEPER, {**addresses.servers, **SERVERS}, AGENTS)
    assert sorted(job.agents) == ["keeper", "sales"]
    assert "On hand for item Bolt M8, warehouse Oslo: 380" in job.claims
    assert len(job.claims) == 2
    assert (job.status, job.reason) == ("completed", "answered")
