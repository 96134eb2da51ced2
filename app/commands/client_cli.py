"""`tollgate submit`, `status`, `list`, `cancel`, `report`, and what `watch` and `decide` do over HTTP."""

import contextlib
import re
import shlex
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from app.commands.terminal import EXIT, INTERRUPTED, RUN, Terminal, in_full, loaded, program
from app.config import ports
from app.config.settings import Settings
from app.errors import ApiFailed, BadInput
from app.jobs.states import Format, Status
from app.observing.terminals import harmless_json, raw
from app.running.servers import LOOPBACK
from graphs.spending.limits import MICRO, MOST_S, MOST_USD, OnLimit

if TYPE_CHECKING:
    from app.client.http_client import Client, Job, Named

HERE = f"http://{LOOPBACK}:{ports.API}"
_KEY = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)

cli = typer.Typer()

Url = Annotated[str | None, typer.Option(help="Address of the API, like http://127.0.0.1:8000; or TOLLGATE_URL.")]
JobId = Annotated[str, typer.Argument(help="Id of the job, as `submit` prints it.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout: the job, as the API answers it.")]
Budget = Annotated[float | None, typer.Option(min=1 / MICRO, max=MOST_USD, help="Budget of this job in US dollars.")]
Deadline = Annotated[int | None, typer.Option(min=1, max=MOST_S, help="Seconds that this job may take.")]
Key = Annotated[str | None, typer.Option(help="Under one key a job is ordered once; one is made if none is given.")]


@dataclass(frozen=True)
class Api:
    """The API to ask, and what a hint has to name so that it is asked again."""

    url: str
    settings: Settings
    option: str

    def hint(self, command: str) -> str:
        """A command to paste."""
        return f"{program()} {command}{self.option}"


def chosen(settings: Settings, url: str | None) -> Api | None:
    """The API that the option or the setting names. Raises BadInput."""
    from app.client.http_requests import checked_url  # noqa: PLC0415  heavy

    if url is not None:
        return Api(checked_url(url), settings, f" --url {shlex.quote(url)}")
    return Api(checked_url(str(settings.url)), settings, "") if settings.url else None


def api_of(url: str | None) -> Api:
    """The API to ask: the one that is named, or the one on this machine."""
    settings = loaded()
    return chosen(settings, url) or Api(HERE, settings, f" --url {HERE}")


@cli.command(rich_help_panel=RUN)
def submit(  # noqa: PLR0913, PLR0917  its options
    question: str,
    budget_usd: Budget = None,
    deadline: Deadline = None,
    on_limit: Annotated[OnLimit | None, typer.Option(help="What happens at a limit.")] = None,
    webhook_url: Annotated[str | None, typer.Option(help="Is told when the job ends or waits for a human.")] = None,
    metadata: Annotated[list[str] | None, typer.Option(help="name=value, yours; once per name.")] = None,
    idempotency_key: Key = None,
    wait: Annotated[bool, typer.Option("--wait", help="Watch it; the exit codes are those of `run`.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Order a job at an API and print its id."""
    api = api_of(url)
    wanted = {"budget_usd": budget_usd, "deadline_s": deadline, "on_limit": on_limit, "webhook_url": webhook_url}
    order: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    order |= {"question": question, "metadata": _pairs(metadata or [])}
    key = idempotency_key if idempotency_key is not None else str(uuid.uuid4())
    if not _KEY.fullmatch(key):
        raise BadInput("an idempotency key has 1 to 200 printable ASCII characters and no blank")
    with _client(api) as client:
        try:
            job = client.submit(order, key)
        except ApiFailed as error:
            again = f"; to order it once, try again with --idempotency-key {shlex.quote(key)}"
            raise ApiFailed(f"{error}{again}") from error
        if wait:
            _follow(client, api, job.id, as_json=as_json, console=Terminal(stderr=True))
    typer.echo(_document(job) if as_json else job.id)
    typer.echo(f"follow it with: {api.hint(f'watch {job.id}')}", err=True)


@cli.command(rich_help_panel=RUN)
def status(job: JobId, as_json: AsJson = False, url: Url = None) -> None:
    """Say how a job stands. The exit codes are those of `run`, and 0 while it is queued or running."""
    api = api_of(url)
    with _client(api) as client:
        found = client.job(job)
    _show(api, found, as_json=as_json)
    raise SystemExit(EXIT.get(found.status, 0))


@cli.command("list", rich_help_panel=RUN)
def list_jobs(
    status: Annotated[Status | None, typer.Option(help="Only jobs in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Jobs to list at most.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document per line.")] = False,
    url: Url = None,
) -> None:
    """List jobs, the newest first: id, state, question."""
    with _client(api_of(url)) as client:
        for each in client.jobs(status, limit):
            line = f"{each.id}  {each.status:<14}  {_line(each.question)}"
            typer.echo(harmless_json(each.model_dump_json()) if as_json else line)


@cli.command(rich_help_panel=RUN)
def cancel(job: JobId, as_json: AsJson = False, url: Url = None) -> None:
    """Stop a job at its next step."""
    with _client(api_of(url)) as client:
        found = client.cancel(job)
    typer.echo(_document(found) if as_json else f"{found.id} stops at its next step")


@cli.command(rich_help_panel=RUN)
def report(
    job: JobId,
    form: Annotated[Format, typer.Option("--format", help="Which form.")] = "md",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; stdout unless given.")] = None,
    url: Url = None,
) -> None:
    """Print the report of a job, or write it to a file."""
    if form == "pdf" and output is None and raw(sys.stdout).isatty():
        raise BadInput("a PDF is no text for a terminal; choose a file with -o")
    with _client(api_of(url)) as client:
        content = client.report(job, form)
    if output is None:
        _print_report(content, form)
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise BadInput(f"{output} cannot be written ({error.strerror}); choose another file with -o") from error


def _print_report(content: bytes, form: Format) -> None:
    if form == "pdf":
        sys.stdout.buffer.write(content)
        return
    text = content.decode(errors="replace")
    typer.echo(harmless_json(text) if form == "json" else text, nl=not text.endswith("\n"))


def watch(api: Api, job_id: str) -> NoReturn:
    """`tollgate watch`, at this API."""
    with _client(api) as client:
        client.job(job_id)  # whether there is one is said at once
        _follow(client, api, job_id, as_json=False, console=Terminal())


def decide(api: Api, job_id: str, answer: dict[str, Any], escalation_id: str | None, *, as_json: bool) -> NoReturn:
    """`tollgate decide`, at this API: a worker goes on with the job, and it is watched as if it were driven here."""
    with _client(api) as client:
        seen = client.newest_event(job_id)
        client.decide(job_id, answer, escalation_id)
        _follow(client, api, job_id, seen, as_json=as_json, console=Terminal(stderr=True))


def _follow(
    client: "Client", api: Api, job_id: str, after: str | None = None, *, as_json: bool, console: Terminal
) -> NoReturn:
    from app.commands.progress import Progress  # noqa: PLC0415  heavy

    try:
        with Progress(console) as on_event:
            ending = client.watch(job_id, on_event, after)
        _show(api, client.settled(job_id, ending), as_json=as_json)
    except KeyboardInterrupt:
        typer.echo(f"no longer watched, it goes on; see: {api.hint(f'watch {job_id}')}", err=True)
        raise SystemExit(INTERRUPTED) from None
    raise SystemExit(EXIT[ending])


def _show(api: Api, job: "Job", *, as_json: bool) -> None:
    if as_json:
        typer.echo(_document(job))
        return
    console = Terminal(soft_wrap=True)
    console.print(f"job          {job.id}")
    console.print(f"status       {job.status.replace('_', ' ')}{', told to stop' if job.cancel_requested else ''}")
    if job.stop_reason:
        console.print(f"stop reason  {job.stop_reason}")
    console.print(f"cost         ${job.cost_usd:.6f} of {in_full(round(job.budget_usd * MICRO))}")
    if job.status in {"completed", "partial"}:
        console.print(f"report       {api.hint(f'report {job.id}')}")
    if job.escalation:
        from app.commands.progress import ask  # noqa: PLC0415  heavy

        ask(console, job.escalation, lambda choice: api.hint(f"decide {job.id} {choice}"), "a worker")


@contextlib.contextmanager
def _client(api: Api) -> Iterator["Client"]:
    from app.client.http_client import Client  # noqa: PLC0415  heavy
    from app.client.http_requests import opened  # noqa: PLC0415

    with opened(api.url, api.settings.api_key, _warn) as requests:
        yield Client(requests)


def _warn(message: str) -> None:
    typer.echo(f"warning: {message}", err=True)


def _pairs(given: list[str]) -> dict[str, str]:
    pairs = dict(each.partition("=")[::2] for each in given)
    if any("=" not in each for each in given) or len(pairs) < len(given):
        raise BadInput("--metadata is name=value, with each name once")
    return pairs


def _document(job: "Named") -> str:
    return harmless_json(job.model_dump_json(indent=2))


def _line(text: str) -> str:
    return " ".join(text.split())[:100]
