"""The evals as experiments in LangSmith, by its real client, on a server that keeps what it is told."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from langsmith import Client
from pydantic import HttpUrl, SecretStr

from app.config.settings import Settings
from app.errors import BadInput, OperatorMustAct
from evals.evaluators import EVALUATORS, Outcome
from evals.experiments import client_of, experiment, uploaded
from evals.questions import Expected, Question
from evals.scoreboard import Answer
from tests.evals.langsmith_server import KEY, LangSmith
from tests.http_server import served

REVENUE = Question(
    "north", "sales", "What did we sell in the North?", (Expected(5, "EUR", 0.1, (), "sql"),), (), ("North",)
)
MARS = Question("mars", "unanswerable", "What did we sell on Mars?", gap=("Mars",))
RESULT: dict[str, Any] = {
    **dict.fromkeys(("cost_usd", "secured_usd", "steps", "model_calls", "tool_calls"), 1),
    **dict.fromkeys(("input_tokens", "output_tokens"), 7),
    "status": "completed",
    "stop_reason": "answered",
    **dict.fromkeys(("findings", "gaps", "evidence"), ()),
}


@pytest.fixture
def langsmith() -> LangSmith:
    return LangSmith()


@pytest.fixture
def client(langsmith: LangSmith, settings: Settings) -> Iterator[Client]:
    with served(langsmith.app) as url:
        there = {"langsmith_api_key": SecretStr(KEY), "langsmith_endpoint": HttpUrl(url)}
        made = client_of(settings.model_copy(update=there))
        yield made
        made.flush()
    assert langsmith.unknown == []


async def answered(asked: list[str], question: Question) -> tuple[Answer, Outcome]:
    """An answer that is right only the first time."""
    asked.append(question.id)
    said = "The North brought EUR 5." if asked.count(question.id) == 1 else "The North brought EUR 6."
    outcome = Outcome(RESULT, said, Path(), 1.5)
    scores = tuple(evaluate(question, outcome) for evaluate in EVALUATORS)
    return Answer(question.id, question.kind, f"job-{len(asked)}", scores, "v1"), outcome


def test_questions_are_uploaded_once(client: Client, langsmith: LangSmith) -> None:
    name = uploaded(client, (REVENUE, MARS))
    assert uploaded(client, (REVENUE, MARS)) == name
    assert [each["name"] for each in langsmith.datasets.values()] == [name]
    north, mars = langsmith.examples.values()
    assert north["inputs"] == {"id": "north", "text": REVENUE.text}
    assert (north["outputs"]["expected"][0]["value"], mars["outputs"]["gap"]) == (5, ["Mars"])
    assert mars["metadata"]["kind"] == "unanswerable"
    assert uploaded(client, (REVENUE,)) != name, "other questions are another data set"


async def test_each_run_has_its_answer_and_its_scores(client: Client, langsmith: LangSmith) -> None:
    questions = (REVENUE, MARS)
    ask = partial(answered, [])
    dataset = uploaded(client, questions)
    how = {"num_repetitions": 2, "max_concurrency": 1, "metadata": {"made": "v1"}}
    answers = await experiment(client, dataset, "team", questions, ask, **how)
    client.flush()
    assert [each.question for each in answers] == ["north", "north", "mars", "mars"]
    [project] = langsmith.projects.values()
    assert project["name"].startswith("team-")
    assert project["reference_dataset_id"] in langsmith.datasets
    assert project["extra"]["metadata"]["made"] == "v1"
    runs = {name: each for name, each in langsmith.runs.items() if each.get("reference_example_id")}
    by_example = Counter(each["reference_example_id"] for each in runs.values())
    assert by_example == dict.fromkeys(langsmith.examples, 2)
    assert {each["outputs"]["job_id"] for each in runs.values()} == {each.job_id for each in answers}
    north = [name for name, each in runs.items() if each["inputs"]["id"] == "north"]
    scores = [each for each in langsmith.feedback.values() if each["run_id"] in north and each["key"] == "accuracy"]
    assert sorted((each["score"], each["comment"]) for each in scores) == [(0, "no 5.00 EUR"), (1, "")]
    measured = Counter(each["key"] for each in langsmith.feedback.values())
    assert (measured["refusal"], measured["cost_micro_usd"], measured["accuracy"]) == (4, 4, 2)


async def test_a_question_that_breaks_off_ends_the_command(client: Client) -> None:
    async def broken(question: Question) -> tuple[Answer, Outcome]:
        raise ValueError("the store is gone")

    with pytest.raises(OperatorMustAct, match=r"1 of 1 questions broke off.*the store is gone"):
        await experiment(client, uploaded(client, (REVENUE,)), "team", (REVENUE,), broken)


def test_without_a_key_the_variable_is_named(settings: Settings) -> None:
    with pytest.raises(BadInput, match="set LANGSMITH_API_KEY"):
        client_of(settings)
