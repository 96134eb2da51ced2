"""Results of any server: evidence of a shape that all who read it can rely on, or a failure that the model is told."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.reports import ReportFolder
from app.reports.page import page
from graphs.errors import ToolFailure
from graphs.evidence.numbers import unknown
from graphs.evidence.store import Evidence, filled
from graphs.tools.gateway import Asking, ToolGateway, ToolResult
from graphs.tools.limits import ToolLimits
from graphs.tools.results import EMPTY, Answer, as_json, read
from tests.app.reports.made import made
from tests.graphs.insides import INSIDES, pydantic_says
from tests.graphs.odd_results import giving, texts

AGENT = Asking("test", ("odd.*",))
PNG = "iVBORw0KGgo=" * 1000
TABLE = {"kind": "table", "title": "Sales", "columns": ["year", "eur"], "rows": [["2024", 7]], "data_version": "v1"}

Json = dict[str, Any]


async def given_by(result: Any, schema: Json | None = None, **limits: Any) -> ToolResult:
    with giving({"tool": result}, {"tool": schema} if schema else {}) as url:
        async with ToolGateway({"odd": url}, limits=ToolLimits(cache_seconds=0, timeout_s=5, **limits)) as gateway:
            return await gateway.call(AGENT, "odd", "tool", {})


def evidence(result: ToolResult) -> Evidence:
    """As the toolbox stores it and others read it: by way of Redis."""
    made = Evidence(
        task="T1", server="odd", tool="tool", arguments={}, text=result.text, content=result.content, duration_ms=1
    )
    return Evidence.model_validate_json(made.model_dump_json())


async def test_text_alone_is_evidence_and_its_numbers_are_known() -> None:
    result = await given_by({"content": texts("Sold 1,250 units.", "And 7% more later.")})
    stored = evidence(result)
    assert result.text == "Sold 1,250 units.\nAnd 7% more later."
    assert (stored.reference("E1")["kind"], stored.table, stored.svg) == ("text", None, None)
    assert unknown("They sold 1,250 units, 7% more.", stored.numbers) == []
    assert unknown("They sold 1,251 units.", stored.numbers) == ["1,251"]


async def test_an_object_of_any_shape_is_evidence_and_its_numbers_are_known() -> None:
    deep = {"weather": [{"temperature": 36.5, "text": "82 in all"}], "title": "Chicago", "data_version": "v3"}
    stored = evidence(await given_by({"content": texts("Warm: 36 degrees."), "structuredContent": deep}))
    assert stored.text == "Warm: 36 degrees."
    assert unknown("It is 36.5 degrees, 36 or so, and 82.", stored.numbers) == []
    assert (stored.reference("E1")["title"], stored.data_version) == ("Chicago", "v3")


async def test_an_object_without_text_is_shown_as_json() -> None:
    result = await given_by({"content": [], "structuredContent": {"sum": 42}})
    assert json.loads(result.text) == {"sum": 42}


async def test_a_tool_that_promises_structure_may_answer_in_text() -> None:
    schema = {"type": "object", "properties": {"sum": {"type": "number"}}, "required": ["sum"]}
    assert (await given_by({"content": texts("The sum is 42.")}, schema)).text == "The sum is 42."
    with pytest.raises(ToolFailure, match="gave no usable answer"):
        await given_by({"content": texts("?"), "structuredContent": {"sum": "?"}}, schema)


async def test_a_promise_that_cannot_be_read_is_none() -> None:
    schema = {"type": "object", "$ref": "https://elsewhere.example/schema.json"}
    assert (await given_by({"content": texts("Fine."), "structuredContent": {"a": 1}}, schema)).text == "Fine."


@pytest.mark.parametrize("result", [{}, {"content": []}, {"content": None}, {"content": texts("", " ")}])
async def test_an_empty_answer_is_named(result: Json) -> None:
    given = await given_by(result)
    assert given.text == EMPTY
    assert given.content == {"kind": "text", "text": EMPTY}


async def test_what_cannot_be_shown_is_named() -> None:
    blocks = [
        *texts("Here:"),
        {"type": "image", "data": PNG, "mimeType": "image/png"},
        {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"},
        {"type": "resource_link", "name": "The\nreport", "uri": "demo://report/1"},
        {"type": "resource", "resource": {"uri": "demo://text/1", "mimeType": "text/plain", "text": "17 million"}},
        {"type": "resource", "resource": {"uri": "demo://blob/1", "blob": "AAAA"}},
        {"type": "hologram", "beams": 3},
        "plain",
    ]
    result = await given_by({"content": blocks})
    assert result.text.splitlines() == [
        "Here:",
        "[image image/png, 9 KB: not shown]",
        "[audio audio/wav, 3 bytes: not shown]",
        "[resource link: The report <demo://report/1>]",
        "[resource <demo://text/1>]",
        "17 million",
        "[resource <demo://blob/1> unnamed, 3 bytes: not shown]",
        "[hologram: not shown]",
        "plain",
    ]


ODD: dict[str, Json] = {
    "a chart without its SVG": {"kind": "chart", "title": "Sales"},
    "a chart that is no SVG": {"kind": "chart", "title": "Sales", "svg": "<html>"},
    "notes of nothing": {**TABLE, "notes": None},
    "rows that are no lists": {**TABLE, "rows": [{"year": "2024", "eur": 7}]},
    "rows that are no list": {**TABLE, "rows": "2024,7"},
    "a row too short": {**TABLE, "rows": [["2024", 7], ["2025"]]},
    "a row too long": {**TABLE, "rows": [["2024", 7, 8]]},
    "no columns": {key: TABLE[key] for key in ("kind", "rows")},
    "no rows": {key: TABLE[key] for key in ("kind", "columns")},
    "columns that are numbers": {**TABLE, "columns": [2024, 2025]},
    "a cell that is a list": {**TABLE, "rows": [["2024", [7]]]},
    "a title that is none": {**TABLE, "title": {"en": "Sales"}},
    "a version that is none": {**TABLE, "data_version": 3},
    "furniture": {"kind": "table", "material": "oak", "legs": 4},
    "a kind of its own": {"kind": ["table"], "legs": 4},
    "a document whose address is none": {"kind": "document", "title": "T", "url": {"href": "https://a.example"}},
    "too many columns": {"kind": "table", "columns": ["a"] * 5000, "rows": []},
    "names of its own": {"title": 7, "url": ["https://a.example"], "data_version": {}, "untrusted": "no", "svg": 5},
}  # fmt: skip


@pytest.fixture(scope="module")
def strangers() -> Iterator[str]:
    """A server whose tools give the odd results."""
    with giving({name: {"content": texts("Sales were 7."), "structuredContent": ODD[name]} for name in ODD}) as url:
        yield url


@pytest.mark.parametrize("name", ODD)
async def test_an_odd_result_is_a_plain_one(name: str, strangers: str, tmp_path: Path) -> None:
    async with ToolGateway({"odd": strangers}) as gateway:
        result = await gateway.call(AGENT, "odd", name, {})
    stored = evidence(result)
    assert result.text.splitlines()[0] == "Sales were 7."
    assert result.content["structured"] == ODD[name]
    if ODD[name].get("kind") in ("table", "chart", "document"):
        assert result.text.splitlines()[1].startswith(f"# not to be used as a {ODD[name]['kind']}: ")
    read_by_all(stored, tmp_path)


async def test_numbers_that_are_none_become_nothing(tmp_path: Path) -> None:
    rows = [["2024", float("nan")], ["2025", float("inf")], ["2026", 7.5]]
    result = await given_by({"content": texts("See the table."), "structuredContent": {**TABLE, "rows": rows}})
    assert result.content["rows"] == [["2024", None], ["2025", None], ["2026", 7.5]]
    read_by_all(evidence(result), tmp_path)


async def test_a_table_of_strangers_needs_columns_and_rows_only(tmp_path: Path) -> None:
    table = {"kind": "table", "columns": ["city", "people"], "rows": [["Oslo", 709_037]], "source": {"of": "them"}}
    stored = evidence(await given_by({"content": texts("See the table."), "structuredContent": table}))
    assert stored.table == (table["columns"], table["rows"])
    assert filled({"evidence_id": "E1"}, {"E1": stored})["points"] == [{"label": "Oslo", "value": 709_037}]
    read_by_all(stored, tmp_path)


async def test_what_a_tool_says_of_its_failure_is_bounded() -> None:
    with pytest.raises(ToolFailure, match=r"^no such city; there are: Oslo$"):
        await given_by({"content": texts("no such city; there are: Oslo"), "isError": True})
    with pytest.raises(ToolFailure, match="failed without a message"):
        await given_by({"content": [], "isError": True})
    with pytest.raises(ToolFailure) as told:
        await given_by({"content": texts("x" * 100_000), "isError": True}, output_chars=1000)
    assert len(str(told.value)) < 1100


async def test_what_a_tool_says_of_its_failure_is_told_without_the_insides_of_its_library() -> None:
    with pytest.raises(ToolFailure) as told:
        await given_by({"content": texts(pydantic_says()), "isError": True})
    assert re.match("Error executing tool sales: what was given does not fit:\nyear\n  Input should", str(told.value))
    assert INSIDES.search(str(told.value)) is None


async def test_long_text_is_cut_for_the_model_and_kept_for_the_record() -> None:
    long = "# head\n" + "7 " * 1000
    result = await given_by({"content": texts(long)}, output_chars=500)
    assert len(result.text) < 600
    assert f"# cut: {len(long)} characters in all" in result.text
    assert result.content["text"] == long


def read_by_all(stored: Evidence, folder: Path) -> None:
    """Everything that reads evidence does."""
    assert stored.numbers is not None
    assert all(isinstance(each, str) for each in stored.addresses)
    reference = stored.reference("E1")
    assert all(isinstance(each, str) for each in reference["columns"])
    assert len(reference["title"]) <= 300
    json.dumps(reference, allow_nan=False)
    assert page(made("![a](evidence/E1.svg) [b](evidence/E1.md)", {"E1": stored}))
    (folder / "job" / "evidence").mkdir(parents=True, exist_ok=True)
    ReportFolder(folder, None, ttl_seconds=600)._write({"job_id": "job"}, "text", {"E1": stored})  # type: ignore[arg-type, typeddict-item]
    with contextlib.suppress(ToolFailure):
        filled({"evidence_id": "E1"}, {"E1": stored})


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = (
    "kind",
    "title",
    "columns",
    "rows",
    "notes",
    "svg",
    "url",
    "data_version",
    "untrusted",
    "publisher",
    "date",
    "id",
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES), JSON_VALUES, max_size=8) | st.builds(
    lambda kind, rest: {**rest, "kind": kind},
    st.sampled_from(["table", "chart", "document", "text", "other"]),
    st.dictionaries(st.sampled_from(NAMES), JSON_VALUES | st.lists(st.lists(st.integers(), max_size=2), max_size=2)),
)


@given(content=JSON_VALUES | st.lists(OBJECTS | JSON_VALUES, max_size=3), structured=OBJECTS | JSON_VALUES)
def test_whatever_a_server_gives_can_be_read_by_all(
    tmp_path_factory: pytest.TempPathFactory, content: Any, structured: Any
) -> None:
    text, known = json.loads(as_json(*read(Answer(content=content, structuredContent=structured), 1000)))
    read_by_all(evidence(ToolResult(text, known, 1)), tmp_path_factory.mktemp("any"))
