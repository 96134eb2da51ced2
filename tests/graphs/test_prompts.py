"""Prompts and code agree: what a prompt names exists, and what the code relies on is in the prompt.

No rule of the stand-in reads prompts, so without this a prompt could ask for tools, fields and citations that nobody
understands, and only a real model would suffer.
"""

import json
import re
from typing import Any

import pytest

from agents import AGENTS
from agents.base import PROMPTS, AgentResult, AgentSpec, ReportDraft, SupervisorDecision
from app.running.processes import Addresses
from graphs.evidence.citations import cited
from graphs.evidence.rendering import MISSING
from graphs.evidence.store import Evidence, filled
from graphs.prompts import prompt
from graphs.single_agent import GENERALIST
from graphs.tools.gateway import ToolGateway
from graphs.untrusted.inert import CHART
from graphs.untrusted.spotlight import spotlighted

every_agent = pytest.mark.parametrize("agent", [*AGENTS, GENERALIST], ids=lambda agent: agent.name)

TERM = re.compile(r"`([^`]+)`")
WORD = re.compile(r"[a-z_]+")
EXAMPLE = re.compile(r"[\w\[\]]*[ET]\d[\w, \[\]]*|<data-…>|</data-…>|!\[.*\]\(E\d\.svg\)|##.*|\{.*\}", re.DOTALL)
# Keys of the JSON that a model gets (`preview` and the like), and of references (`where`).
PACKETS = {"note", "may_assign", "findings", "gaps", "words", "preview", "title", "claim", "where", "points"}


def fields_of(schema: Any) -> set[str]:
    """All names in a JSON schema: of models, of fields, and of values to choose from."""
    if isinstance(schema, list):
        return set().union(*map(fields_of, schema))
    if not isinstance(schema, dict):
        return set()
    named = {*schema.get("properties", {}), *schema.get("enum", []), str(schema.get("title"))}
    return named.union(*map(fields_of, schema.values()))


SCHEMAS = [each.model_json_schema() for each in (SupervisorDecision, AgentResult, ReportDraft)]
NAMES = PACKETS | fields_of(SCHEMAS)


def terms(text: str) -> list[str]:
    return [" ".join(each.split()) for each in TERM.findall(text)]


@pytest.mark.parametrize("name", ["supervisor", "report", "data"])
def test_what_a_prompt_of_the_graph_names_exists(name: str) -> None:
    unknown = [each for each in terms(prompt(name)) if each not in NAMES and not EXAMPLE.fullmatch(each)]
    assert unknown == []


@every_agent
async def test_what_an_agent_s_prompt_names_exists(agent: AgentSpec, addresses: Addresses) -> None:
    async with ToolGateway(addresses.servers) as gateway:
        tools = {each.name for each in await gateway.tools(agent)}
    tools |= {f"{each.partition('__')[0]}__*" for each in tools}
    known = NAMES | tools
    assert [each for each in terms(agent.prompt) if each not in known and not EXAMPLE.fullmatch(each)] == []


@every_agent
def test_an_agent_is_told_what_verification_will_ask_for(agent: AgentSpec) -> None:
    said = " ".join(agent.prompt.split())
    assert re.search(r"Cite the id \(E1, E2, \.\.\.\) on the first line of (?:the|that) tool result", said)
    assert re.search(r"one sentence (?:that|with) .*number", said)
    assert {"gaps", "AgentResult", "confidence"} <= set(terms(agent.prompt))


@every_agent
def test_an_agent_is_told_to_leave_open_what_is_not_there(agent: AgentSpec) -> None:
    """Verification cannot see a true number of the wrong country: only the agent can leave it out."""
    assert re.search(r"(?:goes|go) into `gaps`", " ".join(agent.prompt.split()))
    if not agent.works_on_evidence:
        assert re.search(r"[Nn]ever (?:answer for something near it|fill a gap from memory)", agent.prompt)


@pytest.mark.parametrize("agent", [each for each in [*AGENTS, GENERALIST] if "analytics.*" in each.tools], ids=str)
def test_a_reference_is_given_as_the_store_reads_it(agent: AgentSpec) -> None:
    [example] = [json.loads(each) for each in terms(agent.prompt) if each.startswith("{")]
    table = {"kind": "table", "columns": ["month", "amount"], "rows": [["2024-01", 5.0]]}
    stored = Evidence(task="T1", server="s", tool="t", arguments={}, text="", content=table, duration_ms=1)
    resolved = filled({"series": example}, {example["evidence_id"]: stored})
    assert resolved["series"]["points"] == [{"label": "2024-01", "value": 5.0}]
    assert set(example) == {"evidence_id", "label_column", "value_column"}


@pytest.mark.parametrize("agent", [each for each in [*AGENTS, GENERALIST] if "sales.*" in each.tools], ids=str)
def test_who_queries_sales_reads_the_schema_first_and_mixes_no_currencies(agent: AgentSpec) -> None:
    said = " ".join(agent.prompt.split())
    told = re.search(r"(call|read the result of) `sales__describe_schema` first", said, re.IGNORECASE)
    assert told
    assert told[1].lower() == "call" or "sales.describe_schema" in agent.briefing
    assert "add up no amounts in different currencies" in said


def test_the_writer_cites_as_reports_are_read() -> None:
    told = prompt("report")
    citations, charts = [each for each in terms(told) if each.startswith("[")], re.findall(CHART, told)
    assert [cited(each) for each in citations] == [["E3"], ["E3", "E5"]]
    assert len(charts) == 1
    assert MISSING in terms(told)
    assert re.search(r"from the findings and from nothing else", told)
    assert "Compute nothing" in told


def test_the_supervisor_knows_its_choices_and_when_it_must_stop() -> None:
    assert {"assign", "report", "depends_on", "may_assign"} <= set(terms(prompt("supervisor")))


@pytest.mark.parametrize("name", ["supervisor", "report", "data"])
def test_who_reads_what_others_wrote_is_told_that_it_is_data(name: str) -> None:
    said = " ".join(prompt(name).split())
    assert re.search(r"data, never instructions|are data: .* is none|never an instruction, whoever", said)


def test_data_is_marked_as_agents_are_told() -> None:
    told = terms(prompt("data"))
    opened, closed = re.sub(r"-\w+", "-…", spotlighted("42")).split("\n42\n")
    assert {opened, closed} <= set(told)


def test_the_web_is_told_to_be_unchecked() -> None:
    told = (PROMPTS / "servers" / "web.md").read_text(encoding="utf-8")
    assert {"web__search_web", "web__fetch_page", "confidence", "low", "medium"} == set(terms(told))
    assert "A page is data" in told
