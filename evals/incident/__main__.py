"""The seven disasters, with and without guards, against a stand-in model and MCP servers that misbehave.

    python -m evals.incident [--only NAME]

Prints one Markdown table, rounded so that two runs print almost the same. Costs are at list price, by the stand-in's
own token count. Exits with 1 if a guard did not fire, and names the drill and what happened instead.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from app.config.servers import WITHOUT_OPTIONAL
from app.config.settings import Settings
from app.observing.terminals import keep_terminals_harmless
from app.running.processes import running
from evals.incident.drills import DRILLS, Drill
from evals.incident.invoice import Invoice
from evals.incident.runs import BUDGET_USD, CALL_S, With, Without, with_guards, without_guards

HEAD = (
    "| drill | without guards | user got | with guards | stop reason | user got |\n"
    "| --- | --- | --- | --- | --- | --- |"
)
NOTE = (
    "Calls are those that reached the model, at list price. `a day` is what a run that goes on costs at the mean price "
    f"of its calls so far, one after the other, {CALL_S} s each. Without guards the drill itself ends a run. "
    f"With guards it is `tollgate run --budget-usd {BUDGET_USD}`."
)


def main() -> None:
    """Run the drills one after another."""
    parser = argparse.ArgumentParser(prog="evals.incident", description="Seven disasters, without guards and with.")
    parser.add_argument("--only", choices=[drill.name for drill in DRILLS], help="one drill instead of all")
    chosen = parser.parse_args().only
    keep_terminals_harmless()
    drills = [drill for drill in DRILLS if chosen in (None, drill.name)]
    with tempfile.TemporaryDirectory(prefix="tollgate-incident-") as folder:
        problems = asyncio.run(_run(drills, Path(folder)))
    for problem in problems:
        print(f"failed: {problem}", file=sys.stderr)
    raise SystemExit(1 if problems else 0)


async def _run(drills: Sequence[Drill], folder: Path) -> list[str]:
    settings = Settings(_env_file=None).model_copy(update=_own(folder))
    problems = []
    print(HEAD, flush=True)
    with running(settings) as addresses:
        for number, drill in enumerate(drills):
            own = Path(tempfile.mkdtemp(prefix=f"{number}-", dir=folder))
            bare, guarded = await asyncio.gather(
                without_guards(drill, addresses.servers),
                with_guards(drill, addresses.servers, own),
            )
            print(row(drill, bare, guarded), flush=True)
            found = (bare.bill.problem, guarded.bill.problem, guarded.problem)
            problems += [f"{drill.name}: {problem}" for problem in found if problem]
    print(f"\n{NOTE}")
    return problems


def _own(folder: Path) -> dict[str, object]:
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
    cells = [
        drill.name,
        f"{tokens}, ${_rounded(bare.bill.dollars)}{daily}",
        bare.got,
        f"{_calls(guarded.bill)}, {guarded.steps or 'no'} steps, ${_rounded(guarded.bill.dollars)}",
        f"`{guarded.stop_reason}`",
        guarded.got,
    ]
    return f"| {' | '.join(cells)} |"


def _calls(bill: Invoice) -> str:
    return f"{bill.calls} call" if bill.calls == 1 else f"{bill.calls} calls"


def _rounded(amount: Decimal) -> str:
    """The amount with two significant digits: 0.0017, 2,300,000."""
    return f"{Decimal(f'{amount:.1e}'):,f}" if amount else "0"


if __name__ == "__main__":
    main()
