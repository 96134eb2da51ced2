"""Live progress of one job on stderr: activity, spend against budget, steps."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.live import Live
from rich.markdown import Markdown
from rich.text import Text

from app.commands.terminal import Terminal, in_full
from app.jobs.narration import Line, told
from app.jobs.results import JobResult
from graphs.evidence.rendering import counted
from graphs.planning.decision import proposed_usd
from graphs.spending.limits import MICRO
from graphs.state import Json

_COLOURS = {"supervisor": "magenta", "researcher": "cyan", "sales": "green", "analyst": "yellow", "report": "blue"}


class Progress:
    """Prints a line per event, and keeps a line with the running totals below."""

    def __init__(self, console: Terminal) -> None:
        self._console = console
        self._budget = 0
        self._cost = 0
        self._calls = 0
        self._tools = 0
        self._steps = 0
        self._live = Live(self._totals(), console=console, transient=True, refresh_per_second=8)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, event: Json) -> None:
        """Show one event of the job."""
        for line in told(event):
            self._say(line)
        match event["type"]:
            case "tool_call":
                self._tools += 1
            case "model_call":
                self._calls += 1
                self._cost += event["cost_micro_usd"]
            case "tool_cost":
                self._cost += event["cost_micro_usd"]
            case "budget":
                self._cost, self._budget, self._steps = event["micro_usd"], event["budget_micro_usd"], event["steps"]
        self._live.update(self._totals())

    def _say(self, line: Line) -> None:
        who = (f"{line.who:>11}", _COLOURS.get(line.who, "white"))
        self._console.print(Text.assemble(who, f"  {line.what}"), soft_wrap=True)

    def _totals(self) -> Text:
        of = f" of {in_full(self._budget)}" if self._budget else ""
        calls = f"{counted(self._calls, 'model call')} · {counted(self._tools, 'tool call')}"
        return Text(f"  spent ${self._cost / MICRO:.4f}{of} · {calls} · {counted(self._steps, 'step')}", style="bold")


def show(console: Terminal, report_path: str) -> None:
    """Print the report, rendered for a terminal or raw for a pipe."""
    text = Path(report_path).read_text(encoding="utf-8")
    if console.is_terminal:
        console.print(Markdown(text))
    else:
        console.out(text)


def summary(console: Terminal, result: JobResult, program: str) -> None:
    """Print the last lines of a run: report, stop reason, cost, and what it waits for.

    `program` is how the command was called, for hints.
    """
    used = ", ".join(
        [
            counted(result.model_calls, "model call"),
            counted(result.tool_calls, "tool call"),
            counted(result.handoffs, "hand-off"),
            counted(result.steps, "step"),
        ]
    )
    if result.report_path:
        console.print(f"report       {result.report_path}")
    console.print(f"job          {result.job_id}")
    console.print(f"stop reason  {result.stop_reason} ({result.status})")
    console.print(f"cost         ${result.cost_usd:.6f} of {in_full(round(result.budget_usd * MICRO))} for {used}")
    if result.cost_usd:
        times = result.secured_usd / result.cost_usd
        console.print(f"             before its calls {times:.1f} times as much was reserved; the rest went back")
    if result.estimated_usd:
        console.print(f"             including ${result.estimated_usd:.6f} estimated: the provider reported no usage")
    if result.reserved_usd:
        console.print(f"             up to ${result.reserved_usd:.6f} more for calls of a process that died")
    if result.resumes_at:
        again = f"then, or with a larger budget, go on with: {program} resume {result.job_id}"
        console.print(f"waiting      {result.stop_detail}; {again}")
    if result.escalation:
        ask(console, result.escalation, lambda choice: f"{program} decide {result.job_id} {choice}", "a resume")


def ask(console: Terminal, escalation: Json, command: Callable[[str], str], who: str) -> None:
    """Print the choices of an escalation as commands to copy.

    Args:
        console: the terminal.
        escalation: the job's open escalation.
        command: makes the command for a choice such as `--action abort`.
        who: finishes the report when nobody decides.
    """
    detail = f" ({escalation['detail']})" if escalation["detail"] else ""
    console.print(f"waiting      {escalation['what_happened']}{detail}")
    if escalation["remedy"]:
        console.print(f"to go on     {escalation['remedy']}")
    choices = ["finish_partial", "abort"]
    if (proposed := proposed_usd(escalation)) is not None:
        least, most = escalation["least_amount_usd"], escalation["most_amount_usd"]
        console.print(f"amount       from ${least:.6f} to ${most:.6f}")
        amount = f"{proposed:.6f}".rstrip("0").rstrip(".")
        choices = [f"approve_more --amount-usd {amount}", f"redirect --note '...' --amount-usd {amount}", *choices]
    for before, choice in zip(["answer with", *["or"] * 3], choices, strict=False):
        console.print(f"{before:<11}  {command(f'--action {choice}')}")
    console.print(f"by           {escalation['answer_by']}; then {who} finishes the report from what there is")
