"""One agent with every tool finds what the team finds."""

import gc
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.base import AgentResult
from app.stand_in.roles import reply_to
from app.stand_in.wire import ChatRequest
from sample.rules.generalist import NO_TOOL
from tests.app.offline_team import serving
from tests.sample.team import team

MARKET = "How many public charging points does Germany have, and do sources agree?"
FORECAST = (
    "Compare Voltbay's sales growth in France with the growth of the French electric car market, and forecast "
    "Voltbay's 2026 revenue there."
)
CROWDED = (
    "What was Voltbay's revenue by month in 2024 and 2025, what is its seasonality, and how many public charging "
    "points does Germany have?"
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as address:
        yield address
    gc.collect()  # closes the servers' connections: other tests open the same data in another mode


@pytest.mark.parametrize(
    "question",
    [
        MARKET,
        FORECAST,
        "How did Voltbay's revenue in Germany develop from 2023 to 2025, by channel?",
        "What share of revenue does the online shop have in 2024?",
        "Who were our top five customers in 2024?",
        "What was revenue in Q3 2024 compared with Q3 2023 in Italy?",
        "What was Voltbay's revenue in Japan in 2024?",
        "What is the capital of Australia?",
    ],
)
async def test_alone_it_finds_and_misses_what_the_team_does(url: str, data_dir: Path, question: str) -> None:
    async with team(url, data_dir) as agents:
        together, alone = await agents.answer(question), await agents.answer_alone(question)
    assert alone.ungrounded(question) == []
    assert [name for name, _ in alone.calls] == [name for name, _ in together.calls]
    assert set(alone.claims.splitlines()) <= set(together.claims.splitlines())
    assert len(alone.findings) == min(30, len(together.findings))
    assert alone.gaps == list(dict.fromkeys(together.gaps))
    assert alone.findings or alone.gaps


async def test_no_part_crowds_out_another(url: str, data_dir: Path) -> None:
    async with team(url, data_dir) as agents:
        together, alone = await agents.answer(CROWDED), await agents.answer_alone(CROWDED)
    assert len(together.findings) > len(alone.findings) == 30
    assert alone.ungrounded(CROWDED) == []
    assert "public charging points" in alone.claims
    assert alone.claims.count("seasonal index") == 12  # the part with the most findings gives way
    assert "Voltbay's revenue in Germany was" in alone.claims


def test_what_none_of_its_tools_gives_is_a_gap() -> None:
    content = json.dumps({"question": "What was our revenue in 2024?"})
    request = {
        "model": "m",
        "messages": [{"role": "user", "content": content}],
        "tools": [
            {"type": "function", "function": {"name": name}} for name in ("knowledge_base__search", "analytics__cagr")
        ],
    }
    result = AgentResult.model_validate_json(reply_to(ChatRequest.model_validate(request)).text)
    assert result == AgentResult(findings=[], gaps=[NO_TOOL])


def test_it_plans_only_with_the_tools_it_has() -> None:
    content = json.dumps({"question": FORECAST, "task": {"id": "T1", "objective": FORECAST}})
    names = ["sales__describe_schema", "sales__revenue_by", "analytics__forecast"]
    request = {
        "model": "m",
        "messages": [{"role": "user", "content": content}],
        "tools": [{"type": "function", "function": {"name": name}} for name in names],
    }
    assert [call.name for call in reply_to(ChatRequest.model_validate(request)).calls] == ["sales__describe_schema"]


def test_a_refused_finding_is_dropped_by_whichever_part_had_it() -> None:
    content = {"question": "revenue in 2024", "feedback": ["'The company's revenue was EUR 1,000 in 2024.': no"]}
    messages: list[dict[str, object]] = [{"role": "user", "content": json.dumps(content)}]
    tools = [
        {"type": "function", "function": {"name": name}}
        for name in ("sales__describe_schema", "sales__revenue_by", "knowledge_base__search")
    ]
    for text in (
        "E1\n# Tables\ntable,column,type,description,values\nsales,order_date,DATE,,2022-01-01 .. 2025-12-31",
        "E2\n# Revenue\nyear,revenue_eur,units,orders\n2024,1000,1,1",
    ):
        request = ChatRequest.model_validate({"model": "m", "messages": messages, "tools": tools})
        [call] = reply_to(request).calls
        function = {"name": call.name, "arguments": json.dumps(call.arguments)}
        messages += [
            {"role": "assistant", "tool_calls": [{"id": call.name, "function": function}]},
            {"role": "tool", "tool_call_id": call.name, "content": text},
        ]
    request = ChatRequest.model_validate({"model": "m", "messages": messages, "tools": tools})
    result = AgentResult.model_validate_json(reply_to(request).text)
    assert result.findings == []
    assert result.gaps == ["A statement that its evidence does not carry was left out."]
