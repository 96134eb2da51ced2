"""What every MCP server has to be, as a specification that any server can be run against.

Every server takes part. Its entry here has, for each tool, arguments that it answers and arguments that it refuses;
without one, only what it lists is checked. It is run as the application runs it.
"""

import contextlib
import csv
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import jsonschema  # type: ignore[import-untyped]
from mcp.types import CallToolResult, TextContent, Tool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from app.config.servers import NAMES
from app.config.settings import Settings
from app.running.processes import mcp_program
from tests.data import DOCUMENTS, SALES
from tests.http_server import served
from tests.search_provider import search_provider
from tests.web_site import page

Json = dict[str, Any]
Ask = Callable[[Json], Awaitable[CallToolResult]]


@dataclass(frozen=True)
class Example:
    """Arguments that a tool answers; others that it refuses, and what its refusal tells the caller to do."""

    arguments: Json
    mistake: Json
    advice: str


@dataclass(frozen=True)
class Conforming:
    """A server to try. In settings and arguments stand places that `at` fills in: `{data}` is a folder of its own,
    `{model}` an address with embeddings, `{search}` a search provider, `{page}` a page of the web.

    Attributes:
        name: as `app.config.servers` has it.
        tools: an example for each of its tools, and no more.
        settings: what is set.
        same_again: whether its tools claim that equal calls have equal results.
        open_world: whether they claim to reach beyond their own data.
    """

    name: str
    tools: Mapping[str, Example]
    settings: Mapping[str, Any] = field(default_factory=dict)
    same_again: bool = True
    open_world: bool = False

    def at(self, **places: str) -> "Conforming":
        """The same with these places filled in."""

        def filled(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: filled(each) for key, each in value.items()}
            for name, place in places.items():
                value = value.replace(f"{{{name}}}", place) if isinstance(value, str) else value
            return value

        tools = {
            name: Example(filled(each.arguments), filled(each.mistake), each.advice)
            for name, each in self.tools.items()
        }
        ours = {"data_dir": "{data}", "sales_data": str(SALES), "knowledge_base_data": str(DOCUMENTS)}
        given = {**ours, "stand_in_url": "{model}", **self.settings}
        return replace(self, tools=tools, settings=filled(given))

    def program(self, **settings: Any) -> tuple[list[str], dict[str, str]]:
        """The arguments after `python`, and the environment."""
        return mcp_program(Settings(_env_file=None, **self.settings, **settings), self.name)


YEARS, TWELVE = (2023, 2024), range(1, 13)
MONTHS: Final = [{"label": f"{year}-{month:02}", "value": 100.0 + month} for year in YEARS for month in TWELVE]
SERIES: Final[Json] = {"series": {"points": MONTHS}}
EMPTY: Final[Json] = {"series": {"points": []}}
SEARCH: Final = Example({"query": "public charging points", "limit": 2}, {"query": ""}, "correct the arguments")

_TRIED: Final = (
    Conforming(
        "knowledge_base",
        {
            "search": SEARCH,
            "search_keyword": SEARCH,
            "search_semantic": SEARCH,
            "read_document": Example({"id": "delivery"}, {"id": "deliveries"}, "near ids: delivery"),
        },
    ),
    Conforming(
        "sales",
        {
            "describe_schema": Example({}, {"table": "sales"}, "takes no argument 'table'; call it without any"),
            "query": Example(
                {"sql": "SELECT country FROM sales GROUP BY ALL ORDER BY 1"}, {"sql": "DROP TABLE t"}, "only a SELECT"
            ),
            "revenue_by": Example({"dimensions": ["country"]}, {"dimensions": ["planet"]}, "should be 'country', "),
            "top_customers": Example({"limit": 3}, {"filters": {"country": ["Atlantis"]}}, "Germany"),
            "target_attainment": Example({"dimensions": ["year"]}, {"dimensions": [], "period": "1999"}, "runs from"),
        },
    ),
    Conforming(
        "analytics",
        {
            "growth": Example(SERIES, EMPTY, "check that"),
            "cagr": Example(SERIES, EMPTY, "check that"),
            "market_share": Example(SERIES, EMPTY, "check that"),
            "seasonality": Example(SERIES, {"series": {"points": MONTHS[:5]}}, "need at least 2 full years"),
            "forecast": Example({**SERIES, "horizon": 3}, {**SERIES, "horizon": 0}, "greater than or equal to 1"),
            "compare_periods": Example(
                {**SERIES, "period_a": "2023", "period_b": "2024"},
                {**SERIES, "period_a": "2023", "period_b": "2031"},
                "which has 2023-01 to 2024-12",
            ),
            "chart": Example({**SERIES, "kind": "bar", "title": "x"}, {**SERIES, "kind": "pie", "title": "x"}, "'bar'"),
        },
    ),
    Conforming(
        "web",
        {
            "search_web": Example({"query": "charging points in Portugal"}, {"query": ""}, "correct the arguments"),
            "fetch_page": Example({"url": "{page}"}, {"url": "ftp://example.com/"}, "http"),
        },
        {"SEARXNG_URL": "{search}", "web_allow_private": True},
        same_again=False,
        open_world=True,
    ),
)
# A server without examples is listed only.
SERVERS: Final = (*_TRIED, *(Conforming(name, {}) for name in NAMES if name not in {each.name for each in _TRIED}))


@contextlib.contextmanager
def a_web() -> Iterator[dict[str, str]]:
    """A page and a provider that finds it: places for `Conforming.at`."""

    async def answer(_: Request) -> Response:
        return HTMLResponse(page())

    with served(Starlette(routes=[Route("/page", answer)])) as site:
        found = {"title": "Charging in Portugal", "url": f"{site}/page", "text": "12,345 points."}
        with search_provider(found) as provider:
            yield {"search": provider.url, "page": f"{site}/page"}


def check_listing(server: Conforming, tools: list[Tool]) -> None:
    """Each tool says what it does and what it takes, truly promises what it promises, and has an example here."""
    if server.tools:
        assert {tool.name for tool in tools} == set(server.tools), "the server and its entry in SERVERS differ"
    for tool in tools:
        assert tool.description, tool.name
        assert tool.outputSchema, tool.name
        undescribed = [path for path, schema in _arguments(tool.inputSchema) if not schema.get("description")]
        assert undescribed == [], f"{tool.name}: say what these are"
        vague = [path for path, schema in _arguments(tool.inputSchema) if not _is_shown(schema)]
        assert vague == [], f"{tool.name}: these need an example, a bound or a list of values"
        whole = {path: schema for path, schema in _arguments(tool.inputSchema) if schema.get("type") == "integer"}
        unbounded = [path for path, schema in whole.items() if not {"minimum", "maximum"} <= set(schema)]
        assert unbounded == [], f"{tool.name}: what a model may ask for needs a bound"
        hints = tool.annotations
        assert hints, tool.name
        claims = (hints.readOnlyHint, hints.destructiveHint, hints.idempotentHint, hints.openWorldHint)
        assert claims == (True, False, server.same_again, server.open_world), tool.name


async def check_answer(server: Conforming, tool: Tool, ask: Ask) -> CallToolResult:
    """The result is text for a model beside structured content that fits its schema, twice the same where promised."""
    arguments = server.tools[tool.name].arguments
    result = await ask(arguments)
    assert not result.isError, result.content
    assert result.structuredContent is not None
    assert tool.outputSchema is not None
    jsonschema.validate(result.structuredContent, tool.outputSchema)
    assert result.structuredContent["data_version"]
    _check_text(text_of(result), result.structuredContent)
    if server.same_again:
        assert await ask(arguments) == result, f"{tool.name} claims to be idempotent"
    if server.open_world:
        assert result.structuredContent["untrusted"] is True
    return result


async def check_refusal(server: Conforming, tool: Tool, ask: Ask) -> None:
    """A mistake is an error whose text says, in a few lines, what to do."""
    example = server.tools[tool.name]
    result = await ask(example.mistake)
    assert result.isError, f"{tool.name} accepted {example.mistake}"
    said = text_of(result)
    assert example.advice in said, said
    assert len(said) < 1000, said
    assert "Traceback" not in said
    assert "errors.pydantic.dev" not in said


def text_of(result: CallToolResult) -> str:
    """The one block of text of a result."""
    [block] = result.content
    assert isinstance(block, TextContent)
    return block.text


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder, with its size and when it was changed."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def _check_text(text: str, content: Json) -> None:
    head, _, body = text.partition("\n")
    assert head.startswith("# ")
    assert content["title"] in head
    if content["kind"] == "table":
        header, *rows = csv.reader(line for line in body.splitlines() if not line.startswith("# "))
        assert header == content["columns"]
        assert len(rows) == len(content["rows"]) > 0
        assert all(len(row) == len(header) for row in rows)
    elif content["kind"] == "document":
        assert body == content["text"]
    assert not re.search(r"^\s*[{\[]", text, re.MULTILINE), "JSON costs a model several times the tokens of CSV"


def _arguments(schema: Json, of: Json | None = None, path: str = "") -> Iterator[tuple[str, Json]]:
    """Each argument, and each field of one that is an object, with its schema; references are followed."""
    for part in _parts(schema, of or schema):
        for name, field_schema in part.get("properties", {}).items():
            merged = {**_referred(field_schema, of or schema), **field_schema}
            yield f"{path}{name}", merged
            yield from _arguments(merged, of or schema, f"{path}{name}.")


def _parts(schema: Json, whole: Json) -> list[Json]:
    """The schema itself and whatever else it may be: alternatives, and items of a list."""
    inner = [*schema.get("anyOf", ()), *([schema["items"]] if isinstance(schema.get("items"), dict) else ())]
    return [schema, *(part for each in inner for part in _parts({**_referred(each, whole), **each}, whole))]


def _referred(schema: Json, whole: Json) -> Json:
    found: Json = whole["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else {}
    return found


def _is_shown(schema: Json) -> bool:
    telling = {"examples", "enum", "const", "minimum", "maximum", "maxLength", "maxItems", "pattern"}
    return any(telling & set(part) for part in [schema, *schema.get("anyOf", ())])
