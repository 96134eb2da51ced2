"""`make real-model`: runs jobs with a real, small language model instead of the stand-in.

    python -m evals.real_model [--questions N] [--seeds N]

It answers badly, and that is the test: whatever it says, a job keeps its limits, states no number without evidence,
counts every token, and says how it ended. Exits with 1 if a check fails.
"""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console

from app.observing.terminals import keep_terminals_harmless
from evals.evaluators import EVALUATORS, read_outcome
from evals.questions import Question, chosen
from evals.real_model.checks import Ended, faults
from evals.real_model.runs import MODEL, deployed
from evals.run import WIDTH
from evals.scoreboard import Answer, tables


def main() -> None:
    """Run every question with every seed, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m evals.real_model", description="Let a small model answer.")
    parser.add_argument("--questions", type=int, default=10, help="of all kinds (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="of each question (default: %(default)s)")
    given = parser.parse_args()
    keep_terminals_harmless()
    questions, jobs, answers, failed = chosen(given.questions), list[Ended](), list[Answer](), False
    print("| seed | question | outcome | findings | model calls | tokens in | cached | tokens out | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for seed in range(1, given.seeds + 1):
        with tempfile.TemporaryDirectory(prefix="tollgate-real-model-") as folder, deployed(seed, Path(folder)) as here:
            for question in questions:
                job = here.ended(question.text)
                jobs.append(job)
                answers.append(scored(question, job))
                print(row(seed, question, job), flush=True)
                for fault in faults(job):
                    failed = True
                    print(f"failed: seed {seed}, {question.id}: {fault}", file=sys.stderr, flush=True)
    print("\n".join(["", *summary(jobs)]))
    for table in tables({MODEL: answers}):
        Console(width=WIDTH).print(table)
    raise SystemExit(1 if failed else 0)


def row(seed: int, question: Question, job: Ended) -> str:
    """One line of the table."""
    result = job.result
    outcome = f"{result['status']} (`{result['stop_reason']}`)"
    counts = [len(result["findings"]), result["model_calls"], *job.counted, round(job.seconds)]
    return f"| {' | '.join(map(str, [seed, question.id, outcome, *counts]))} |"


def scored(question: Question, job: Ended) -> Answer:
    """The job as the evals score it, while its files are there."""
    outcome = read_outcome(dict(job.result), job.seconds)
    scores = tuple(evaluate(question, outcome) for evaluate in EVALUATORS)
    return Answer(question.id, question.kind, job.result["job_id"], scores, job.result["behaviour_version"])


def summary(jobs: list[Ended]) -> list[str]:
    """A summary of all jobs."""
    ends = Counter(f"{each.result['status']} ({each.result['stop_reason']})" for each in jobs)
    read, cached, written = (sum(amounts) for amounts in zip(*(each.counted for each in jobs), strict=True))
    seconds = sorted(each.seconds for each in jobs)
    return [
        f"{len(jobs)} jobs: " + ", ".join(f"{number} {end}" for end, number in ends.most_common()),
        f"{read:,} tokens in, {cached:,} of them cached; {written:,} out",
        f"{sum(seconds):.0f} s, {seconds[0]:.0f} to {seconds[-1]:.0f} s a job",
    ]


if __name__ == "__main__":
    main()
