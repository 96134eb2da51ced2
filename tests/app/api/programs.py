"""`tollgate api` as a real program, and a reader of its server-sent events."""

import asyncio
import contextlib
import json
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.app.command_line import TOLLGATE, background, forked, seen
from tests.app.forked import Forked
from tests.app.queued import Deployment


@dataclass(frozen=True)
class Replica:
    """A program that serves the API, its address, and the lines that it has logged since it listens."""

    url: str
    process: subprocess.Popen[str] | Forked
    log: list[str] = field(default_factory=list)


@contextlib.contextmanager
def replica(here: Deployment, port: int = 0, descriptors: int | None = None, **settings: str) -> Iterator[Replica]:
    """One on this port, or on a free one, that may have so many open files."""
    command = ["api", "--port", str(port)]
    bounded = ["/bin/sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh", TOLLGATE, *command]
    given = {"REDIS_URL": here.redis_url, **settings}
    program = (
        background(bounded, here.folder, signal.SIGTERM, **given)
        if descriptors
        else forked(command, here.folder, signal.SIGTERM, **given)
    )
    with ThreadPoolExecutor(1) as rest, program as process:
        line = seen(process, lambda line: line.startswith("api: http"))[-1]
        one = Replica(line.removeprefix("api: ").strip(), process)
        assert process.stderr
        rest.submit(one.log.extend, process.stderr)  # a pipe that is full, because nobody reads it, would stop it
        yield one


@dataclass(frozen=True)
class Told:
    """An event as it came over the wire."""

    id: str
    type: str
    data: dict[str, Any]


async def events(client: httpx.AsyncClient, path: str, after: str | None = None) -> AsyncIterator[Told]:
    """The events of a job until the server ends the stream."""
    headers = {"Last-Event-ID": after} if after else {}
    async with client.stream("GET", path, headers=headers, timeout=60) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if line:
                fields[name] = value
                continue
            if "data" in fields:
                yield Told(fields["id"], fields["event"], json.loads(fields["data"]))
            fields = {}


async def followed(
    client: httpx.AsyncClient, path: str, until: str | None = None, after: str | None = None
) -> list[Told]:
    """Events up to the one that says that the job has this status, whose reader then goes away; without one, all."""
    got: list[Told] = []
    async with contextlib.aclosing(events(client, path, after)) as stream:  # type: ignore[type-var]
        async for event in stream:
            got.append(event)
            if until and event.data.get("status") == until:
                break
    return got


async def shown(client: httpx.AsyncClient, path: str, status: str, seconds: float = 30) -> dict[str, Any]:
    """The job, as soon as it has this status."""
    until = time.monotonic() + seconds
    while (job := (await client.get(path)).json())["status"] != status:
        assert time.monotonic() < until, f"it is still {job['status']}"
        await asyncio.sleep(0.2)
    document: dict[str, Any] = job
    return document
