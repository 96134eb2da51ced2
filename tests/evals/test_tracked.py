"""A question as a test that LangSmith's pytest plugin tracks, with LANGSMITH_TEST_TRACKING and LANGSMITH_TRACING set to
true and a key. Without them it is a test like any other.

The arguments of a tracked test are sent to LangSmith, so it takes texts and numbers only.
"""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from langsmith import testing
from redis.asyncio import Redis

from app.config.settings import Settings
from app.running.processes import Addresses
from app.running.runtime import opened
from evals.evaluators import QUALITIES, Outcome, Score
from evals.questions import Expected, Question
from evals.run import answered, on_own_data
from tests.app.queued import QUESTION
from tests.data import SALES
from tests.docs.pages import ROOT
from tests.evals.langsmith_server import KEY, LangSmith
from tests.http_server import served

REVENUE = "SELECT sum(revenue_eur) FROM sales WHERE year = '2024'"
ASKED = "test_the_revenue_of_a_year"


@pytest.fixture
async def scores(
    settings: Settings, redis_url: str, redis_client: Redis, addresses: Addresses, question: str
) -> dict[str, float | None]:
    """What the evaluators say of the answer to the question."""
    with duckdb.connect() as data:
        for statement in duckdb.extract_statements(SALES.read_text()):
            data.execute(statement)
        [(revenue,)] = data.execute(REVENUE).fetchall()
    expected = Expected(float(revenue), "EUR", float(revenue) / 200, ("2024",), REVENUE)
    measured = on_own_data(settings)
    async with opened(measured, redis_url, addresses, lambda _: None) as jobs:
        _, outcome = await answered(jobs, measured, question)
    return {each.key: each.score for each in _scored(Question("revenue", "sales", question, (expected,)), outcome)}


def _scored(question: Question, outcome: Outcome) -> list[Score]:
    return [evaluate(question, outcome) for evaluate in QUALITIES]


@pytest.mark.langsmith(test_suite_name="tollgate-questions", output_keys=["scores"])
@pytest.mark.parametrize("question", [QUESTION])
def test_the_revenue_of_a_year(question: str, scores: dict[str, float | None]) -> None:
    measured = {key: score for key, score in scores.items() if score is not None}
    for key, score in measured.items():
        testing.log_feedback(key=key, score=score)
    assert measured == dict.fromkeys(("accuracy", "citations", "support", "grounded", "refusal", "plan"), 1)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_with_a_key_the_plugin_keeps_its_scores() -> None:
    langsmith = LangSmith()
    with served(langsmith.app) as url:
        given = dict.fromkeys(("LANGSMITH_TEST_TRACKING", "LANGSMITH_TRACING"), "true")
        given |= {"LANGSMITH_ENDPOINT": url, "LANGSMITH_API_KEY": KEY}
        only = [
            f"{Path(__file__).relative_to(ROOT)}::{ASKED}",
            "-q",
            "-n0",
            "-p",
            "no:randomly",
            "-p",
            "no:schemathesis",
        ]
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", *only],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **given},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
    assert (ended.returncode, langsmith.unknown) == (0, []), ended.stdout
    [example] = langsmith.examples.values()
    assert example["inputs"] == {"question": QUESTION}
    kept = {each["key"]: each["score"] for each in langsmith.feedback.values()}
    assert {key: kept[key] for key in ("accuracy", "support", "plan", "pass")} == dict.fromkeys(
        ("accuracy", "support", "plan", "pass"), 1
    )
