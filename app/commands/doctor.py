"""`tollgate doctor`, and what `serve` says at its start: checks each part, and names the remedy for what is wrong."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, NamedTuple

import httpx
from langchain_core.tools import BaseTool
from redis.exceptions import NoPermissionError
from rich.text import Text

from agents import AGENTS
from app.commands.terminal import Terminal, in_full
from app.config.data_settings import users_of_servers
from app.config.prices import fallback_pricer, pricer
from app.config.servers import SERVERS
from app.config.settings import Settings, variable
from app.console import PATH
from app.errors import AppError, BadInput
from app.running.processes import Addresses
from app.running.runtime import loading, ready, tool_gateway
from app.store.redis import connect, preflight
from app.work.queue import JOBS, Queue
from app.work.registry import Registry
from app.work.webhooks import checked_alert_url
from graphs.errors import GraphError
from graphs.spending.days import deployment_limit
from graphs.spending.ledger import Ledger
from graphs.spending.limits import dollars
from graphs.tools.gateway import Asking
from graphs.tools.session import SEPARATOR
from safe_http.shown import shown

NAMED = 8  # tools of a server that are named


class Line(NamedTuple):
    """One line of the result."""

    good: bool
    what: str
    found: str


async def examine(settings: Settings, redis_url: str, addresses: Addresses, console: Terminal) -> bool:
    """Print a line per part; return whether all are good."""
    healthy = True
    async for line in _lines(settings, redis_url, addresses):
        healthy = healthy and line.good
        _print(console, line)
    return healthy


def introduce(settings: Settings, redis_url: str, addresses: Addresses, url: str, missing: str) -> None:
    """Print the same of what `serve` runs, and where to look, in one piece: others write to this terminal, too.

    Args:
        settings, redis_url, addresses: of what runs.
        url: the API's address.
        missing: what jobs lack, if anything.
    """

    async def found() -> list[Line]:
        return [line async for line in _lines(settings, redis_url, addresses)]

    lines = asyncio.run(found())
    lines.append(Line(not missing, "jobs", missing or "are accepted and run"))
    lines.append(Line(True, "api", f"{url}, documented at {url}/docs"))
    lines.append(Line(True, "console", f"{url}{PATH}"))
    console = Terminal(stderr=True)
    with console:  # until its end, nothing is written
        for line in lines:
            _print(console, line)


def _print(console: Terminal, line: Line) -> None:
    sign = Text("✓", "green") if line.good else Text("✗", "red")
    console.print(sign, f"{line.what:<16} {line.found}", soft_wrap=True)


async def _lines(settings: Settings, redis_url: str, addresses: Addresses) -> AsyncIterator[Line]:
    yield Line(True, "agents", ", ".join(agent.name for agent in AGENTS))
    try:
        lines = list(costs(settings))
    except BadInput as error:
        yield Line(False, "prices", str(error))
    else:
        yield await _model(settings, addresses)
        for line in lines:
            yield line
    async for line in _redis(settings, redis_url):
        yield line
    async for line in _servers(settings, addresses):
        yield line
    limits = settings.limits
    yield Line(
        True,
        "limits",
        f"{dollars(limits.budget_micro_usd)}, {limits.deadline_s} s, {limits.steps} steps, {limits.handoffs} "
        f"hand-offs, {limits.model_calls} model calls a job; {dollars(limits.tenant_day_micro_usd)} a tenant and "
        f"{dollars(limits.deployment_day_micro_usd)} in all a day; at a limit: {limits.on_limit}",
    )
    yield _alerts(settings)
    for line in tracing(settings):
        yield line


async def _model(settings: Settings, addresses: Addresses) -> Line:
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else ""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url, where = f"{addresses.model.rstrip('/')}/models", shown(addresses.model)
    try:
        async with httpx.AsyncClient(timeout=10, headers=headers) as http, http.stream("GET", url) as answer:
            status = answer.status_code  # the body, of any size, is not read
            is_page = answer.is_success and answer.headers.get("content-type", "").startswith("text/html")
    except httpx.HTTPError as error:
        return Line(False, "model", f"{where} does not answer ({error}); check OPENAI_BASE_URL")
    if status in {401, 403}:
        return Line(False, "model", f"{where} rejects the key; check OPENAI_API_KEY")
    if is_page:
        return Line(False, "model", f"{where} answers with a page: is OPENAI_BASE_URL missing /v1?")
    who = "the stand-in (rules, not a language model)" if settings.offline else where
    return Line(True, "model", f"{settings.model}, planning with {settings.supervisor_model}, from {who}")


def costs(settings: Settings) -> Iterator[Line]:
    """What one call can cost at most, per role. Raises BadInput for a model without a price."""
    prices, limits = pricer(settings), settings.limits
    roles = [("supervisor", settings.supervisor_model, prices), ("agents, report", settings.model, prices)]
    if settings.fallback_model:
        roles.append(("fallback", settings.fallback_model, fallback_pricer(settings)))
    for role, model, its in roles:
        most = its.dearest_call(model, limits.request_tokens, limits.answer_tokens)
        yield Line(True, role, f"{model}: a call costs {dollars(most)} at most")
    if "knowledge_base" not in settings.mcp:  # else another machine pays for them
        most = prices.embedding(settings.embedding_model, limits.request_tokens)
        yield Line(True, "embeddings", f"{settings.embedding_model}: a call costs {dollars(most)} at most")


async def _redis(settings: Settings, redis_url: str) -> AsyncIterator[Line]:
    client, info = connect(redis_url), dict[str, Any]()
    try:
        problems = await preflight(client)
        with contextlib.suppress(NoPermissionError):  # reported by the preflight
            info = await client.info("server")
    finally:
        await client.aclose()
    for problem in problems:
        yield Line(not problem.fatal, "redis", str(problem))
    version = info.get("valkey_version") or info.get("redis_version", "of unknown version")
    name = "Valkey" if "valkey_version" in info else "Redis"
    where = "at REDIS_URL" if settings.redis_url else f"embedded in {settings.data_dir}/redis"
    yield Line(True, "redis", f"{name} {version} {where}")
    if not any(problem.fatal for problem in problems):
        async for line in _stored(settings, redis_url):
            yield line


async def _stored(settings: Settings, redis_url: str) -> AsyncIterator[Line]:
    """The work and the money of today."""
    async with contextlib.aclosing(connect(redis_url)) as client:
        jobs = await Queue(client, JOBS, ttl_seconds=settings.ttl_seconds).sizes()
        dead = await Registry(client, ttl_seconds=settings.ttl_seconds).dead_letters()
        today = await Ledger(client, ttl_seconds=settings.ttl_seconds).spent_today("")
    counts = f"{jobs.waiting} waiting, {jobs.taken} running, {jobs.suspended} suspended, {dead} dead letters"
    yield Line(True, "queue", f"{counts}; GET /v1/dead-letters lists them" if dead else counts)
    limit = in_full(deployment_limit(today, settings.limits))
    yield Line(True, "spent today", f"{in_full(today.deployment.micro_usd)} of {limit}")


async def _servers(settings: Settings, addresses: Addresses) -> AsyncIterator[Line]:
    try:
        await ready(addresses.children)
    except AppError as error:
        yield Line(False, "mcp servers", str(error))
        return
    used, still = users_of_servers(), await loading(addresses.children)
    at_once = settings.model_copy(update={"tool_outage_s": 0})
    async with tool_gateway(at_once, addresses.servers) as gateway:
        for name in sorted(addresses.servers):
            where = shown(addresses.servers[name])
            for_whom = "" if name in used else "; no agent uses it"
            for_whom += f"; its data are still being loaded ({still[name]})" if name in still else ""
            try:
                tools = await gateway.tools(Asking("doctor", (f"{name}.*",)))
                yield Line(True, f"mcp {name}", f"{len(tools)} tools at {where}{for_whom}: {_names(tools)}")
            except GraphError as error:
                yield Line(False, f"mcp {name}", f"{where}: {error}{for_whom}")
    for name, what_to_do in settings.missing_servers.items():
        yield Line(False, f"mcp {name}", what_to_do)
    for server in SERVERS:
        if server.name not in settings.servers:
            yield Line(True, server.name, f"off; {' or '.join(map(variable, server.turned_on_by))} turns it on")
    if settings.web_allow_private:
        yield Line(True, "web", "private addresses are allowed, because of TOLLGATE_WEB_ALLOW_PRIVATE")


def _names(tools: Sequence[BaseTool]) -> str:
    names = [tool.name.partition(SEPARATOR)[2] for tool in tools]
    return ", ".join([*names[:NAMED], "..."] if len(names) > NAMED else names)


def _alerts(settings: Settings) -> Line:
    try:
        url = checked_alert_url(settings)
    except BadInput as error:
        return Line(False, "alerts", str(error))
    if url is None:
        return Line(True, "alerts", "of a day's budget are in workers' logs; TOLLGATE_ALERT_WEBHOOK_URL sends them too")
    return Line(True, "alerts", f"of a day's budget go to {shown(url)}")


def tracing(settings: Settings) -> Iterator[Line]:
    """What is traced, and where to."""
    if not (settings.spans_endpoint or settings.langsmith_tracing):
        yield Line(True, "tracing", "off; OTEL_EXPORTER_OTLP_ENDPOINT or LANGSMITH_TRACING=true turns it on")
    if settings.spans_endpoint:
        what = "spans with contents, redacted," if settings.captures_content else "spans without contents"
        yield Line(True, "tracing", f"OpenTelemetry: {what} to {shown(settings.spans_endpoint)}")
    if settings.langsmith_tracing and settings.langsmith_api_key is None:
        yield Line(False, "tracing", "LANGSMITH_TRACING is on without LANGSMITH_API_KEY; set the key or turn it off")
    elif settings.langsmith_tracing:
        yield Line(True, "tracing", f"LangSmith project {settings.langsmith_project}")
