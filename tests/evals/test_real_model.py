"""The checks of jobs that a real model answered, on a job that is right and on jobs with one fault each."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evals.questions import chosen
from evals.real_model.checks import TRACEBACK, Ended, Tokens, faults
from graphs.spending.limits import Limits
from graphs.stop_reasons import EXPLAINED, StopReason

TOKENS = Tokens(input=1000, cached=400, output=90)
WHY = f"**This report is partial: {EXPLAINED[StopReason.FINDINGS_DROPPED]}.**"
SOURCES = "## Sources\n\n1. `sales` (evidence/E1.md)"
PARTIAL: dict[str, Any] = {"status": "partial", "stop_reason": "findings_dropped", "findings": []}


@pytest.fixture
def right(tmp_path: Path) -> Ended:
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "E1.md").write_text("year,units\n2024,1250\n")
    result = {
        "status": "completed",
        "stop_reason": "answered",
        "report_path": told(tmp_path, "We sold 1,250 units in 2024 [1]."),
        "findings": [{"claim": "We sold 1,250 units in 2024."}],
        "evidence": [{"id": "E1"}],
        "cost_usd": 0.001,
        "estimated_usd": 0.0,
        "budget_usd": 0.25,
        "model_calls": 4,
        "tool_calls": 1,
        "steps": 9,
        "handoffs": 1,
        **{f"{name}_tokens": amount for name, amount in TOKENS._asdict().items()},
    }
    return Ended("How many units did we sell in 2024?", Limits(), 0, result, "", 20.0, TOKENS)


def told(folder: Path, body: str) -> str:
    (folder / "report.md").write_text(f"# Units\n\n{body}\n\n{SOURCES}\n")
    return str(folder / "report.md")


def ending(job: Ended, code: int = 0, **result: Any) -> Ended:
    return replace(job, code=code, result={**job.result, **result})


def test_nothing_is_wrong_with_what_is_right(right: Ended, tmp_path: Path) -> None:
    assert faults(right) == []
    told(tmp_path, WHY)
    assert faults(ending(right, 3, **PARTIAL)) == []


def test_a_number_without_evidence_is_found(right: Ended, tmp_path: Path) -> None:
    told(tmp_path, "We sold 1,260 units in 2024 [1].")
    assert faults(right) == ["1,260: We sold 1,260 units in 2024 [1]."]


@pytest.mark.parametrize(
    ("code", "result", "said"),
    [
        (0, {"cost_usd": 0.26}, "0.26 USD of 0.25"),
        (0, {"model_calls": 61}, "61 model calls of 60"),
        (0, {"findings": []}, "nothing to show"),
        (0, {"stop_reason": "not_in_data", "evidence": []}, "nothing to show"),
        (0, {"stop_reason": "deadline_reached"}, "nothing to show"),
        (0, {"report_path": None}, "nothing to show"),
        (3, PARTIAL, "does not say why"),
        (1, {"status": "failed"}, "ended as failed"),
        (4, {"status": "awaiting_human"}, "ended as awaiting_human"),
        (0, {"output_tokens": 89}, "the ledger has"),
        (0, {"output_tokens": 91, "estimated_usd": 0.01}, "the ledger has"),
    ],
)
def test_a_fault_is_found(right: Ended, code: int, result: dict[str, Any], said: str) -> None:
    [fault] = faults(ending(right, code, **result))
    assert said in fault


def test_time_and_tracebacks_are_looked_at_too(right: Ended) -> None:
    [late] = faults(replace(right, seconds=Limits().deadline_s + 61.0))
    assert "661.0 seconds of 660" in late
    [broken] = faults(replace(right, log=f"warning\n{TRACEBACK}\n  ValueError: no"))
    assert "ValueError" in broken


def test_tokens_of_a_call_that_was_broken_off_are_the_servers_alone(right: Ended) -> None:
    assert faults(ending(right, output_tokens=80, estimated_usd=0.01)) == []


@pytest.mark.slow
def test_a_few_questions_are_of_several_kinds() -> None:
    assert len({each.kind for each in chosen(2)}) == 2
    assert len({each.id for each in chosen(10)}) == 10
