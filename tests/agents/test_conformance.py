"""What every agent in AGENTS must be. A new agent is tested by being listed."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from agents import AGENTS
from agents.base import PROMPTS, AgentResult, AgentSpec
from app.running.processes import Addresses
from graphs.tools.gateway import ToolGateway

every_agent = pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)


def test_names_are_unique_and_are_no_node_of_the_graph() -> None:
    names = Counter(agent.name for agent in AGENTS)
    assert max(names.values()) == 1
    nodes = {path.stem for path in (Path(__file__).parents[2] / "graphs" / "nodes").glob("*.py")}
    assert "verify_report" in nodes
    assert not nodes & set(names)


@every_agent
def test_it_knows_nothing_of_other_agents(agent: AgentSpec) -> None:
    source = (PROMPTS.parent / f"{agent.name}.py").read_text()
    assert re.findall(r"^(?:from|import) (\S+)", source, re.MULTILINE) == ["agents.base"]


@every_agent
def test_its_prompt_is_a_file_that_says_how_to_finish(agent: AgentSpec) -> None:
    assert (PROMPTS / f"{agent.name}.md").is_file()
    assert "AgentResult" in agent.prompt
    assert "gaps" in agent.prompt
    assert len(agent.prompt) < 4000


@every_agent
def test_it_is_json_and_back(agent: AgentSpec) -> None:
    assert AgentSpec.model_validate(json.loads(agent.model_dump_json())) == agent


@every_agent
async def test_its_tools_exist_and_are_described(agent: AgentSpec, addresses: Addresses) -> None:
    async with ToolGateway(addresses.servers) as gateway:
        tools = await gateway.tools(agent)
    assert tools
    for tool in tools:
        assert tool.description, tool.name
        for name, argument in tool.args.items():
            assert argument.get("description"), f"{tool.name}({name})"


def test_every_prompt_has_its_agent() -> None:
    assert {path.stem for path in PROMPTS.glob("*.md")} == {agent.name for agent in AGENTS}


def test_the_answer_schema_needs_no_default() -> None:
    schema = AgentResult.model_json_schema()
    assert set(schema["required"]) == set(schema["properties"])
    finding = schema["$defs"]["Finding"]
    assert set(finding["required"]) == set(finding["properties"])
