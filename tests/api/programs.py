"""`tollgate api` as a real program, and a reader of its server-sent events."""

import contextlib
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from tests.app.command_line import TOLLGATE, background, seen
from tests.app.queued import Deployment


@dataclass(frozen=True)
class Replica:
    """A program that serves the API, and its address."""

    url: str
    process: subprocess.Popen[str]


@contextlib.contextmanager
def replica(here: Deployment, port: int = 0, **settings: str) -> Iterator[Replica]:
    """One on this port, or on a free one."""
    command = [TOLLGATE, "api", "--port", str(port)]
    given = {"REDIS_URL": here.redis_url, **settings}
    with background(command, here.folder, signal.SIGTERM, **given) as process:
        line = seen(process, lambda line: line.startswith("api: http"))[-1]
        yield Replica(line.removeprefix("api: ").strip(), process)


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


async def followed(client: httpx.AsyncClient, path: str, until: str, after: str | None = None) -> list[Told]:
    """Events up to the one of this type, whose reader then goes away; all, if it does not come."""
    got: list[Told] = []
    async with contextlib.aclosing(events(client, path, after)) as stream:  # type: ignore[type-var]
        async for event in stream:
            got.append(event)
            if event.type == until:
                break
    return got
