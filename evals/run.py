"""Runs every question with each system, on real processes, and scores the answers.

`tollgate eval` and `make evals` call `evaluated`. It fails below `sample/baseline.json`, which is for the sample's
questions and the stand-in model. With a key the configured model is measured.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from langsmith import Client
from rich.console import Console

from app.config.folders import private
from app.config.servers import WITHOUT_OPTIONAL
from app.config.settings import Settings
from app.errors import BadInput
from app.jobs.jobs import Jobs
from app.jobs.results import JobResult
from app.observing.terminals import raw
from app.running.processes import Addresses, services
from app.running.runtime import opened
from evals.comparison import baseline_of, differences, earlier, fallen, otherwise_made, read_baseline
from evals.dataset import read_questions
from evals.evaluators import EVALUATORS, Outcome, read_outcome
from evals.experiments import Ask, client_of, experiment, uploaded
from evals.naive_team import build_naive_team_graph
from evals.questions import Question, asked, chosen
from evals.report_text import answer
from evals.scoreboard import VERSIONS, Answer, Results, by_question, document, tables, versions, write_json
from evals.tokens import enough, spendings
from evals.tokens import tables as token_tables
from graphs.evidence.citations import problems
from graphs.research import build_research_graph
from graphs.single_agent import build_single_agent_graph
from graphs.state import Json
from sample import BASELINE

SYSTEMS = {"team": build_research_graph, "single_agent": build_single_agent_graph, "naive_team": build_naive_team_graph}
AT_A_TIME = 2
FELL = 1
WIDTH = 180  # of the tables, where nobody looks at a terminal


@dataclass(frozen=True)
class Wanted:
    """What to evaluate.

    Attributes:
        dataset: the user's own questions; None for the sample's.
        repeat: how often each question is asked.
        questions: so many of them, spread over the kinds; None for all.
        systems: names of `SYSTEMS`; all if empty.
        against: an earlier run, as a file or a behaviour version.
        compare: with the baseline, also where a real model answers.
        update_baseline: store this run as the baseline.
        langsmith: run as an experiment there.
    """

    dataset: Path | None = None
    repeat: int = 1
    questions: int | None = None
    systems: tuple[str, ...] = ()
    against: str | None = None
    compare: bool = False
    update_baseline: bool = False
    langsmith: bool = False

    def checked(self) -> "Wanted":
        """Itself. Raises BadInput for what does not go together."""
        if unknown := [each for each in self.systems if each not in SYSTEMS]:
            raise BadInput(f"--system {unknown[0]}: there is {', '.join(SYSTEMS)}")
        if self.update_baseline and (self.questions or self.systems or self.dataset):
            raise BadInput("--update-baseline needs all questions of the sample and all systems; give nothing else")
        if self.compare and self.dataset:
            raise BadInput("--compare: the baseline is for the questions of the sample; use --against")
        return self


def evaluated(settings: Settings, wanted: Wanted) -> int:
    """The command. Returns the exit code: 0, or 1 if a score fell below the baseline. Raises AppError."""
    wanted.checked()
    questions = read_questions(wanted.dataset) if wanted.dataset else asked()
    questions = chosen(wanted.questions, questions) if wanted.questions else questions
    kept = _folder(settings.data_dir / "evals")  # before anything is spent
    before = earlier(kept, wanted.against) if wanted.against else None
    settings = on_own_data(settings) if wanted.dataset else on_sample_data(settings)
    client = client_of(settings) if wanted.langsmith else None
    with services(settings) as (redis_url, addresses):
        how = (questions, wanted.repeat, wanted.systems or tuple(SYSTEMS), client)
        results = asyncio.run(measured(settings, redis_url, addresses, *how))
        means = {name: by_question(answers) for name, answers in results.items()}
        spent = {} if wanted.systems else asyncio.run(spendings(redis_url, means))
    file = kept / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    write_json(file, document(results))
    stdout = raw(sys.stdout)
    console = Console(file=stdout, width=None if stdout.isatty() else WIDTH)
    for table in tables(results):
        console.print(table)
    if spent:
        console.print(*token_tables(means, spent), *enough(means, spent), sep="\n")
    if before is not None:
        console.print(differences(results, before))
    print("behaviour versions: " + ", ".join(f"{name} {made}" for name, made in versions(results).items()))
    print(f"answers by {'the stand-in model' if settings.offline else settings.model}; all scores are in {file}")
    if wanted.update_baseline:
        write_json(BASELINE, baseline_of(results))
        return 0
    is_judged = (settings.offline or wanted.compare) and not wanted.dataset
    return _judged(results) if is_judged else 0


def _folder(path: Path) -> Path:
    try:
        private(path)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise BadInput(f"results cannot be kept in {path}: {error.strerror}; set TOLLGATE_DATA_DIR") from error


def on_own_data(settings: Settings) -> Settings:
    """The settings without a human to ask, and with records, which tell where tokens go.

    One agent may use as much as the job, so that a single agent has the team's means.
    """
    alone = {"agent_model_calls": settings.limits.model_calls, "agent_tool_calls": settings.limits.tool_calls}
    return settings.model_copy(update={**alone, "on_limit": "finish_partial", "record": True})


def on_sample_data(settings: Settings) -> Settings:
    """The same for the sample data, to which the sample's expected answers belong."""
    own_data: dict[str, object] = {"sales_data": None, "knowledge_base_data": None, "mcp": {}, **WITHOUT_OPTIONAL}
    return on_own_data(settings.model_copy(update=own_data))


async def measured(
    settings: Settings,
    redis_url: str,
    addresses: Addresses,
    questions: tuple[Question, ...],
    repeat: int = 1,
    systems: Iterable[str] = tuple(SYSTEMS),
    langsmith: Client | None = None,
) -> dict[str, Sequence[Answer]]:
    """The answers of each system, one system after the other; those to one question are neighbours."""
    results: dict[str, Sequence[Answer]] = {}
    dataset = await asyncio.to_thread(uploaded, langsmith, questions) if langsmith else ""
    for name in systems:
        async with opened(settings, redis_url, addresses, _say, SYSTEMS[name]) as jobs:
            ask = partial(_scored, jobs, settings, name)
            if langsmith:
                made = {VERSIONS: jobs.behaviour_version}
                how = partial(experiment, max_concurrency=AT_A_TIME, num_repetitions=repeat, metadata=made)
                results[name] = await how(langsmith, dataset, name, questions, ask)
            else:
                runs = (each for each in questions for _ in range(repeat))
                free = asyncio.Semaphore(AT_A_TIME)
                results[name] = await asyncio.gather(*(_in_turn(free, ask, each) for each in runs))
    return results


async def answered(jobs: Jobs, settings: Settings, question: str) -> tuple[JobResult, Outcome]:
    """One job for the question, and what came of it."""
    events: list[Json] = []
    started = time.monotonic()
    job_id = await jobs.create(question, settings.limits)
    result = await jobs.run(job_id, events.append)
    seconds = time.monotonic() - started
    wrong = await _problems(jobs, question, result)
    return result, read_outcome(result.model_dump(mode="json"), seconds, events=events, problems=wrong)


async def _problems(jobs: Jobs, question: str, result: JobResult) -> list[str]:
    """What the product's own check finds wrong with the report, whose citations are not numbered yet."""
    report = (await jobs.snapshot(result.job_id)).values.get("report")
    if not report:
        return []
    evidence = await jobs.deps.evidence.many(result.job_id, [each["id"] for each in result.evidence])
    found = problems(answer(report["body"]), evidence, [question])
    return [*report["problems"], *(f"{each.statement.text}: {each.reason}" for each in found)]


async def _in_turn(free: asyncio.Semaphore, ask: Ask, question: Question) -> Answer:
    async with free:
        return (await ask(question))[0]


async def _scored(jobs: Jobs, settings: Settings, system: str, question: Question) -> tuple[Answer, Outcome]:
    result, outcome = await answered(jobs, settings, question.text)
    scores = tuple(evaluate(question, outcome) for evaluate in EVALUATORS)
    scored = Answer(question.id, question.kind, result.job_id, scores, result.behaviour_version)
    _say(f"{system}, {question.id}: {result.stop_reason}, {outcome.seconds:.1f} s. {scored.comments}".rstrip())
    return scored, outcome


def _judged(results: Results) -> int:
    baseline = read_baseline(BASELINE)
    for line in otherwise_made(results, baseline):
        print(line)
    worse = fallen(results, baseline)
    for line in worse:
        print(f"below the baseline: {line}")
    if not worse:
        print("nothing is below the baseline")
    return FELL if worse else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)
