"""The command line. Starts programs first and does heavy imports meanwhile."""

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from rich.text import Text

from app.commands import client_cli, data_cli, eval_cli, keys_cli, record_cli, serve_cli, spend_cli
from app.commands.terminal import (
    BAD_INPUT,
    DEVELOP,
    EXIT,
    FAILED,
    INTERRUPTED,
    OPERATE,
    RUN,
    SERVE,
    Terminal,
    loaded,
    program,
)
from app.config.folders import keep_files_private
from app.config.servers import NAMES, own_server
from app.config.settings import Settings
from app.errors import AppError, BadInput, OperatorMustAct
from app.observing.terminals import harmless_json, keep_terminals_harmless
from app.running.processes import beside, mcp_program, redis_running, services
from graphs.spending.limits import OnLimit, asked_for
from sample import QUESTION

if TYPE_CHECKING:
    from app.jobs.driver import OnEvent
    from app.jobs.jobs import Jobs
    from app.jobs.results import JobResult


cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Tollgate.")
cli.add_typer(keys_cli.cli)
cli.add_typer(serve_cli.cli)
cli.add_typer(data_cli.cli)
cli.add_typer(client_cli.cli)
cli.add_typer(spend_cli.cli)
cli.add_typer(record_cli.cli)
cli.add_typer(eval_cli.cli)
progress = Terminal(stderr=True)

Act = Callable[["Jobs", "OnEvent"], Awaitable["JobResult"]]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; progress goes to stderr.")]
JobId = Annotated[str, typer.Argument(help="Id of the job, as `run` prints it.")]
Action = Literal["approve_more", "redirect", "finish_partial", "abort"]


@cli.command(rich_help_panel=RUN)
def demo(question: Annotated[str, typer.Argument(help="Any question on the sample data.")] = QUESTION) -> None:
    """Answer one question on the sample business and print the report."""
    _leave(_ask(question or QUESTION, record=True), as_json=False, show_report=True)


@cli.command(rich_help_panel=RUN)
def run(
    question: str,
    budget_usd: client_cli.Budget = None,
    deadline: client_cli.Deadline = None,
    on_limit: Annotated[OnLimit | None, typer.Option(help="What happens at a limit.")] = None,
    cassette: Annotated[Path | None, typer.Option(help="Answer from this recorded job; see TOLLGATE_CASSETTE.")] = None,
    as_json: AsJson = False,
) -> None:
    """Answer QUESTION in a report. Exits with 0 completed, 3 partial, 4 waiting for a human or a new day, 1 failed."""
    given = {"cassette": cassette, "stand_in_url": None} if cassette else {}
    _leave(_ask(question, budget_usd, deadline, on_limit, **given), as_json=as_json)


@cli.command(rich_help_panel=RUN)
def resume(job: JobId, as_json: AsJson = False) -> None:
    """Continue a job from its last checkpoint. Finished tasks are not repeated."""
    _leave(_drive(lambda jobs, on_event: jobs.run(job, on_event), job=job), as_json=as_json)


@cli.command(rich_help_panel=RUN)
def watch(job: JobId, url: client_cli.Url = None) -> None:
    """Show the events of a job that another process drives, until it has ended, or waits for a human or a new day.

    With --url or TOLLGATE_URL, a job of that API; exit codes as for `run`.
    """
    settings = loaded()
    if api := client_cli.chosen(settings, url):
        client_cli.watch(api, job)
    with redis_running(settings) as redis_url:
        from app.commands.progress import Progress  # noqa: PLC0415  heavy
        from app.commands.watching import watched  # noqa: PLC0415

        with contextlib.suppress(KeyboardInterrupt), Progress(Terminal()) as on_event:
            asyncio.run(watched(settings, redis_url, job, on_event))


@cli.command(rich_help_panel=RUN)
def decide(
    job: JobId,
    action: Annotated[Action, typer.Option(help="What to do.")],
    amount_usd: Annotated[float | None, typer.Option(help="US dollars to add to the budget.")] = None,
    note: Annotated[str | None, typer.Option(help="With redirect: what to do instead.")] = None,
    escalation: Annotated[
        str | None, typer.Option(help="Id of the escalation, from --json; default: the open one.")
    ] = None,
    as_json: AsJson = False,
    url: client_cli.Url = None,
) -> None:
    """Decide about a job's escalation and continue the job; with --url or TOLLGATE_URL, at that API."""
    given = {"action": action, "amount_usd": amount_usd, "note": note}
    answer = {key: value for key, value in given.items() if value is not None}
    settings = loaded()
    if api := client_cli.chosen(settings, url):
        client_cli.decide(api, job, answer, escalation, as_json=as_json)

    def act(jobs: "Jobs", on_event: "OnEvent") -> Awaitable["JobResult"]:
        return jobs.decide(job, answer, on_event, escalation_id=escalation)

    _leave(_drive(act, job=job, settings=settings), as_json=as_json)


@cli.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, rich_help_panel=SERVE)
def mcp(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help=f"Which server: {', '.join(NAMES)}.")],
    stdio: Annotated[bool, typer.Option(help="Speak MCP on stdin and stdout, for desktop clients.")] = False,
    host: Annotated[str | None, typer.Option(help="Address to listen on; loopback unless given.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; each server has a default.")] = None,
) -> None:
    """Run one MCP server alone, on the configured data. Its own options (limits, names, logs) may follow."""
    arguments, environment = mcp_program(loaded(), name)
    command = [sys.executable, *arguments, "--port", str(own_server(name).port if port is None else port)]
    command += ["--stdio"] if stdio else []
    command += ["--host", host] if host is not None else []
    os.execve(sys.executable, [*command, *context.args], environment)  # noqa: S606


@cli.command(rich_help_panel=OPERATE)
def doctor() -> None:
    """Check the set-up: agents, model, Redis, MCP servers, limits, tracing."""
    settings = loaded()
    with services(settings) as (redis_url, addresses):
        from app.commands.doctor import examine  # noqa: PLC0415  heavy

        healthy = asyncio.run(examine(settings, redis_url, addresses, Terminal()))
    raise SystemExit(0 if healthy else FAILED)


@cli.command(rich_help_panel=DEVELOP)
def studio(
    port: Annotated[int, typer.Option(help="Port of the development server.")] = 2024,
    browser: Annotated[bool, typer.Option(help="Open LangGraph Studio.")] = True,
) -> None:
    """Open the graph in LangGraph Studio, with everything it needs running beside it."""
    settings = loaded()
    with services(settings) as (redis_url, addresses):
        command = [sys.executable, "-m", "langgraph_cli", "dev", "--port", str(port), "--no-reload"]
        command += [] if browser else ["--no-browser"]
        with contextlib.suppress(KeyboardInterrupt):
            raise SystemExit(subprocess.call(command, env=beside(settings, redis_url, addresses)))  # noqa: S603


def main() -> NoReturn:
    """Entry point. Every expected error is one line on stderr; bad input exits with 2."""
    keep_files_private()
    keep_terminals_harmless()
    gc.set_threshold(10_000)  # imported objects stay; scanning them repeatedly delays the start
    for ending in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal ends a job as cleanly as Ctrl-C
        if signal.getsignal(ending) is not signal.SIG_IGN:  # as under nohup
            signal.signal(ending, _interrupt)
    try:
        cli()
    except OperatorMustAct as error:
        _fail(str(error), FAILED)
    except AppError as error:
        _fail(str(error), BAD_INPUT)
    except Exception as error:
        from graphs.redis.failures import STORE_FAILED, explained  # noqa: PLC0415  heavy

        if isinstance(error, STORE_FAILED):
            _fail(explained(error), FAILED)
        raise
    raise SystemExit(0)


def _interrupt(*_: object) -> None:
    """Act like Ctrl-C, even where that is ignored, as in a script's background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise SystemExit(code)


def _ask(
    question: str,
    budget_usd: float | None = None,
    deadline_s: int | None = None,
    on_limit: OnLimit | None = None,
    **given: object,
) -> "JobResult":
    from graphs.untrusted.screening import refused  # noqa: PLC0415

    settings = loaded().model_copy(update=given)
    if problem := refused(question):  # before anything is started
        raise BadInput(problem)
    limits = settings.limits.model_copy(update=asked_for(budget_usd, deadline_s, on_limit))

    async def act(jobs: "Jobs", on_event: "OnEvent") -> "JobResult":
        job_id = await jobs.create(question, limits)
        on_event({"type": "job", "job_id": job_id})
        return await jobs.run(job_id, on_event)

    return _drive(act, settings=settings)


def _drive(act: Act, *, job: str | None = None, settings: Settings | None = None) -> "JobResult":
    """Run `act` with everything it needs; if it is interrupted, say how to continue."""
    settings = settings or loaded()
    known: list[str] = [job] if job else []

    def how() -> str:
        return f"; go on with: {program()} resume {known[-1]}" if known else ""

    try:
        with services(settings) as (redis_url, addresses):
            from app.commands.progress import Progress  # noqa: PLC0415  heavy imports, while the programs start
            from app.running.runtime import opened  # noqa: PLC0415
            from graphs.errors import GraphError  # noqa: PLC0415
            from graphs.redis.failures import STORE_FAILED, explained  # noqa: PLC0415

            async def session() -> "JobResult":
                async with opened(settings, redis_url, addresses, _warn) as jobs:
                    with Progress(progress) as on_event:

                        def noted(event: dict[str, Any]) -> None:
                            if event["type"] == "job":
                                known.append(event["job_id"])
                            on_event(event)

                        result = await act(jobs, noted)
                        await jobs.tidy()
                        return result

            try:
                return asyncio.run(session())
            except STORE_FAILED as error:
                raise OperatorMustAct(f"the job broke off: {explained(error)}{how()}") from error
            except GraphError as error:
                raise OperatorMustAct(f"{error}{how()}") from error
    except KeyboardInterrupt:
        progress.print(f"stopped{how()}", soft_wrap=True)
        raise SystemExit(INTERRUPTED) from None


def _warn(message: str) -> None:
    progress.print(Text.assemble((f"{'warning':>11}", "yellow"), f"  {message}"), soft_wrap=True)


def _leave(result: "JobResult", *, as_json: bool, show_report: bool = False) -> NoReturn:
    from app.commands.progress import show, summary  # noqa: PLC0415

    if as_json:
        typer.echo(harmless_json(result.model_dump_json(indent=2)))
    else:
        if show_report and result.report_path:
            show(Terminal(), result.report_path)
        summary(Terminal(soft_wrap=True), result, program())
    raise SystemExit(EXIT[result.status])


if __name__ == "__main__":
    main()
