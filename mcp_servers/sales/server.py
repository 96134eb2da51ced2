"""The MCP server for the company's sales: read-only tools, those on revenue only for data with roles."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
import anyio.to_thread
from mcp.server.fastmcp.exceptions import ToolError
from mcp.types import CallToolResult
from pydantic import Field

from mcp_servers.base import serving
from mcp_servers.base.reloading import Newest
from mcp_servers.base.results import Table, table_result
from mcp_servers.base.server import Server
from mcp_servers.sales import catalog, prepared, settings
from mcp_servers.sales.arguments import Filters, Period
from mcp_servers.sales.roles import MONTHS_IN
from mcp_servers.sales.sandbox import TIME_LIMIT_S
from mcp_servers.sales.settings import DataSettings, Roles, Targets
from mcp_servers.sales.sql_guard import Refused
from mcp_servers.sales.stored import folder
from mcp_servers.sales.warehouse import Warehouse
from safe_http.turns import Turns

INSTRUCTIONS = "The company's own data. Call describe_schema first to learn tables, columns and their values."
PREPARED = "Prefer the other tools to query; write SQL for it when they do not answer the question."

logger = logging.getLogger(__name__)

FILES_REFRESH_S = 2.0
POSTGRES_REFRESH_S = 60.0
QUERIES_AT_ONCE = 2
START_S = 5.0  # for the process of a query to start

FilterArgument = Annotated[
    Filters | None,
    Field(
        description="only these values, by dimension; leave out for everything",
        examples=[{"year": ["2024", "2025"]}],
    ),
]
PeriodArgument = Annotated[
    Period | str | None,
    Field(
        description="only these months, both ends included; a year (2024) or quarter (2024-Q1) alone is fine too",
        examples=[{"start": "2024-01", "end": "2024-12"}, "2024"],
    ),
]


Current = Newest[Warehouse]


def build(
    data: Path | str,
    data_dir: Path,
    settings_file: Path | None = None,
    *,
    refresh_s: float | None = None,
    time_limit_s: float = TIME_LIMIT_S,
    queries: int = QUERIES_AT_ONCE,
) -> Server:
    """The server for `data`: files, or the URL of a Postgres database.

    They are copied into `data_dir` and checked for changes every `refresh_s` seconds. What their owner says of them is
    in `settings_file`, else in its usual place. A query may take `time_limit_s` seconds; up to `queries` run at once.

    Raises:
        serving.StartupError: the data cannot be read, or `data_dir` cannot be written to.
    """
    if settings_file and not settings_file.exists():
        raise serving.StartupError(f"there is no {settings_file}; give the settings of the data with --settings")
    if settings_file is None and isinstance(data, Path):
        settings_file = settings.place(data)
    said = settings.read(settings_file)
    current = _current(data, data_dir, settings_file, refresh_s, time_limit_s)
    server = serving.new_server("sales", _instructions(said), data=current)
    _add_schema(server, current)
    _add_query(server, current, Turns(lambda: queries), time_limit_s + START_S)
    if said.roles:
        _add_revenue_by(server, current, said, said.roles)
        if said.roles.customer or said.roles.customer_id:
            _add_top_customers(server, current)
        if said.roles.targets:
            _add_target_attainment(server, current, said.roles.targets)
    return server


def _instructions(said: DataSettings) -> str:
    if said.roles is None:
        return INSTRUCTIONS
    revenue = said.amount.description or f"the sum of {said.roles.amount}"
    return f"{INSTRUCTIONS} {PREPARED} Revenue is {revenue}{_unit(said)}."


def _unit(said: DataSettings) -> str:
    return f", in {said.currency}" if said.currency else ""


def _current(
    data: Path | str, data_dir: Path, settings_file: Path | None, refresh_s: float | None, time_limit_s: float
) -> Current:
    folder(data_dir)
    if isinstance(data, str):
        from mcp_servers.sales.postgres import Postgres  # noqa: PLC0415

        return Newest(
            Postgres(data, data_dir, time_limit_s, settings_file=settings_file), refresh_s or POSTGRES_REFRESH_S
        )
    from mcp_servers.sales.own_data import Files  # noqa: PLC0415

    return Newest(Files(data, data_dir, time_limit_s, settings_file), refresh_s or FILES_REFRESH_S)


def _add_schema(server: Server, current: Current) -> None:
    @server.tool(annotations=serving.READ_ONLY)
    async def describe_schema() -> Annotated[CallToolResult, Table]:
        """The tables and columns, what they mean, and which values they hold."""
        return await _answer(current, catalog.describe)


def _add_query(server: Server, current: Current, turns: Turns, wait_s: float) -> None:
    @server.tool(annotations=serving.READ_ONLY)
    async def query(
        sql: Annotated[
            str,
            Field(
                description="one SELECT statement in DuckDB's SQL (WITH ... SELECT too), over the tables of "
                f"describe_schema; it cannot change anything and is stopped after {TIME_LIMIT_S:g} seconds; "
                "give LIMIT an ORDER BY, or its rows may be others each time",
                examples=["SELECT reason, count(*) AS returned FROM returns GROUP BY reason ORDER BY returned DESC"],
            ),
        ],
        max_rows: Annotated[int, Field(ge=1, le=1000, description="rows to return at most")] = 200,
    ) -> Annotated[CallToolResult, Table]:
        """Answers any question about the data by SQL of your own."""
        party = server.caller().party
        try:
            with anyio.fail_after(wait_s):
                await turns.take(party)
        except TimeoutError as late:
            raise ToolError("busy: other queries are running; try again in 1 s, or use another tool") from late
        answer = asyncio.create_task(_answer(current, _query, sql, max_rows))
        # It keeps its slot until it has ended, even if nobody waits for it any more.
        answer.add_done_callback(lambda _: turns.give_back(party))
        return await asyncio.shield(answer)


def _add_revenue_by(server: Server, current: Current, said: DataSettings, roles: Roles) -> None:
    measures = [f"Revenue{_unit(said)}", roles.quantity, "number of orders" if roles.order else None]
    told = f"{'; '.join(filter(None, measures))}: broken down by the dimensions you name."

    async def revenue_by(
        dimensions: list[str], filters: FilterArgument = None, period: PeriodArgument = None
    ) -> Annotated[CallToolResult, Table]:
        return await _answer(current, prepared.revenue_by, _once(dimensions), filters, period)

    what = "what to break revenue down by, in this order; [] for one total"
    revenue_by.__annotations__["dimensions"] = _some_of([*roles.dimensions, *MONTHS_IN], what)
    server.add_tool(revenue_by, description=told, annotations=serving.READ_ONLY)


def _add_top_customers(server: Server, current: Current) -> None:
    @server.tool(annotations=serving.READ_ONLY)
    async def top_customers(
        limit: Annotated[int, Field(ge=1, le=200, description="number of customers")] = 10,
        filters: FilterArgument = None,
        period: PeriodArgument = None,
    ) -> Annotated[CallToolResult, Table]:
        """The customers with the highest revenue, the highest first."""
        return await _answer(current, prepared.top_customers, limit, filters, period)


def _add_target_attainment(server: Server, current: Current, targets: Targets) -> None:
    async def target_attainment(
        dimensions: list[str], filters: FilterArgument = None, period: PeriodArgument = None
    ) -> Annotated[CallToolResult, Table]:
        """Revenue against its target, in percent (100 = target reached)."""
        return await _answer(current, prepared.target_attainment, _once(dimensions), filters, period)

    what = "what to break it down by, in this order; [] for one total"
    target_attainment.__annotations__["dimensions"] = _some_of([*targets.dimensions, *MONTHS_IN], what)
    server.add_tool(target_attainment, annotations=serving.READ_ONLY)


def _some_of(names: list[str], what: str) -> object:
    """The type of an argument that lists some of these names."""
    one = Literal[tuple(names)]  # type: ignore[valid-type]
    return Annotated[list[one], Field(description=what, examples=[names[:1]])]  # type: ignore[valid-type]


async def _answer(current: Current, work: Callable[..., Table], *arguments: object) -> CallToolResult:
    """Run blocking work on a thread. Raises ToolError for what the caller can fix."""
    warehouse = await current.get()  # one version for the whole call
    return table_result(
        await anyio.to_thread.run_sync(_told, warehouse, current.note, work, arguments, abandon_on_cancel=True)
    )


def _told(warehouse: Warehouse, note: str | None, work: Callable[..., Table], arguments: Sequence[object]) -> Table:
    import duckdb  # noqa: PLC0415

    from mcp_servers.sales.database import STATEMENT_LIMIT_S  # noqa: PLC0415

    try:
        table = work(warehouse, *arguments)
    except Refused as refusal:
        raise ToolError(str(refusal)) from refusal
    except duckdb.InterruptException as error:
        raise ToolError(f"stopped after {STATEMENT_LIMIT_S} seconds; ask for less, by filters or a period") from error
    except (OSError, duckdb.IOException) as error:  # their messages name files
        logger.exception("the sales data cannot be written or read")
        raise ToolError("the sales data cannot be written or read; the server's log says why") from error
    except duckdb.Error as error:
        raise ToolError(f"the data does not fit this tool ({error}); write SQL for the tool query") from error
    return table.model_copy(update={"notes": [*table.notes, note]}) if note else table


def _query(warehouse: Warehouse, sql: str, max_rows: int) -> Table:
    found: dict[str, Any] = warehouse.sandbox.run(sql, max_rows)
    return Table(
        title=f"Query: {', '.join(found['columns'])}",
        truncated=found["row_count"] > max_rows,
        data_version=warehouse.data_version,
        **found,
    )


def _once(dimensions: list[str]) -> list[str]:
    return list(dict.fromkeys(dimensions))
