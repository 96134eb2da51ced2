"""How much more a job reserves than it spends, and how much of a budget it can spend.

    python -m evals.bench.budgets [--runs 0] [--at-once 2] [--seed 0]

The sample's questions are asked one after another in one process, as a worker does. Each call was reserved at the most
that it could cost, and settled at what it did cost. The quotient is shown in full, and beside it without what no bound
can know: how much of a prompt the provider finds in its cache, at a tenth of the price.

With `--runs`, that many jobs of a team that never has enough run at a provider that fails every eleventh call, with
four budgets at two price levels. Every third is killed at a random call and resumed. Exit code 1 if a bill is above its
budget, if less than 92 % of a budget is spent, or if a job leaves no report.
"""

import argparse
import asyncio
import random
import shutil
import statistics
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.table import Table

from app.config.prices import Pricer, pricer
from app.config.settings import Settings
from app.running.processes import Addresses, running, services
from app.running.runtime import opened
from evals.bench.rows import Row
from evals.incident.__main__ import own_settings
from evals.incident.drills import Drill, Kind
from evals.incident.guarded import with_guards
from evals.incident.proofs import Ended
from evals.questions import asked
from evals.run import on_sample_data
from graphs.deps import REPORT
from graphs.state import Json
from graphs.stop_reasons import StopReason

CHEAPEST = "gpt-5-nano"
# Two models for each budget, one twice to five times as dear as the other, such that one call at its worst is no more
# than the part that may be left. The parts of 200 jobs that are theirs: a job with a dollar takes as long as ten with a
# few cents.
CASES = {
    (CHEAPEST, Decimal("0.02")): 40,
    ("gpt-4.1-nano", Decimal("0.02")): 40,
    (CHEAPEST, Decimal("0.05")): 40,
    ("gpt-5-mini", Decimal("0.05")): 40,
    ("gpt-5-mini", Decimal("0.25")): 15,
    ("gpt-5", Decimal("0.25")): 15,
    ("gpt-5-mini", Decimal("1.00")): 5,
    ("gpt-5", Decimal("1.00")): 5,
}
ROWS = (
    Row(
        "reserved over settled, all calls",
        "times",
        "",
        "over the sample's questions; no bound can know what the provider finds in its cache, at a tenth of the price",
    ),
    Row("reserved over settled, later calls", "times", "", "without the first call of each conversation"),
)
ALWAYS_NEW = {"supervisor", REPORT}  # each of their calls is a conversation
LEAST_SPENT = Decimal("0.92")
KILLED_EVERY, LATEST_KILL = 3, 40  # runs; calls
QUESTION = "What is there to know?"
# Only money may stop these jobs.
UNLIMITED = {
    **dict.fromkeys(("TOLLGATE_JOB_MODEL_CALLS", "TOLLGATE_JOB_STEPS", "TOLLGATE_SPEND_PER_MINUTE_USD"), "1000"),
    **dict.fromkeys(("TOLLGATE_AGENT_MODEL_CALLS", "TOLLGATE_AGENT_TOOL_CALLS", "TOLLGATE_JOB_TOOL_CALLS"), "1000"),
    **dict.fromkeys(("TOLLGATE_LOOP_REPEATS", "TOLLGATE_LOOP_IDLE_HANDOFFS", "TOLLGATE_JOB_PLANS"), "100"),
    "TOLLGATE_JOB_HANDOFFS": "200",
    "TOLLGATE_AGENT_SHARE_PERCENT": "100",
    "TOLLGATE_AGENT_DEADLINE_S": "3600",
    "TOLLGATE_LEASE_S": "1",
}


@dataclass
class Sums:
    """Of some calls: what was reserved, what they cost, and what they would have cost without a cache."""

    calls: int = 0
    reserved: int = 0
    cost: int = 0
    uncached: int = 0

    def add(self, call: Json, prices: Pricer) -> None:
        self.calls += 1
        self.reserved += call["reserved_micro_usd"]
        self.cost += call["cost_micro_usd"]
        self.uncached += prices.worst_case(call["model"], call["input_tokens"], call["output_tokens"])


async def reserved(settings: Settings, redis_url: str, addresses: Addresses) -> dict[str, Sums]:
    """The sums over the sample's questions: of all calls, and of those after the first of each conversation."""
    prices, sums = pricer(settings), defaultdict[str, Sums](Sums)
    async with opened(settings, redis_url, addresses, lambda _: None) as jobs:
        for question in asked():
            events: list[Json] = []
            await jobs.run(await jobs.create(question.text, settings.limits), events.append)
            begun = set[str]()
            for call in (each for each in events if each["type"] == "model_call"):
                sums["all"].add(call, prices)
                if call["agent"] in begun - ALWAYS_NEW:
                    sums["after the first of a conversation"].add(call, prices)
                begun.add(call["agent"])
    return sums


def quotients(sums: dict[str, Sums]) -> Table:
    table = Table("calls", "number", "reserved $", "settled $", "reserved / settled", "without the cache's discount")
    for name, each in sums.items():
        dollars = (f"{amount / 1e6:.4f}" for amount in (each.reserved, each.cost))
        table.add_row(
            name, str(each.calls), *dollars, f"{each.reserved / each.cost:.2f}", f"{each.reserved / each.uncached:.2f}"
        )
    return table


@dataclass
class Runs:
    """Jobs of one budget at one price level: the parts of it that were spent, and what went wrong."""

    spent: list[Decimal] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def judged(self, ended: Ended, budget: Decimal) -> str:
        """Notes what a job spent. Says what is wrong with it, or ""."""
        part = Decimal(str(ended.result["cost_usd"])) / budget
        self.spent.append(part)
        if part < LEAST_SPENT:
            return f"only {part:.1%} was spent: {ended.result['stop_reason']}, {ended.result['stop_detail']}"
        return "" if ended.report else "there is no report"


def insatiable(number: int, seed: int, model: str, budget: Decimal, runs: Runs) -> Drill:
    """One job, and where it is killed."""
    chance = random.Random(seed * 1_000_003 + number)
    killed = number % KILLED_EVERY == 0
    return Drill(
        f"run {number}",
        Kind.OTHER,
        f"{QUESTION} ({seed}.{number})",
        (StopReason.BUDGET, StopReason.BUDGET_WRAP_UP),
        lambda ended: runs.judged(ended, budget),
        profile="insatiable",
        course="killed" if killed else "once",
        strikes=((), (chance.randint(2, LATEST_KILL),) if killed else ()),
        settings=UNLIMITED | {"TOLLGATE_MODEL": model, "TOLLGATE_SUPERVISOR_MODEL": CHEAPEST},
        on_limit="finish_partial",
        budget_usd=budget,
        deadline_s=600,
    )


async def spent(count: int, at_once: int, seed: int, folder: Path) -> dict[tuple[str, Decimal], Runs]:
    """That many jobs, some at once, all at the same MCP servers."""
    cases = [case for case, share in CASES.items() for _ in range(share)]
    random.Random(seed).shuffle(cases)
    found = {case: Runs() for case in CASES}
    free = asyncio.Semaphore(at_once)
    with running(Settings(_env_file=None).model_copy(update=own_settings(folder))) as addresses:

        async def one(number: int) -> None:
            case = cases[number % len(cases)]
            drill = insatiable(number, seed, *case, found[case])
            async with free:
                own = Path(tempfile.mkdtemp(prefix=f"{number}-", dir=folder))
                ended = await with_guards(drill, addresses.servers, own)
                shutil.rmtree(own)
            if ended.problem:
                found[case].problems.append(f"{drill.question} at ${case[1]} of {case[0]}: {ended.problem}")
            print(".", end="", file=sys.stderr, flush=True)

        await asyncio.gather(*(one(number) for number in range(count)))
    return found


def parts(found: dict[tuple[str, Decimal], Runs]) -> Table:
    table = Table("model", "budget $", "jobs", "spent at least", "median", "at most", "faults")
    for (model, budget), runs in found.items():
        least, middle, most = (pick(runs.spent or [Decimal(0)]) for pick in (min, statistics.median, max))
        shown = (f"{part:.1%}" for part in (least, middle, most))
        table.add_row(model, str(budget), str(len(runs.spent)), *shown, str(len(runs.problems)))
    return table


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=0, help="jobs that never have enough; default 0")
    parser.add_argument("--at-once", type=int, default=2, help="of them; default 2")
    parser.add_argument("--seed", type=int, default=0, help="which jobs; default 0")
    given = parser.parse_args()
    console = Console(width=120)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        if not given.runs:
            settings = on_sample_data(Settings(_env_file=None, data_dir=Path(folder)))
            with services(settings) as (redis_url, addresses):
                sums = asyncio.run(reserved(settings, redis_url, addresses))
            console.print(quotients(sums))
            for row, each in zip(ROWS, sums.values(), strict=True):
                row.tell([each.reserved / each.cost])
            return 0
        found = asyncio.run(spent(given.runs, given.at_once, given.seed, Path(folder)))
    console.print(parts(found))
    problems = [problem for runs in found.values() for problem in runs.problems]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
