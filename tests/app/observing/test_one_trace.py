"""One trace from the HTTP request to the report: through the queue, an MCP server, a human, and two workers."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.app.api.programs import replica, shown
from tests.app.queued import QUESTION, deployment
from tests.collector import Collector, collecting
from tests.data import SALES

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
RUN = ["invoke_workflow research", "POST /v1/jobs"]  # all of a job is within


@contextlib.contextmanager
def server(collector: Collector, name: str, *options: str) -> Iterator[str]:
    """An MCP server that is traced; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                f"mcp_servers.{name}",
                *options,
                "--fd",
                str(listener.fileno()),
                "--exit-with-stdin",
            ],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            env={**os.environ, **collector.variables},
        )
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    with process:
        yield address
        assert process.stdin
        process.stdin.close()


@pytest.mark.slow
async def test_a_job_is_one_trace_from_the_request_to_the_report(tmp_path: Path, beside: dict[str, str]) -> None:
    servers = {name: url for name, url in beside.items() if name.startswith("MCP")}
    data = ("--data", str(SALES), "--data-dir", str(tmp_path))
    with (
        collecting() as collector,
        server(collector, "sales", *data) as sales,
        deployment(tmp_path, latency_ms=200) as here,
        replica(here, 0, None, **collector.variables) as api,
    ):
        given = {**servers, "MCP__SALES__URL": sales, **collector.variables}
        async with httpx.AsyncClient(base_url=api.url) as client:
            order = {"question": QUESTION, "budget_usd": 0.002}
            caller = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
            links = (await client.post("/v1/jobs", json=order, headers=caller)).json()["links"]
            with here.worker(signal.SIGKILL, said=None, **given):
                await shown(client, links["self"], "awaiting_human")
                answer = {"action": "approve_more", "amount_usd": 0.2}
                assert (await client.post(links["decision"], json=answer)).is_success
                await collector.has(lambda spans: any(each.name.startswith("tools/call") for each in spans))
            with here.worker(signal.SIGTERM, said=None, **given):
                done = await shown(client, links["self"], "completed")

    ours = [each for each in collector.spans if each.trace == TRACE]
    assert {each.service for each in ours} == {"tollgate-api", "tollgate-worker", "tollgate-mcp-sales"}
    _, successor = dict.fromkeys(each.instance for each in ours if each.service == "tollgate-worker")
    paths = [collector.path(each) for each in ours]
    assert ["escalate", *RUN] in paths
    assert ["chat gpt-5-mini", "invoke_agent report", *RUN] in paths
    assert ["tools/call revenue_by", "execute_tool revenue_by", "invoke_agent sales", *RUN] in paths
    finished = {each.name: collector.path(each)[1:] for each in ours if each.instance == successor}
    assert finished["invoke_workflow research"] == RUN[1:]
    assert {name for name, path in finished.items() if path == RUN} >= {"verify", "plan supervisor", "verify_report"}

    (decided,) = collector.named("POST /v1/jobs/{job_id}/decision")
    (decision,) = collector.named("decide")
    assert (decision.trace, decision.links, decided.links) == (TRACE, [decided.trace], [TRACE])
    assert decided.trace != TRACE
    charged = sum(each.attributes.get("gen_ai.usage.cost", 0) for each in ours)
    assert 0 < charged <= done["cost_usd"] + 1e-9, "the killed worker could not tell its last call"
    assert any("POST /v1/jobs 202 " in line and f"[trace {TRACE}]" in line for line in api.log)
