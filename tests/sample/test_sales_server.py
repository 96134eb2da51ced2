"""The sales server over the sample business, asked as a client asks it."""

from pathlib import Path
from typing import Any

import pytest
from mcp.server.fastmcp import FastMCP
from mcp.shared.memory import create_connected_server_and_client_session
from mcp.types import CallToolResult, TextContent

from mcp_servers.base.results import Table
from mcp_servers.base.serving import StartupError
from mcp_servers.sales.server import build
from sample import SALES

COUNTRIES = ["France", "Germany", "Italy", "Netherlands", "Norway", "Spain", "Sweden", "United Kingdom"]


@pytest.fixture(scope="module")
def server(with_sales: Path) -> FastMCP:
    return build(SALES, with_sales)


async def ask(server: FastMCP, tool: str, **arguments: Any) -> CallToolResult:
    async with create_connected_server_and_client_session(server._mcp_server) as client:
        return await client.call_tool(tool, arguments)


async def table(server: FastMCP, tool: str, **arguments: Any) -> Table:
    result = await ask(server, tool, **arguments)
    assert not result.isError, result.content
    return Table.model_validate(result.structuredContent)


async def refusal(server: FastMCP, tool: str, **arguments: Any) -> str:
    result = await ask(server, tool, **arguments)
    assert result.isError
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text


def names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


async def test_every_tool_is_read_only_and_publishes_its_output(server: FastMCP) -> None:
    async with create_connected_server_and_client_session(server._mcp_server) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {"describe_schema", "query", "revenue_by", "top_customers", "target_attainment"}
    for tool in tools.values():
        assert tool.annotations is not None
        assert tool.annotations.readOnlyHint
        assert tool.annotations.idempotentHint
        assert tool.outputSchema is not None
        assert tool.description


async def test_describe_schema_lists_few_values_and_gives_many_as_a_range(server: FastMCP) -> None:
    found = await table(server, "describe_schema")
    values = {(row[0], row[1]): row[4] for row in found.rows}
    assert found.columns == ["table", "column", "type", "description", "values"]
    assert found.rows[0][0] == "sales"
    assert {name for name, _ in values} == {"sales", "order_lines", "customers", "products", "returns", "targets"}
    assert values["sales", "country"] == "; ".join(COUNTRIES)
    assert values["sales", "order_date"] == "2022-01-01 .. 2025-12-31"
    assert values["sales", "month"] == "2022-01 .. 2025-12"
    assert values["sales", "units"] == "; ".join(map(str, range(1, 13)))


async def test_an_answer_is_csv_for_the_model_beside_the_table(server: FastMCP) -> None:
    result = await ask(server, "revenue_by", dimensions=["country"], filters={"year": ["2024"]}, period="2024-Q1")
    [content] = result.content
    assert isinstance(content, TextContent)
    assert content.text.startswith("# Revenue by country, year 2024, 2024-Q1\ncountry,revenue_eur,units,orders\n")
    assert Table.model_validate(result.structuredContent).data_version.startswith("own-")


async def test_revenue_comes_largest_first_or_in_order_of_time(server: FastMCP) -> None:
    by_country = await table(server, "revenue_by", dimensions=["country"])
    revenue = [float(str(row[1])) for row in by_country.rows]
    assert revenue == sorted(revenue, reverse=True)
    by_month = await table(server, "revenue_by", dimensions=["month", "channel"], period="2024")
    assert [row[:2] for row in by_month.rows] == sorted(row[:2] for row in by_month.rows)
    assert by_month.row_count == 12 * 4


async def test_values_are_found_whatever_their_case(server: FastMCP) -> None:
    exact = await table(server, "revenue_by", dimensions=["year"], filters={"country": ["United Kingdom"]})
    assert (await table(server, "revenue_by", dimensions=["year"], filters={"country": [" united kingdom"]})) == exact


async def test_a_long_answer_is_cut_and_says_so(server: FastMCP) -> None:
    found = await table(server, "revenue_by", dimensions=["month", "product", "country"])
    assert (found.truncated, len(found.rows), found.row_count > 3000) == (True, 1000, True)


async def test_a_period_that_the_data_covers_in_part_is_noted(server: FastMCP) -> None:
    found = await table(server, "revenue_by", dimensions=["year"], period={"start": "2025-07", "end": "2026"})
    assert found.notes == ["the data runs from 2022-01-01 to 2025-12-31 only"]


async def test_filters_that_exclude_each_other_give_no_rows_and_a_note(server: FastMCP) -> None:
    filters = {"product": ["Voltbay Home Flex"], "year": ["2022"]}
    for tool in ("revenue_by", "top_customers"):
        arguments: dict[str, Any] = {"dimensions": []} if tool == "revenue_by" else {}
        found = await table(server, tool, filters=filters, **arguments)
        assert (found.rows, found.notes) == ([], ["no sales match these filters"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"filters": {"country": ["Japan"]}}, f"country 'Japan' is not in the data; it has: {'; '.join(COUNTRIES)}"),
        ({"filters": {"month": ["2031-01"]}}, "month '2031-01' is not in the data; it has: 2022-01; 2022-02"),
        ({"filters": {"planet": ["Mars"]}}, "cannot filter by 'planet'; filter by country, product"),
        ({"filters": {"country": []}}, "has no values"),
        ({"period": "2031"}, "there are no sales in this period; the data runs from 2022-01-01 to 2025-12-31"),
        ({"period": "2024-13"}, "the period '2024-13' is invalid"),
        ({"period": {"start": "2024-06", "end": "2024-01"}}, "ends before it starts"),
        ({"dimensions": ["planet"]}, "'country', 'product', 'category'"),
    ],
)
async def test_a_wrong_argument_gets_the_valid_ones(server: FastMCP, arguments: dict[str, Any], told: str) -> None:
    assert told in await refusal(server, "revenue_by", **{"dimensions": ["country"], **arguments})


async def test_targets_have_no_products(server: FastMCP) -> None:
    told = await refusal(server, "target_attainment", dimensions=["country"], filters={"product": ["Voltbay Home 7"]})
    assert "filter by country, year, quarter, month" in told


async def test_query_answers_and_says_how_many_rows_there_are(server: FastMCP) -> None:
    sql = "SELECT DISTINCT country FROM sales ORDER BY country; -- all of them"
    found = await table(server, "query", sql=sql, max_rows=3)
    assert (found.columns, found.rows) == (["country"], [[name] for name in COUNTRIES[:3]])
    assert (found.row_count, found.truncated) == (8, True)


async def test_query_gives_plain_values(server: FastMCP) -> None:
    sql = """
        SELECT 1.50::DECIMAL(9, 2) AS money, DATE '2024-02-29' AS day, NULL AS nothing, 'nan'::DOUBLE AS nan,
               [1, 2] AS list, true AS yes, 170141183460469231731687303715884105727 AS huge, {'a': 1} AS struct
    """
    [row] = (await table(server, "query", sql=sql)).rows
    assert row == [1.5, "2024-02-29", None, None, "[1, 2]", True, 2**127 - 1, "{'a': 1}"]


async def test_a_mistake_in_sql_is_explained(server: FastMCP) -> None:
    told = await refusal(server, "query", sql="SELECT revenu_eur FROM sales")
    assert "revenue_eur" in told
    assert "describe_schema" in told


def test_a_folder_that_cannot_be_written_to_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StartupError, match="choose another with --data-dir"):
        build(SALES, tmp_path / "file")
