"""`tollgate serve`: its start ends with what was found and where to look, and its address stays."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from app.commands.doctor import introduce
from app.config.settings import Settings
from app.running.processes import Addresses
from tests.app.command_line import SECONDS, TOLLGATE, background, processes, seen

FOUND = [
    *("agents", "model", "supervisor", "agents, report", "redis", "queue", "spent today"),
    *(
        "mcp analytics",
        "mcp knowledge_base",
        "mcp sales",
        "web",
        "limits",
        "alerts",
        "tracing",
        "jobs",
        "api",
        "console",
    ),
]


@pytest.mark.slow
def test_it_says_what_it_found_and_the_api_comes_back_where_it_was(tmp_path: Path, beside: dict[str, str]) -> None:
    command = [TOLLGATE, "serve", "--port", "0"]
    with ThreadPoolExecutor(1) as rest, background(command, tmp_path, signal.SIGTERM, **beside) as process:
        lines = seen(process, lambda line: " console " in line)
        assert process.stderr
        rest.submit(list, process.stderr)
        found = lines[-len(FOUND) :]
        assert [line.split("  ")[0].removeprefix("✓ ").strip() for line in found if "mcp knowledge" not in line] == [
            each for each in FOUND if "mcp knowledge" not in each
        ], "whole lines, all of them good, and without colours in a pipe"
        told = {name: line.removeprefix(f"✓ {name}").strip() for name, line in zip(FOUND, found, strict=True)}
        url = told["api"].partition(",")[0]
        assert f"api: {url}\n" in lines, "it answered before"
        assert told["console"].startswith(f"{url}/")
        assert httpx.get(told["console"], follow_redirects=True, timeout=SECONDS).is_success, "it is there"
        assert told["spent today"] == "$0.00 of $20.00"
        assert told["queue"] == "0 waiting, 0 running, 0 suspended, 0 dead letters"
        assert ": describe_schema, query, revenue_by" in told["mcp sales"]
        [api] = [pid for pid, command in processes(tmp_path).items() if " api --fd" in command]
        os.kill(api, signal.SIGKILL)
        assert httpx.get(f"{url}/healthz", timeout=SECONDS).is_success, "who comes meanwhile waits"
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0


def test_what_is_missing_is_said_in_its_place(
    settings: Settings, addresses: Addresses, redis_client: Redis, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert redis_client, "an empty store"
    servers = {**addresses.servers, "sales": "http://127.0.0.1:9/mcp"}
    url, unsigned = "http://127.0.0.1:1", settings.model_copy(update={"langsmith_tracing": True})
    introduce(unsigned, redis_url, Addresses(addresses.model, servers, ()), url, "worker: none is running")
    lines = capsys.readouterr().err.splitlines()
    assert [line[:16].rstrip() for line in lines if not line.startswith("✓")] == ["✗ mcp sales", "✗ tracing", "✗ jobs"]
    assert "✗ jobs             worker: none is running" in lines
    assert lines[-1] == f"✓ console          {url}/console"
