"""`tollgate replay` and `tollgate cassette`: what is done with the record of a job."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from app.commands.terminal import DEVELOP, FAILED, Terminal, loaded
from app.errors import BadInput
from app.running.processes import redis_running

cli = typer.Typer()

JobId = Annotated[str, typer.Argument(help="Id of a job that was run with TOLLGATE_RECORD=true.")]


@cli.command(rich_help_panel=DEVELOP)
def replay(
    job: JobId,
    step: Annotated[
        str | None, typer.Option("--from", help="Begin at this step, with what was known there: a number, or a node.")
    ] = None,
) -> None:
    """Run a recorded job again on its record, offline and free, and say what differs first; exits with 1 if anything
    does."""
    from app.running.replay import replayed_from  # noqa: PLC0415  heavy
    from graphs.evidence.rendering import counted  # noqa: PLC0415  heavy

    settings, console = loaded(), Terminal(soft_wrap=True)
    with redis_running(settings) as redis_url:
        ended = asyncio.run(replayed_from(settings, redis_url, job, step))
    for note in ended.notes:
        console.print(f"the record is incomplete: {note}")
    if ended.differs:
        console.print(f"differs after {counted(ended.exchanges, 'equal exchange')}\n{ended.differs}")
        raise SystemExit(FAILED)
    console.print(f"equal: {counted(ended.exchanges, 'exchange')}, and the report byte for byte")


@cli.command(rich_help_panel=DEVELOP)
def cassette(
    job: JobId,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
) -> None:
    """Write a recorded job to a file that the stand-in model serves: a test fixture."""
    from app.observing.redaction import Redaction  # noqa: PLC0415  heavy
    from app.running.replay import recorded  # noqa: PLC0415

    settings = loaded()
    with redis_running(settings) as redis_url:
        found = asyncio.run(recorded(settings, redis_url, job))
    try:
        output.write_text(found.written(Redaction(settings.secrets)), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{output} cannot be written ({error.strerror}); choose another file with -o") from error
    Terminal(stderr=True, soft_wrap=True).print(f"{len(found.lines)} lines; serve them with TOLLGATE_CASSETTE={output}")
