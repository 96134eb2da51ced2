"""Which agents a question gets, and in which order."""

from graphlib import TopologicalSorter
from typing import Any

import pytest

from agents.base import SupervisorDecision
from app.stand_in.packets import SupervisorPacket
from sample.rules import decide

AGENTS = [{"name": name, "does": ""} for name in ("researcher", "sales", "analyst")]
MARKET, OWN, COMPUTED = ["researcher"], ["sales"], ["sales", "analyst"]
BOTH, ALL = ["researcher", "sales"], ["researcher", "sales", "analyst"]


def decided(question: str, **fields: Any) -> SupervisorDecision:
    decision = decide(SupervisorPacket.model_validate({"question": question, "agents": AGENTS, **fields}))
    assert decision is not None
    return decision


@pytest.mark.parametrize(
    ("question", "agents"),
    [
        ("How many public charging points does Germany have, and do sources agree?", MARKET),
        ("What does AFIR require?", MARKET),
        ("What was Wallbox's revenue in 2024 and 2025?", MARKET),
        ("How many EV sales were there in Brazil in 2024?", MARKET),
        ("What do forecasts say about the size of the charging market in 2030?", MARKET),
        ("What share of new cars is electric in Norway?", MARKET),
        ("Who were our top five customers in 2024?", OWN),
        ("Which products are returned most?", OWN),
        ("Did we hit our targets in Norway in 2025?", OWN),
        ("Which country grew fastest in 2024?", OWN),
        ("What is the average discount by channel?", OWN),
        ("How did the Voltbay Turbo 50 sell?", OWN),
        ("What was Voltbay's revenue in Japan in 2024?", OWN),
        ("How did Voltbay's revenue in Germany develop from 2023 to 2025, by channel?", COMPUTED),
        ("What share of revenue does the online shop have?", COMPUTED),
        ("What is the seasonality of Home 11 sales?", COMPUTED),
        ("Forecast units for Sweden for the next 6 months", COMPUTED),
        ("What is the CAGR of revenue from 2022 to 2025?", COMPUTED),
        ("Plot our monthly revenue in Norway in 2024", COMPUTED),
        ("How did our home chargers do in the UK compared with public charging points there?", BOTH),
        ("What is the outlook for the charging market, and how big is our revenue in Italy?", BOTH),
        ("Compare Voltbay's sales growth in France with the growth of the French electric car market, and forecast "
         "Voltbay's 2026 revenue there.", ALL),
    ],
)  # fmt: skip
def test_each_question_gets_the_agents_it_needs(question: str, agents: list[str]) -> None:
    decision = decided(question)
    assert decision.action == "assign"
    assert [task.agent for task in decision.tasks] == agents
    assert len({task.id for task in decision.tasks}) == len(agents)
    order = TopologicalSorter({task.id: task.depends_on for task in decision.tasks}).static_order()
    assert set(order) == {task.id for task in decision.tasks}


def test_the_analyst_waits_for_sales_and_nobody_else_waits() -> None:
    tasks = {task.agent: task for task in decided("Compare our growth in France with its electric car market").tasks}
    assert tasks["analyst"].depends_on == [tasks["sales"].id]
    assert tasks["sales"].depends_on == tasks["researcher"].depends_on == []


def test_objectives_keep_the_constraints_and_leave_the_other_side_out() -> None:
    tasks = {
        task.agent: task.objective
        for task in decided("Compare Voltbay's sales in France with the French electric car market in 2024").tasks
    }
    assert "Voltbay" not in tasks["researcher"]
    assert "French electric car market in 2024" in tasks["researcher"]
    assert "France" in tasks["sales"]
    assert "2024" in tasks["sales"]


def test_an_ended_plan_is_reported() -> None:
    task = {"id": "T1", "agent": "sales", "objective": "revenue", "status": "done"}
    assert decided("What is our revenue?", tasks=[task]).action == "report"


def test_nothing_is_assigned_when_it_may_not_be() -> None:
    decision = decided("What is our revenue?", may_assign=False)
    assert (decision.action, decision.tasks) == ("report", [])


def test_a_note_gets_one_more_task_and_then_the_report() -> None:
    done = {"id": "T1", "agent": "sales", "objective": "What is our revenue", "status": "done"}
    decision = decided("What is our revenue?", tasks=[done], note="Look at Spain instead")
    assert [(task.id, task.agent, task.depends_on) for task in decision.tasks] == [("T2", "sales", [])]
    assert "Spain" in decision.tasks[0].objective
    after = {"id": "T2", "agent": "sales", "objective": decision.tasks[0].objective, "status": "done"}
    assert decided("What is our revenue?", tasks=[done, after], note="Look at Spain instead").action == "report"


def test_a_note_that_asks_for_a_computation_gets_the_table_for_it() -> None:
    done = {"id": "T1", "agent": "sales", "objective": "What is our revenue", "status": "done"}
    decision = decided("What is our revenue?", tasks=[done], note="Please add a forecast for 2026")
    assert [(task.agent, task.depends_on) for task in decision.tasks] == [("sales", []), ("analyst", ["T2"])]


def test_a_team_without_an_agent_does_without_it() -> None:
    agents = [{"name": "sales", "does": ""}]
    assert [task.agent for task in decided("Forecast our revenue", agents=agents).tasks] == ["sales"]
    assert decided("What does AFIR require?", agents=agents).action == "report"
