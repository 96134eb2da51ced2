"""The disasters of drills.py, with and without guards, against a stand-in model and MCP servers that misbehave.

    python -m evals.incident [--only NAME]

Prints one Markdown table, rounded so that two runs print almost the same. Costs are at list price, by the stand-in's
own token count. Exits with 1 if a guard did not fire, and names the drill and what happened instead.
"""

import argparse
import asyncio
import sys
import tempfile
import warnings
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from app.config.servers import WITHOUT_OPTIONAL
from app.config.settings import Settings
from app.observing.terminals import keep_terminals_harmless
from app.running.processes import running
from evals.incident.drills import DRILLS, Drill
from evals.incident.guarded import with_guards
from evals.incident.invoice import Invoice
from evals.incident.outcomes import CALL_S, NOT_STARTED, With, Without
from evals.incident.runs import Servers
from evals.incident.without import without_guards

AT_ONCE = 2
HEAD = (
    "| drill | kind | without guards | user got | with guards | stop reason | user got |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)
NOTE = (
    "Calls are those that reached the model, at list price. `a day` is what a run that goes on costs at the mean price "
    f"of its calls so far, one after the other, {CALL_S} s each. Without guards the drill itself ends a run. `Its cap` "
    "is what a team meant to spend, and then what its counter said. With guards that is the job's budget."
)


def main() -> None:
    """Run the drills, a few at a time, and print them in their order."""
    parser = argparse.ArgumentParser(prog="evals.incident", description="Disasters, without guards and with them.")
    parser.add_argument("--only", choices=[drill.name for drill in DRILLS], help="one drill instead of all")
    chosen = parser.parse_args().only
    keep_terminals_harmless()
    warnings.filterwarnings("ignore", "Pydantic serializer warnings")  # langchain-openai's, of a streamed answer
    drills = [drill for drill in DRILLS if chosen in (None, drill.name)]
    with tempfile.TemporaryDirectory(prefix="tollgate-incident-") as folder:
        problems = asyncio.run(_run(drills, Path(folder)))
    for problem in problems:
        print(f"failed: {problem}", file=sys.stderr)
    raise SystemExit(1 if problems else 0)


async def _run(drills: Sequence[Drill], folder: Path) -> list[str]:
    settings = Settings(_env_file=None).model_copy(update=own_settings(folder))
    problems = []
    print(HEAD, flush=True)
    with running(settings) as addresses:
        turn = asyncio.Semaphore(AT_ONCE)
        runs = [asyncio.create_task(_both(drill, addresses.servers, folder, turn)) for drill in drills]
        for drill, run in zip(drills, runs, strict=True):
            bare, guarded = await run
            print(row(drill, bare, guarded), flush=True)
            found = (bare.bill.problem, guarded.bill.problem, guarded.problem)
            problems += [f"{drill.name}: {problem}" for problem in found if problem]
    print(f"\n{NOTE}")
    return problems


async def _both(drill: Drill, servers: Servers, folder: Path, turn: asyncio.Semaphore) -> tuple[Without, With]:
    async with turn:
        own = Path(tempfile.mkdtemp(dir=folder))
        return await asyncio.gather(without_guards(drill, servers), with_guards(drill, servers, own))


def own_settings(folder: Path) -> dict[str, object]:
    """Settings of the MCP servers: the sample data, in a temporary folder."""
    return {
        "data_dir": folder,
        "openai_api_key": None,
        "openai_base_url": None,
        "stand_in_url": None,
        "sales_data": None,
        "knowledge_base_data": None,
        "mcp": {},
        **WITHOUT_OPTIONAL,
    }


def row(drill: Drill, bare: Without, guarded: With) -> str:
    """One line of the table."""
    rate = bare.dollars_per_day
    daily = "" if rate is None else f", ${_rounded(rate)} a day"
    tokens = f"{_calls(bare.bill)}, {_rounded(Decimal(bare.bill.tokens))} tokens"
    steps = f"{guarded.steps or 'no'} steps, " if guarded.stop_reason != NOT_STARTED else ""
    cells = [
        drill.name,
        drill.kind,
        f"{tokens}, ${_rounded(bare.bill.dollars)}{daily}{_cap(drill, bare)}",
        bare.got,
        f"{_calls(guarded.bill)}, {steps}${_rounded(guarded.bill.dollars)}",
        guarded.stop_reason if guarded.stop_reason == NOT_STARTED else f"`{guarded.stop_reason}`",
        guarded.got,
    ]
    return f"| {' | '.join(cells)} |"


def _cap(drill: Drill, bare: Without) -> str:
    """What the team meant to spend at most, and what it thinks that it has spent."""
    if bare.counted is None:
        return ""
    return f"; its cap ${drill.habits.cap_usd}, counted ${_rounded(bare.counted)}"


def _calls(bill: Invoice) -> str:
    return f"{bill.calls} call" if bill.calls == 1 else f"{bill.calls} calls"


def _rounded(amount: Decimal) -> str:
    """The amount with two significant digits: 0.0017, 2,300,000."""
    return f"{Decimal(f'{amount:.1e}'):,f}" if amount else "0"


if __name__ == "__main__":
    main()
