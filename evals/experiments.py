"""The evaluation as experiments in LangSmith: the same questions as its data set, the same evaluators as its feedback.

Each system is an experiment, so that LangSmith shows them side by side. It gets questions, answers and scores; spans of
the jobs go there only with LANGSMITH_TRACING.
"""

import dataclasses
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from langsmith import Client, aevaluate

from app.config.settings import Settings
from app.errors import BadInput, OperatorMustAct
from evals.evaluators import Outcome
from evals.questions import Question
from evals.scoreboard import Answer

Ask = Callable[[Question], Awaitable[tuple[Answer, Outcome]]]

DATASET = "tollgate-evals"


def client_of(settings: Settings) -> Client:
    """A client for the configured LangSmith. Raises BadInput without a key."""
    if settings.langsmith_api_key is None:
        raise BadInput("--langsmith needs the key of your LangSmith; set LANGSMITH_API_KEY")
    address = str(settings.langsmith_endpoint).rstrip("/") if settings.langsmith_endpoint else None
    return Client(api_url=address, api_key=settings.langsmith_api_key.get_secret_value())


def uploaded(client: Client, questions: tuple[Question, ...]) -> str:
    """The name of the data set with these questions, which is made unless it is there. Other questions make another
    one, so that experiments on one data set can be compared."""
    said = [_example(each) for each in questions]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:10]
    name = f"{DATASET}-{digest}"
    if not client.has_dataset(dataset_name=name):
        made = client.create_dataset(name, description=f"{len(questions)} questions with known answers")
        client.create_examples(dataset_id=made.id, examples=said)
    return name


async def experiment(
    client: Client, dataset: str, system: str, questions: tuple[Question, ...], ask: Ask, **how: Any
) -> list[Answer]:
    """Ask the questions as an experiment on that data set, and score the answers there and here.

    Args:
        client: for the LangSmith that has the data set.
        dataset: its name.
        system: names the experiment.
        questions: those of the data set.
        ask: asks one, and scores it.
        how: `max_concurrency`, `num_repetitions` and `metadata` of `langsmith.aevaluate`.
    """
    known = {each.id: each for each in questions}
    answers: dict[str, Answer] = {}

    async def target(inputs: dict[str, Any]) -> dict[str, Any]:
        answer, outcome = await ask(known[inputs["id"]])
        answers[answer.job_id] = answer
        told = {name: outcome.result[name] for name in ("status", "stop_reason", "gaps")}
        return {"job_id": answer.job_id, "report": outcome.report, **told}

    def scores(outputs: dict[str, Any]) -> dict[str, Any]:
        found = answers[outputs["job_id"]].scores
        return {"results": [dataclasses.asdict(each) for each in found if each.score is not None]}

    rows = [
        each
        async for each in await aevaluate(
            target, data=dataset, evaluators=[scores], experiment_prefix=system, client=client, **how
        )
    ]
    if failed := [each["run"].error for each in rows if each["run"].error]:
        raise OperatorMustAct(f"{len(failed)} of {len(rows)} questions broke off; the first: {failed[0]}")
    order = list(known)
    return sorted(answers.values(), key=lambda each: order.index(each.question))


def _example(question: Question) -> dict[str, Any]:
    said = dataclasses.asdict(question)
    inputs = {name: said.pop(name) for name in ("id", "text")}
    return {"inputs": inputs, "reference_outputs": said, "metadata": {"kind": question.kind}}
