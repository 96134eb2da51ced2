"""The server as a client sees it, and its pictures."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp import ClientSession
from mcp.server.fastmcp.exceptions import ToolError
from mcp.shared.memory import create_connected_server_and_client_session
from mcp.types import CallToolResult, TextContent

from mcp_servers.analytics.charts import chart
from mcp_servers.analytics.series import Series
from mcp_servers.analytics.server import build
from tests.examples import at_most

YEARS = {"points": [{"label": str(2000 + at), "value": 100 + 7 * at + at % 3} for at in range(24)]}
MONTHS = {"points": [{"label": f"{2022 + at // 12}-{at % 12 + 1:02}", "value": 5 + at % 12} for at in range(36)]}
COUNTRIES = {"points": [{"label": "Spain", "value": 2}, {"label": "Côte & <b>", "value": 6.5e9}]}


@asynccontextmanager
async def client() -> AsyncIterator[ClientSession]:
    async with create_connected_server_and_client_session(build()) as session:
        yield session


def text(result: CallToolResult) -> str:
    content = result.content[0]
    assert isinstance(content, TextContent)
    return content.text


def words(svg: str) -> str:
    return " ".join(ElementTree.fromstring(svg).itertext())


CALLS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("growth", {"series": YEARS}, ["label", "value", "change", "change_pct"]),
    (
        "cagr",
        {"series": YEARS},
        ["start_label", "start_value", "end_label", "end_value", "years", "cagr_pct"],
    ),
    ("market_share", {"series": COUNTRIES}, ["label", "value", "share_pct"]),
    ("seasonality", {"series": MONTHS}, ["season", "index_pct", "observations"]),
    ("forecast", {"series": YEARS, "horizon": 2}, ["label", "forecast", "lower", "upper"]),
    (
        "compare_periods",
        {"series": MONTHS, "period_a": "2022", "period_b": "2023"},
        ["period_a", "value_a", "period_b", "value_b", "change", "change_pct"],
    ),
]


@pytest.mark.parametrize(("tool", "arguments", "columns"), CALLS, ids=[tool for tool, *_ in CALLS])
async def test_a_tool_answers_with_a_table_and_its_csv(
    tool: str, arguments: dict[str, Any], columns: list[str]
) -> None:
    async with client() as session:
        result = await session.call_tool(tool, arguments)
    assert not result.isError, text(result)
    assert result.structuredContent is not None
    assert result.structuredContent["columns"] == columns
    assert text(result).splitlines()[1] == ",".join(columns)
    assert any(note.startswith("method: ") for note in result.structuredContent["notes"])


@pytest.mark.parametrize(
    "tool", ["growth", "cagr", "market_share", "seasonality", "forecast", "compare_periods", "chart"]
)
async def test_a_series_that_was_not_resolved_is_an_error_that_says_so(tool: str) -> None:
    others: dict[str, dict[str, Any]] = {
        "forecast": {"horizon": 1},
        "compare_periods": {"period_a": "2022", "period_b": "2023"},
        "chart": {"kind": "bar", "title": "x"},
    }
    async with client() as session:
        result = await session.call_tool(tool, {"series": {"evidence_id": "E7"}} | others.get(tool, {}))
    assert result.isError
    assert "evidence E7 was not resolved" in text(result)


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("forecast", {"series": YEARS, "horizon": 37}, "less than or equal to 36"),
        ("forecast", {"series": YEARS, "horizon": 1, "interval_pct": 100}, "less than or equal to 99"),
        ("chart", {"series": YEARS, "kind": "pie", "title": "x"}, "'line' or 'bar'"),
        ("growth", {"series": {"points": [], "column": "x"}}, "Extra inputs are not permitted"),
    ],
)
async def test_arguments_out_of_bounds_name_the_bounds(tool: str, arguments: dict[str, Any], message: str) -> None:
    async with client() as session:
        result = await session.call_tool(tool, arguments)
    assert result.isError
    assert message in text(result)


async def test_every_tool_is_read_only_described_and_has_a_schema_for_its_answer() -> None:
    async with client() as session:
        tools = (await session.list_tools()).tools
    assert len(tools) == 7
    for tool in tools:
        assert tool.annotations is not None
        assert tool.annotations.readOnlyHint
        assert tool.description
        assert tool.outputSchema is not None
        assert "svg" in tool.outputSchema["properties"] or "rows" in tool.outputSchema["properties"]
        assert all("description" in each for each in tool.inputSchema["properties"].values())
        series = tool.inputSchema["$defs"]["Series"]
        assert series["additionalProperties"] is False
        assert {"evidence_id", "label_column", "value_column", "where", "points"} == set(series["properties"])


async def test_a_chart_travels_as_svg_and_the_model_reads_one_line() -> None:
    async with client() as session:
        result = await session.call_tool("chart", {"series": MONTHS, "kind": "line", "title": "Pumps by month"})
    assert text(result) == "# chart drawn: Pumps by month"
    assert result.structuredContent is not None
    assert "Pumps by month" in words(result.structuredContent["svg"])


@pytest.mark.parametrize(("values", "kind"), [(YEARS, "line"), (MONTHS, "bar"), (COUNTRIES, "bar")])
def test_a_chart_is_well_formed_shows_its_labels_and_is_the_same_twice(values: dict[str, Any], kind: Any) -> None:
    drawn = chart(Series.model_validate(values), kind, "Sales & <more>")
    shown = words(drawn.svg)
    assert "Sales & <more>" in shown
    assert values["points"][0]["label"] in shown
    assert f"{len(values['points'])} points" in shown
    assert chart(Series.model_validate(values), kind, "Sales & <more>") == drawn


def test_thousands_of_millions_are_billions() -> None:
    shown = words(chart(Series.model_validate(COUNTRIES), "bar", "x").svg)
    assert "6B" in shown
    assert "6G" not in shown


def test_a_chart_says_which_periods_are_missing() -> None:
    values = Series.model_validate({"points": [YEARS["points"][0], YEARS["points"][2]]})
    assert "missing: 2001" in words(chart(values, "line", "x").svg)


@settings(max_examples=at_most(20), deadline=None)
@given(st.text(min_size=1, max_size=60), st.text(max_size=30))
def test_any_title_and_label_make_well_formed_svg(title: str, label: str) -> None:
    values = Series.model_validate({"points": [{"label": "a" + label, "value": 1}]})
    if not any(each.isprintable() and not each.isspace() for each in title):
        with pytest.raises(ToolError, match="title is empty"):
            chart(values, "bar", title)
        return
    drawn = chart(values, "bar", title)
    assert "".join(drawn.title.split()) in "".join(words(drawn.svg).split())


def test_pictures_that_say_nothing_are_refused() -> None:
    with pytest.raises(ToolError, match="use kind 'bar' for categories"):
        chart(Series.model_validate(COUNTRIES), "line", "x")
    many = {"points": [{"label": f"c{at}", "value": at} for at in range(41)]}
    with pytest.raises(ToolError, match="41 bars are too many to read; keep at most 40"):
        chart(Series.model_validate(many), "bar", "x")


def test_starting_the_server_loads_no_heavy_library() -> None:
    """Five processes start at once on two cores: what takes seconds to import waits for its first use."""
    program = (
        "import sys; from mcp_servers.analytics.server import build; build(); "
        "print(*{'numpy', 'vl_convert'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
