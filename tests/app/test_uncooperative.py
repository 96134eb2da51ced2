"""`tollgate run` against a provider that never cooperates: it ends by itself, in its budget, with something to show.

The provider is the stand-in with a fault profile. It keeps its own invoice, which is priced here by hand.
"""

import time
from pathlib import Path

import pytest

from app.stand_in.faults import PROFILES
from tests.app.command_line import answered, left_behind
from tests.app.offline_team import billed, serving

pytestmark = pytest.mark.slow

QUESTION = (
    "How did our revenue develop from 2024 to 2025, how does that compare with the growth of the market, and what "
    "revenue can we expect in 2026?"
)
BUDGET_USD = 0.05
NEVER = ["clarify", "busy", "broken_json", "refusal", "huge", "deadlock", "hoarder", "outage"]
OTHERWISE_HONEST = ["flaky", "no_usage", "empty", "hang"]


@pytest.mark.parametrize("profile", [*NEVER, *OTHERWISE_HONEST])
def test_it_ends_in_its_budget_with_a_report_or_a_question(
    tmp_path: Path, beside: dict[str, str], profile: str
) -> None:
    with serving(PROFILES[profile]) as url:
        started = time.monotonic()
        settings = beside | {"TOLLGATE_STAND_IN_URL": url, "TOLLGATE_OUTAGE_S": "3"}
        settings |= {"TOLLGATE_CALL_TIMEOUT_S": "2"} if profile == "hang" else {}
        code, document = answered(tmp_path, "run", QUESTION, "--budget-usd", str(BUDGET_USD), **settings)
        seconds = time.monotonic() - started
        billed_usd = billed(url)[0] / 1_000_000
    assert code in ({3, 4} if profile in NEVER else {0, 3, 4}), document
    assert seconds < 120
    assert billed_usd <= document["cost_usd"] + 0.000001 * document["model_calls"]
    assert document["cost_usd"] <= BUDGET_USD
    if code == 4:
        assert document["escalation"]["what_happened"]
        assert document["stop_reason"]
    else:
        report = (tmp_path / document["report_path"]).read_text()
        assert code == 0 or "**This report is partial: " in report
    assert left_behind(tmp_path) == []


def test_a_question_nobody_wants_to_answer_can_still_be_finished(tmp_path: Path, beside: dict[str, str]) -> None:
    with serving(PROFILES["clarify"]) as url:
        settings = beside | {"TOLLGATE_STAND_IN_URL": url}
        code, paused = answered(tmp_path, "run", QUESTION, **settings)
        assert (code, paused["handoffs"] <= 8) == (4, True)
        assert paused["stop_reason"].startswith("loop_")
        code, ended = answered(tmp_path, "decide", paused["job_id"], "--action", "finish_partial", **settings)
    assert (code, ended["stop_reason"]) == (3, "finished_by_human")
    assert "a human asked for the report as it was" in (tmp_path / ended["report_path"]).read_text()
