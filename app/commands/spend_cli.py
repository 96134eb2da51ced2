"""`tollgate spend`: what a day's money went to, at an API or on the configured Redis."""

import asyncio
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from app.commands import client_cli
from app.commands.terminal import OPERATE, Terminal, in_full, loaded
from app.config.settings import Settings
from app.observing.terminals import harmless_json
from app.running.processes import redis_running
from graphs.spending.limits import MICRO

if TYPE_CHECKING:
    from app.work.spending import Part, SpendDocument, Spending

HERE = "local"  # the tenant of `tollgate run`
ITS_TABLES = {"agents": "agent", "tools": "tool", "embeddings": "embeddings with", "tenants": "tenant"}

cli = typer.Typer()

Day = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="A day in UTC; default: today.")
]
Tenant = Annotated[str | None, typer.Option(help="Whose spend; default: the key's tenant, or that of `run`.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document, as the API's.")]


@cli.command(rich_help_panel=OPERATE)
def spend(day: Day = None, tenant: Tenant = None, as_json: AsJson = False, url: client_cli.Url = None) -> None:
    """Print what a day's money was spent on, and what to expect by its end.

    With --url or TOLLGATE_URL, at that API, where only a key with the scope admin sees the deployment's.
    """
    settings = loaded()
    wanted = day and day.replace(tzinfo=UTC).date()
    if api := client_cli.chosen(settings, url):
        with client_cli.connected(api) as client:
            document = client.spend(wanted, tenant)
    else:
        with redis_running(settings) as redis_url:
            document = asyncio.run(_here(settings, redis_url, wanted, tenant or HERE))
    if as_json:
        typer.echo(harmless_json(document.model_dump_json(indent=2)))
        return
    console = Terminal()
    for its in (document.tenant, document.deployment):
        if its:
            _print(console, document.day, its)


async def _here(settings: Settings, redis_url: str, day: date | None, tenant: str) -> "SpendDocument":
    from app.running.serving import opened_service  # noqa: PLC0415  heavy

    async with opened_service(settings, redis_url, lambda message: typer.echo(message, err=True)) as service:
        return await service.spend(tenant, day, everybody=True)


def _print(console: Terminal, day: date, its: "Spending") -> None:
    """The totals, a table per kind of part, and what could cost less."""
    whose = "all tenants" if its.tenant is None else f"tenant {its.tenant}"
    spent, reserved, limit, saved = map(_usd, (its.spent_usd, its.reserved_usd, its.limit_usd, its.saved_usd))
    told = f"{whose} on {day}: {spent} of {limit} spent, {reserved} reserved, {saved} saved by caching"
    console.print(told, style="bold", soft_wrap=True)
    if its.projection:
        low, high = _usd(its.projection.low_usd), _usd(its.projection.high_usd)
        until = f"; the limit may be reached at {its.projection.limit_at:%H:%M} UTC" if its.projection.limit_at else ""
        told = f"by the end of the day: {low} to {high}{until} ({its.projection.basis})"
        console.print(told, soft_wrap=True)
    models = _table("model", "read", "cached", "written", "saved")
    for model in its.models:
        tokens = (model.input_tokens, model.cached_tokens, model.output_tokens)
        models.add_row(model.name, _usd(model.cost_usd), *(f"{each:,}" for each in tokens), _usd(model.saved_usd))
    jobs = _table("job", "question")
    for job in its.jobs:
        jobs.add_row(job.id, _usd(job.cost_usd), " ".join(job.question.split())[:60])
    console.print()
    for table in (*(_of(title, getattr(its, name)) for name, title in ITS_TABLES.items()), models, jobs):
        if table.row_count:
            console.print(table, "")
    for each in its.suggestions:
        console.print(f"{each.about}: {each.text}", soft_wrap=True)


def _of(title: str, parts: "list[Part]") -> Table:
    table = _table(title)
    for part in parts:
        table.add_row(part.name or "none: documents", _usd(part.cost_usd))
    return table


def _table(title: str, *more: str) -> Table:
    table = Table(title, "cost", box=None, header_style="bold", pad_edge=False)
    for name in more:
        table.add_column(name)
    return table


def _usd(amount: float) -> str:
    return in_full(round(amount * MICRO))
