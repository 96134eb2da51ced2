"""The analytics server: computes on series of numbers, without data of its own."""

from typing import Annotated

import anyio.to_thread
from mcp.types import CallToolResult
from pydantic import Field

from mcp_servers.analytics import charts, forecasting, measures
from mcp_servers.analytics.series import PERIOD_FORMS, Series
from mcp_servers.base.results import Chart, Table, chart_result, table_result
from mcp_servers.base.server import Server
from mcp_servers.base.serving import READ_ONLY, new_server

INSTRUCTIONS = (
    "Computes on a series of labelled values. Prefer evidence_id with label_column, value_column and where "
    "over points: numbers then travel unchanged. Each label may occur once."
)

Values = Annotated[Series, Field(description="the values to compute on, by evidence id or as points")]
InTime = Annotated[Series, Field(description=f"values whose labels are periods of one kind: {PERIOD_FORMS}")]
PeriodText = Annotated[
    str, Field(max_length=10, description=f"{PERIOD_FORMS}", examples=["2024", "2024-Q1", "2024-01"])
]
Horizon = Annotated[
    int,
    Field(
        ge=1,
        le=forecasting.MAX_HORIZON,
        description="how many periods ahead: 12 is one year of monthly values; at most as many as observed",
        examples=[12],
    ),
]
IntervalPct = Annotated[
    float, Field(ge=50, le=99, description="how likely the interval is to hold the value, in percent")
]
Kind = Annotated[charts.Kind, Field(description="a line needs labels in time; bars suit categories as well")]
Title = Annotated[
    str,
    Field(min_length=1, max_length=160, examples=["Revenue by month"], description="what the chart shows"),
]


def build() -> Server:
    server = new_server("analytics", INSTRUCTIONS)
    for tool in (growth, cagr, market_share, seasonality, forecast, compare_periods, chart):
        server.add_tool(tool, annotations=READ_ONLY)
    return server


async def growth(series: InTime) -> Annotated[CallToolResult, Table]:
    """Change of each period against the one before: label, value, change, change_pct."""
    return table_result(measures.growth(series))


async def cagr(series: InTime) -> Annotated[CallToolResult, Table]:
    """Compound annual growth rate from the first to the last label, in percent per year."""
    return table_result(measures.cagr(series))


async def market_share(series: Values) -> Annotated[CallToolResult, Table]:
    """Each label's share of the sum of all, in percent, largest first."""
    return table_result(measures.market_share(series))


async def seasonality(series: InTime) -> Annotated[CallToolResult, Table]:
    """Seasonal index of each month or quarter (100 = average), from at least two full years without gaps."""
    return table_result(measures.seasonality(series))


async def forecast(
    series: InTime, horizon: Horizon, interval_pct: IntervalPct = 95
) -> Annotated[CallToolResult, Table]:
    """Forecast the coming periods with intervals; a row `total YYYY` for each full calendar year among them.

    Needs at least 8 points without gaps; two full years let it see the season.
    """
    return table_result(
        await anyio.to_thread.run_sync(forecasting.forecast, series, horizon, interval_pct, abandon_on_cancel=True)
    )


async def compare_periods(
    series: InTime, period_a: PeriodText, period_b: PeriodText
) -> Annotated[CallToolResult, Table]:
    """Sums of two periods and the change from the first to the second; `2024` sums 2024-01 to 2024-12."""
    return table_result(measures.compare_periods(series, period_a, period_b))


async def chart(series: Values, kind: Kind, title: Title) -> Annotated[CallToolResult, Chart]:
    """Draw a line or bars over time, or bars by category, as SVG."""
    return chart_result(await anyio.to_thread.run_sync(charts.chart, series, kind, title, abandon_on_cancel=True))
