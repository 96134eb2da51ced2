"""`eval`: measures the answers to questions whose answers are known."""

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.terminal import DEVELOP, loaded
from app.errors import BadInput

EVALUATION = "evals.run"  # named, not imported: the evals build on this package

cli = typer.Typer()


@cli.command("eval", rich_help_panel=DEVELOP)
def evaluate(  # noqa: PLR0913, PLR0917  options
    dataset: Annotated[
        Path | None, typer.Option(help="Your questions, JSON Lines or CSV (evals/README.md); default: the sample's.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Which model answers, in place of TOLLGATE_MODEL.")] = None,
    repeat: Annotated[int, typer.Option(min=1, help="How often each question is asked.")] = 1,
    questions: Annotated[int | None, typer.Option(min=1, help="So many of them, spread over the kinds.")] = None,
    system: Annotated[list[str] | None, typer.Option(help="Measure this one only; may be repeated.")] = None,
    against: Annotated[
        str | None, typer.Option(help="Show the differences from an earlier run: its file or a behaviour version.")
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Fail below the baseline also with a real model.")] = False,
    update_baseline: Annotated[bool, typer.Option("--update-baseline", help="Store this run as the baseline.")] = False,
    langsmith: Annotated[bool, typer.Option("--langsmith", help="Run as an experiment in LangSmith, too.")] = False,
) -> None:
    """Ask questions with known answers, score what comes back, and compare with the baseline or an earlier run.

    Exits with 1 if a score fell below the baseline.
    """
    run: Any = _evaluation()
    wanted = run.Wanted(dataset, repeat, questions, tuple(system or ()), against, compare, update_baseline, langsmith)
    settings = loaded()
    if model:
        settings = settings.model_copy(update={"model": model, "supervisor_model": model})
    raise SystemExit(run.evaluated(settings, wanted))


def _evaluation() -> Any:
    try:
        return importlib.import_module(EVALUATION)
    except ModuleNotFoundError as error:
        raise BadInput(f"evaluations need {error.name}, which is not installed; run make .venv/dev") from error
