"""What others have written reaches a terminal as text, from every command: never as an order to it, nor as markup."""

import asyncio
import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.access.audit import trail
from app.cli import cli
from app.jobs.states import MEDIA
from app.observing.terminals import harmless, harmless_json
from app.running.processes import Addresses
from tests.app.command_line import SECONDS, environment
from tests.app.queued import QUESTION, Deployment, deployment
from tests.http_server import served

ORDERS = "\x1b]0;owned\x07\x1b]52;c;aGk=\x07\x1b[2J\x1b[8m\x9b31m\x9d0;t\x9c\x7f\x00\r\u202e\u2066"
HOSTILE = f"owned {ORDERS} [red]seen[/red] [/] :skull: [link=file:///x]y[/link]"
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
OURS = re.compile(r"\r?\x1b\[(?:\d{1,3}(?:;\d{1,3})*m|\?25[lh]|2K|1A)")  # colours, the cursor, the line with the totals
JOB = "job-20260101-000000-0a1b2c3d4e"
EVENTS: list[dict[str, Any]] = [
    {"type": "plan", "tasks": [{"id": HOSTILE, "agent": HOSTILE, "depends_on": [HOSTILE], "objective": HOSTILE}]},
    {"type": "task_started", "agent": HOSTILE, "task": HOSTILE},
    {"type": "tool_call", "agent": HOSTILE, "tool": HOSTILE, "arguments": {HOSTILE: HOSTILE}, "error": HOSTILE},
    {
        "type": "tool_call",
        "agent": "sales",
        "tool": HOSTILE,
        "arguments": {},
        "evidence": HOSTILE,
        "ms": 1,
        "flags": [HOSTILE],
    },
    {"type": "task_finished", "agent": "sales", "id": HOSTILE, "error": HOSTILE, "gaps": [HOSTILE]},
    {"type": "task_paused", "agent": "sales", "id": HOSTILE, "error": HOSTILE},
    {"type": "verified", "findings": {HOSTILE: 1}},
    {"type": "decision", "action": HOSTILE},
    {"type": "warning", "message": HOSTILE},
    {"type": "job", "job_id": HOSTILE, "status": "completed", "stop_detail": HOSTILE, "cost_usd": 0.1},
]
NUMBERED = list(enumerate(EVENTS, start=1))
QUESTION_ASKED = {
    **dict.fromkeys(("detail", "what_happened", "remedy", "answer_by"), HOSTILE),
    "least_amount_usd": 0.1,
    "most_amount_usd": 1.0,
    "escalation_id": HOSTILE,
}
TOLD = {
    "id": HOSTILE,
    "status": "completed",
    "question": HOSTILE,
    "created_at": HOSTILE,
    "metadata": {HOSTILE: HOSTILE},
    "budget_usd": 1.0,
    "cost_usd": 0.1,
    **dict.fromkeys(("stop_reason", "stop_detail", "resumes_at"), HOSTILE),
    "escalation": QUESTION_ASKED,
}


PARTS = [{"name": HOSTILE, "cost_usd": 0.1}]
TOKENS = dict.fromkeys(("input_tokens", "cached_tokens", "output_tokens", "saved_usd"), 7)
SPENDING = {
    "tenant": HOSTILE,
    **dict.fromkeys(("spent_usd", "reserved_usd", "limit_usd", "saved_usd"), 0.1),
    **dict.fromkeys(("agents", "tools", "embeddings", "tenants"), PARTS),
    "models": [PARTS[0] | TOKENS],
    "jobs": [{"id": HOSTILE, "question": HOSTILE, "cost_usd": 0.1}],
    "quarters": [],
    "projection": {"low_usd": 0.1, "high_usd": 0.2, "limit_at": None, "basis": HOSTILE},
    "suggestions": [{"about": HOSTILE, "text": HOSTILE}],
}
SPENT = {"day": "2026-03-01", "tenant": SPENDING, "deployment": None}


@pytest.fixture
def hostile_api() -> Iterator[str]:
    """An API that means no good."""

    async def answer(request: Request) -> Response:
        path = request.url.path
        if "gone" in path:
            return JSONResponse({"title": HOSTILE, "detail": HOSTILE, "status": 404}, 404)
        if path.endswith("/events"):
            told = [
                f"id: 1-{at}\nevent: {each['type']}\ndata: {json.dumps(each)}\n\n" for at, each in enumerate(EVENTS)
            ]
            return PlainTextResponse("".join(told), media_type="text/event-stream")
        if path.endswith("/report"):
            form = request.query_params["format"]
            text = json.dumps({"report": HOSTILE}, ensure_ascii=False) if form == "json" else HOSTILE
            return PlainTextResponse(text, media_type=MEDIA[form])  # type: ignore[index]
        if path == "/v1/spend":
            return JSONResponse(SPENT)
        if path.endswith("/trace"):
            return JSONResponse({"events": [], "next_after": None})
        return JSONResponse({"items": [TOLD]} if path == "/v1/jobs" and request.method == "GET" else TOLD)

    with served(Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST", "DELETE"])])) as url:
        yield url


@pytest.fixture
async def here(tmp_path: Path, addresses: Addresses) -> Any:
    with deployment(tmp_path, servers=addresses.servers) as found:
        yield found


async def watched(here: Deployment) -> str:
    """A job of the store whose events hold orders; its id."""
    async with here.service() as service:
        job_id = await service.jobs.create(QUESTION, here.settings.limits)
        await service.log.append(job_id, EVENTS)
        await trail(here.settings, service.client).append(HOSTILE, HOSTILE, detail={HOSTILE: HOSTILE})
    return job_id


def walk(job_id: str, url: str) -> list[list[str]]:
    """Each command at least once."""
    at = ["--url", url]
    return [
        ["demo", f"{QUESTION} {HOSTILE}"],
        ["run", f"{QUESTION} {HOSTILE}"],
        ["run", f"{QUESTION} {HOSTILE}", "--json"],
        ["run", HOSTILE, "--cassette", "gone"],
        ["resume", HOSTILE],
        ["replay", HOSTILE],
        ["cassette", HOSTILE, "-o", "job.jsonl"],
        ["watch", job_id],
        ["watch", JOB, *at],
        ["decide", HOSTILE, "--action", "abort"],
        ["decide", JOB, "--action", "abort", *at],
        ["mcp", HOSTILE],
        ["doctor"],
        ["studio", "--port", HOSTILE],
        ["keys", "create", "--tenant", "acme", "--scope", "read", "--name", HOSTILE],
        ["keys", "list"],
        ["keys", "waive"],
        ["keys", "revoke", HOSTILE],
        ["token", HOSTILE],
        ["spend", "--tenant", HOSTILE],
        ["spend", *at],
        ["spend", "--json", *at],
        ["audit"],
        ["audit", "--verify"],
        ["data", "check", HOSTILE],
        ["eval", "--dataset", HOSTILE],
        ["eval", "--system", HOSTILE],
        ["eval", "--against", HOSTILE],
        ["serve", "--port", HOSTILE],
        ["api", "--host", HOSTILE],
        ["worker", "--metrics-port", HOSTILE],
        ["submit", HOSTILE, "--metadata", f"a={HOSTILE}", "--wait", *at],
        ["submit", HOSTILE, "--json", *at],
        ["status", JOB, *at],
        ["status", "job-gone", *at],
        ["status", JOB, "--json", *at],
        ["list", *at],
        ["list", "--json", *at],
        ["cancel", JOB, *at],
        ["delete", JOB, *at],
        *(["report", JOB, "--format", form, *at] for form in ("md", "html", "json")),
    ]


def run(here: Deployment, commands: list[list[str]], **where: Any) -> subprocess.Popen[bytes]:
    given = {"REDIS_URL": here.redis_url, "TOLLGATE_STAND_IN_URL": here.model}
    given |= {f"MCP__{name.upper()}__URL": url for name, url in here.servers.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.app.every_command"],
        cwd=here.folder,
        env=environment(given) | {"PYTHONPATH": str(Path(__file__).parents[3]), "TERM": "xterm-256color"},
        stdin=subprocess.PIPE,
        **where,
    )
    assert process.stdin
    process.stdin.write(json.dumps(commands).encode())
    process.stdin.close()
    process.stdin = None
    return process


def orders_in(text: str) -> list[str]:
    return [each for each in text if (unicodedata.category(each) == "Cc" and each not in "\n\t") or each in BIDI]


@pytest.mark.slow
async def test_no_command_prints_an_order(here: Deployment, hostile_api: str) -> None:
    commands = walk(await watched(here), hostile_api)
    process = run(here, commands, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    printed, said = (each.decode() for each in process.communicate(timeout=SECONDS))
    assert printed.count("\nended ") == len(commands), said[-2000:]
    assert "Traceback" not in said
    for text in (printed, said):
        assert orders_in(text) == []
        assert text.count("owned") > 10  # it is told as it is
        assert "[red]seen[/red] [/] :skull:" in text
    lines = [line for line in printed.splitlines() if line.startswith("{") and line.endswith("}")]
    documents = [json.loads(line) for line in lines]
    assert HOSTILE in [each.get("question") for each in documents]  # JSON says what it said
    assert HOSTILE in [each.get("report") for each in documents]


def whole(terminal: int) -> bytes:
    """All that is written to it until nobody has it open any more, which Linux tells by an error."""
    seen = b""
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 65536):
            seen += part
    os.close(terminal)
    return seen


@pytest.mark.slow
async def test_a_terminal_gets_orders_of_ours_alone(here: Deployment, hostile_api: str) -> None:
    job_id = await watched(here)
    commands = [
        ["demo", f"{QUESTION} {HOSTILE}"],
        ["watch", job_id],
        ["list", "--url", hostile_api],
        ["resume", HOSTILE],
    ]
    ours, theirs = pty.openpty()
    process = run(here, commands, stdout=theirs, stderr=theirs)
    os.close(theirs)
    text = (await asyncio.to_thread(whole, ours)).decode().replace("\r\n", "\n")
    assert process.wait() == 0
    assert text.count("owned") > 10
    assert "\x1b[1;32m" in text or "\x1b[32m" in text or "\x1b[35m" in text  # colours of ours
    assert orders_in(OURS.sub("", text)) == []


def test_every_command_is_walked() -> None:
    def names(command: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        for name, each in getattr(command, "commands", {}).items():
            yield from names(each, (*before, name)) if hasattr(each, "commands") else [(*before, name)]

    walked = {tuple(each[: 2 if each[0] in {"data", "keys"} else 1]) for each in walk("", "")}
    assert set(names(typer.main.get_command(cli))) == walked


def test_a_document_says_the_same() -> None:
    document = json.dumps({"said": HOSTILE}, ensure_ascii=False)
    assert orders_in(harmless_json(document)) == []
    assert json.loads(harmless_json(document)) == {"said": HOSTILE}
    assert harmless("a\tb\r\nc\rd") == "a\tb\nc\N{REPLACEMENT CHARACTER}d"
