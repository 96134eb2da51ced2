"""A job whose agent reads results of strangers, the odd ones too, ends with what they carry, in every form."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from openai import DefaultAsyncHttpxClient
from redis.asyncio import Redis

from agents.base import AgentSpec
from app.config.settings import Settings
from app.jobs.reports import ReportFolder
from app.reports.page import page
from app.running.runtime import dependencies
from graphs.research import build_research_graph
from graphs.spending.limits import Limits
from graphs.tools.gateway import ToolGateway
from tests.app.reports.made import made
from tests.graphs.odd_results import giving, texts
from tests.graphs.research import once
from tests.scripted_model import Json, Script, assign, call, finding, quoting, result, serving, task

READER = AgentSpec(name="researcher", does="Reads what servers of strangers give.", tools=("odd.*",))
ANALYST = AgentSpec(
    name="analyst", does="Reads on from what the researcher has found.", tools=("odd.text",), works_on_evidence=True
)
RESULTS = {
    "text": {"content": texts("year,units\n2024,1250\n2025,1300")},
    "chart": {"content": texts("drawn"), "structuredContent": {"kind": "chart", "title": "Units"}},
    "table": {
        "content": texts("1400 units"),
        "structuredContent": {"kind": "table", "columns": [2026], "rows": [{"units": 1400}], "notes": None},
    },
    "empty": {"content": []},
}
CLAIMS = {"Sold 1,250 units in 2024.": "E1", "And 1,400 units in 2026.": "E3"}


async def test_a_job_reports_what_results_of_strangers_carry(
    tmp_path: Path, settings: Settings, redis_client: Redis
) -> None:
    def work(packet: Json, messages: list[Json]) -> Json:
        seen = sum(each["role"] == "tool" for each in messages)
        if packet["task"]["id"] == "T2":
            assert len(packet["evidence"]) == 2 * len(RESULTS)  # the first task is sent back once
            return result(gaps=("Nothing to add.",))
        if seen < len(RESULTS):
            return call(f"odd__{[*RESULTS][seen]}")
        wrong = finding("Sold 9,999 units.", "E1")
        return result(*(finding(claim, cited) for claim, cited in CLAIMS.items()), wrong)

    plan = once(assign(task(1, "researcher"), task(2, "analyst", "T1")))
    with giving(RESULTS) as odd, serving(Script(plan, work, quoting)) as url:
        async with ToolGateway({"odd": odd}) as gateway, DefaultAsyncHttpxClient() as http:
            tiers = settings.model_copy(update={"supervisor_model": settings.model})
            deps = replace(dependencies(tiers, url, http, gateway, redis_client), agents=(READER, ANALYST))
            asked: Any = {"job_id": "job-test", "question": "How many?", "limits": Limits().model_dump()}
            state: Any = await build_research_graph(deps).ainvoke(asked)
            written = await ReportFolder(tmp_path, deps.evidence, ttl_seconds=600).write(state, state["report"])
            stored = await deps.evidence.many("job-test", state["evidence"])
    assert state["status"] == "completed"
    assert {each["kind"] for each in state["evidence"].values()} == {"text"}
    assert {each["claim"] for each in state["findings"].values() if each["status"] == "verified"} == {*CLAIMS}
    assert "Sold 1,250 units in 2024 [1].\n\nAnd 1,400 units in 2026 [2]." in written.read_text()
    assert "not to be used as a chart: svg: Field required" in (written.parent / "evidence/E2.md").read_text()
    assert "an empty result" in page(made(written.read_text(), stored))
    assert {each.tool_title for each in stored.values()} == {f"Title of {name}" for name in RESULTS}
