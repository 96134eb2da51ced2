"""`make evals`: runs every question with the team and with the single agent, on real processes, and scores them.

Fails below `sample/baseline.json`, which is for the stand-in model. With a key the configured model is measured.
"""

import argparse
import asyncio
import sys
import time
from datetime import UTC, datetime

from rich.console import Console

from app.config import settings as configuration
from app.config.folders import private
from app.config.servers import WITHOUT_OPTIONAL
from app.config.settings import Settings
from app.errors import AppError
from app.jobs.jobs import Jobs
from app.observing.terminals import keep_terminals_harmless, raw
from app.running.processes import Addresses, services
from app.running.runtime import opened
from evals.evaluators import EVALUATORS, read_outcome
from evals.naive_team import build_naive_team_graph
from evals.questions import Question, asked, chosen
from evals.scoreboard import (
    Answer,
    Results,
    baseline_of,
    document,
    fallen,
    otherwise_made,
    read_baseline,
    table,
    write_json,
)
from evals.tokens import enough, spendings, tables
from graphs.research import build_research_graph
from graphs.single_agent import build_single_agent_graph
from sample import BASELINE

SYSTEMS = {"team": build_research_graph, "single_agent": build_single_agent_graph, "naive_team": build_naive_team_graph}
AT_A_TIME = 2
FELL, NOT_MEASURED = 1, 2


def main() -> int:
    """The command. Returns the exit code: 0, 1 if a score fell below the baseline, 2 if nothing was measured."""
    given = _arguments()
    keep_terminals_harmless()
    try:
        settings = on_sample_data(configuration.load())
        with services(settings) as (redis_url, addresses):
            questions = chosen(given.questions) if given.questions else asked()
            results = asyncio.run(measured(settings, redis_url, addresses, questions))
            spent = asyncio.run(spendings(redis_url, results))
    except AppError as error:
        print(f"error: {error}", file=sys.stderr)
        return NOT_MEASURED
    kept = settings.data_dir / "evals" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    private(kept.parent)
    write_json(kept, document(results))
    stdout = raw(sys.stdout)
    console = Console(file=stdout, width=None if stdout.isatty() else 140)
    console.print(table(results), *tables(results, spent))
    console.print(*enough(results, spent), sep="\n")
    print(f"answers by {'the stand-in model' if settings.offline else settings.model}; all scores are in {kept}")
    if given.update_baseline:
        write_json(BASELINE, baseline_of(results))
        return 0
    return _judged(results) if settings.offline or given.compare else 0


def on_sample_data(settings: Settings) -> Settings:
    """The settings for the sample data, to which the expected answers belong, and without a human to ask.

    One agent may use as much as the job, so that a single agent has the team's means.
    """
    own_data: dict[str, object] = {
        "sales_data": None,
        "knowledge_base_data": None,
        "mcp": {},
        "record": True,
        **WITHOUT_OPTIONAL,
    }
    alone = {"agent_model_calls": settings.limits.model_calls, "agent_tool_calls": settings.limits.tool_calls}
    return settings.model_copy(update={**own_data, **alone, "on_limit": "finish_partial"})


async def measured(
    settings: Settings, redis_url: str, addresses: Addresses, questions: tuple[Question, ...]
) -> dict[str, tuple[Answer, ...]]:
    """The answers of each system, one system after the other."""
    results = {}
    for name, build in SYSTEMS.items():
        async with opened(settings, redis_url, addresses, _say, build) as jobs:
            free = asyncio.Semaphore(AT_A_TIME)
            results[name] = tuple(await asyncio.gather(*(_answered(jobs, settings, each, free) for each in questions)))
    return results


async def _answered(jobs: Jobs, settings: Settings, question: Question, free: asyncio.Semaphore) -> Answer:
    async with free:
        started = time.monotonic()
        job_id = await jobs.create(question.text, settings.limits)
        result = await jobs.run(job_id, lambda _: None)
        seconds = time.monotonic() - started
    outcome = read_outcome(result.model_dump(mode="json"), seconds)
    scores = tuple(evaluate(question, outcome) for evaluate in EVALUATORS)
    answer = Answer(question.id, question.kind, job_id, scores, result.behaviour_version)
    _say(f"{question.id}: {result.stop_reason}, {seconds:.1f} s. {answer.comments}")
    return answer


def _judged(results: Results) -> int:
    baseline = read_baseline(BASELINE)
    for line in otherwise_made(results, baseline):
        print(line)
    worse = fallen(results, baseline)
    for line in worse:
        print(f"below the baseline: {line}")
    return FELL if worse else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m evals.run", description="Measure the answers.")
    parser.add_argument("--update-baseline", action="store_true", help="store this run as the baseline")
    parser.add_argument("--compare", action="store_true", help="compare with the baseline also when a key is set")
    parser.add_argument("--questions", type=int, metavar="N", help="ask so many, spread over the kinds (default: all)")
    given = parser.parse_args()
    if given.questions is not None and given.questions < 1:
        parser.error("--questions needs at least 1")
    if given.update_baseline and given.questions:
        parser.error("--update-baseline needs all questions; leave out --questions")
    return given


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
