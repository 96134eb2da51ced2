"""Runs one drill with and without guards, each against its own stand-in model."""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from textwrap import shorten
from typing import Any

import httpx
from openai import DefaultAsyncHttpxClient

from app.config import settings as configuration
from evals.incident import faulty_mcp
from evals.incident.drills import Drill
from evals.incident.invoice import Invoice, invoice
from evals.incident.proofs import Ended
from evals.incident.unguarded import Team

BUDGET_USD = Decimal("0.05")
LATENCY_MS = 50  # of the stand-in, so that drills are fast
CALL_S = 5  # of a real model, for the cost of a day of sequential calls
GRACE_S = 30  # beyond a guarded run's deadline, for starting programs, writing the report and ending programs
DAY_S = 86_400
NOTE = "During task with name"  # LangGraph adds this line after every error

Servers = Mapping[str, str]


@dataclass(frozen=True)
class Without:
    """A run without guards. `goes_on` says that it was still calling the model when the drill ended it."""

    bill: Invoice
    goes_on: bool
    got: str

    @property
    def dollars_per_day(self) -> Decimal | None:
        """The cost of a day of its calls at the mean price so far; None for a run that makes no more calls."""
        return self.bill.dollars / self.bill.calls * DAY_S / CALL_S if self.goes_on else None


@dataclass(frozen=True)
class With:
    """A run with guards. `problem` says why the drill failed, if it did."""

    bill: Invoice
    steps: int | None
    stop_reason: str
    got: str
    problem: str


async def without_guards(drill: Drill, servers: Servers) -> Without:
    """Run until it ends, or reaches the drill's own limit."""
    async with _scene(drill, servers) as (model_url, reachable, _):
        limit = CallLimit(drill.calls)
        async with DefaultAsyncHttpxClient(event_hooks={"request": [limit]}) as http:
            run = asyncio.create_task(Team(model_url, reachable, http).answer(drill.question))
            over = asyncio.create_task(limit.reached.wait())
            await asyncio.wait({run, over}, timeout=drill.seconds, return_when=asyncio.FIRST_COMPLETED)
            ended = run.done()
            run.cancel()
            over.cancel()
            [outcome, _] = await asyncio.gather(run, over, return_exceptions=True)
        goes_on = limit.reached.is_set()
        got = _got(outcome) if ended else f"nothing, it {'went on' if goes_on else 'still waited'}"
        return Without(await invoice(model_url), goes_on, got)


# What is down in a drill stays down: the drill is about the consequences.
NOT_WAITED_FOR = {"TOLLGATE_TOOL_OUTAGE_S": "0"}


async def with_guards(drill: Drill, servers: Servers, folder: Path) -> With:
    """The same question by `tollgate run`, as a person runs it, with this existing data folder."""
    async with _scene(drill, servers) as (model_url, reachable, asked):
        command = ["run", drill.question, "--budget-usd", str(BUDGET_USD), "--deadline", str(drill.deadline_s)]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.cli", *command, "--json"),
            cwd=folder,  # no .env there
            env=environment(model_url, reachable, folder) | NOT_WAITED_FOR,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(drill.deadline_s + GRACE_S):
                said, errors = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            return With(await invoice(model_url), None, "", "nothing", "it did not end")
        return outcome_of(drill, await invoice(model_url), asked, said, errors)


def outcome_of(drill: Drill, bill: Invoice, asked: Mapping[str, Counter[str]], said: bytes, errors: bytes) -> With:
    """The outcome from the document that `tollgate run --json` printed."""
    try:
        result = json.loads(said)
    except ValueError:
        lines = [line for line in errors.decode(errors="replace").splitlines() if not line.startswith(NOTE)]
        return With(bill, None, "", "nothing", f"it broke: {lines[-1] if lines else 'no message'}")
    problem = _problem(drill, Ended(result, bill, asked))
    return With(bill, result["steps"], result["stop_reason"] or "", _delivered(result), problem)


def _problem(drill: Drill, ended: Ended) -> str:
    """The first problem: with the money, the ending, or what the drill is about."""
    result, billed = ended.result, ended.bill.dollars
    if billed > BUDGET_USD:
        return f"billed ${billed:.6f} of a budget of ${BUDGET_USD}"
    if billed > (counted := Decimal(str(result["cost_usd"]))):
        return f"billed ${billed:.6f}, but the job counted ${counted:.6f}"
    if result["stop_reason"] != drill.reason:
        return f"ended as {result['status']} ({result['stop_reason'] or 'no reason'})"
    if not result["report_path"] and not result["escalation"]:
        return "neither a report nor a question to a human"
    return drill.proof(ended)


@contextlib.asynccontextmanager
async def _scene(drill: Drill, servers: Servers) -> AsyncIterator[tuple[str, dict[str, str], dict[str, Counter[str]]]]:
    """The stand-in's address; every MCP server's, behind its fault if any; and their requests."""
    with contextlib.ExitStack() as stack:
        model_url = stack.enter_context(_stand_in(drill.profile))
        proxies = {
            name: stack.enter_context(faulty_mcp.served(servers[name], fault)) for name, fault in drill.faults.items()
        }
        faulty = {name: url for name, (url, _) in proxies.items()}
        crowd = [asyncio.create_task(_neighbour(url)) for url in faulty.values() for _ in range(drill.neighbours)]
        try:
            yield model_url, {**servers, **faulty}, {name: asked for name, (_, asked) in proxies.items()}
        finally:
            for each in crowd:
                each.cancel()
            await asyncio.gather(*crowd, return_exceptions=True)


@contextlib.contextmanager
def _stand_in(profile: str) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        options = ["--fd", str(listener.fileno()), "--exit-with-stdin", "--latency-ms", str(LATENCY_MS)]
        options += ["--profile", profile] if profile else []
        process = subprocess.Popen(
            [sys.executable, "-m", "app.stand_in", *options],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )
    with process:  # closes its stdin at the end and waits
        yield f"http://127.0.0.1:{port}/v1"


async def _neighbour(url: str) -> None:
    """Another client of the server, which lists its tools repeatedly."""
    headers = {"accept": "application/json, text/event-stream"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    async with httpx.AsyncClient(timeout=None) as client:
        while True:
            await client.post(url, json=body, headers=headers)


class CallLimit:
    """Admits a number of requests to the model. The next one waits for ever, and `reached` is set."""

    def __init__(self, most: int) -> None:
        self.reached = asyncio.Event()
        self._left = most

    async def __call__(self, _: Any) -> None:
        self._left -= 1
        if self._left < 0:
            self.reached.set()
            await asyncio.get_running_loop().create_future()


def environment(model_url: str, servers: Servers, folder: Path) -> dict[str, str]:
    """The environment, without any setting of the user, least of all a key."""
    silent = dict.fromkeys(configuration.names(), "")
    given = {"TOLLGATE_STAND_IN_URL": model_url, "TOLLGATE_DATA_DIR": str(folder)}
    return configuration.child_environment(
        silent | given | {f"MCP__{name.upper()}__URL": url for name, url in servers.items()}
    )


def _got(outcome: Any) -> str:
    while isinstance(outcome, BaseExceptionGroup):
        outcome = outcome.exceptions[0]
    if isinstance(outcome, BaseException):
        return f"a crash: `{type(outcome).__name__}`"
    return f"unchecked: “{shorten(outcome, 60, placeholder=' ...')}”" if outcome else "an empty report"


def _delivered(result: Mapping[str, Any]) -> str:
    found = f"{len(result['findings'])} findings" if result["findings"] else "no finding"
    if result["escalation"]:
        return f"a question to a human, {found} so far"
    return f"{result['status']} report, {found}" if result["report_path"] else result["status"]
