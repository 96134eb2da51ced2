"""An MCP server dies or hangs while jobs need it: they end in time, name what is missing, and go on when it is back."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.running.processes import Addresses
from app.running.serving import NEEDED
from app.work.readiness import UNUSABLE, Readiness
from app.work.service import Service
from tests.app.queued import deployment, ended, order, submitted, told
from tests.chaos.soundness import assert_sound
from tests.data import SALES

pytestmark = pytest.mark.slow

BOTH = "What was our revenue in 2024, and how many public charging points does Germany have?"


@contextlib.contextmanager
def sales(data_dir: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A sales server of the test's own on this port, to be mistreated."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        command = [sys.executable, "-m", "mcp_servers.sales", "--data", str(SALES), "--data-dir", str(data_dir)]
        process = subprocess.Popen(
            [*command, "--fd", str(listener.fileno()), "--exit-with-stdin"],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )
    try:
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=60).is_success
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdin:
            process.stdin.close()


async def test_a_job_names_the_source_that_went_away_and_the_next_one_waits_until_it_is_back(
    tmp_path: Path, addresses: Addresses
) -> None:
    port = _free_port()
    servers = {**addresses.servers, "sales": f"http://127.0.0.1:{port}/mcp"}
    with (
        deployment(tmp_path, servers=servers, latency_ms=300) as here,
        contextlib.ExitStack() as running,
    ):
        server = running.enter_context(sales(tmp_path / "sales", port))
        running.enter_context(here.worker(TOLLGATE_TOOL_OUTAGE_S="1"))
        async with here.service() as service:
            under_way = (await submitted(service, order(here.settings, BOTH)))[0].job_id
            await told(service, under_way, "plan")
            server.kill()
            server.wait()
            without = await ended(service, under_way)
            assert without.result
            assert (without.status, without.result["stop_reason"]) == ("partial", "source_unavailable")
            assert any("the MCP server sales does not answer" in gap for gap in without.result["gaps"])
            assert without.result["findings"], "what the others found is there"
            waits = (await submitted(service, order(here.settings, BOTH)))[0].job_id
            await says(service, "sales", UNUSABLE)
            with sales(tmp_path / "sales", port):
                found = await ended(service, waits)
                assert found.status == "completed", found.result
                await says(service, "sales", "ok")
            await assert_sound(here, service, [under_way, waits])


async def test_a_source_that_hangs_costs_its_deadline_and_no_more(tmp_path: Path, addresses: Addresses) -> None:
    port = _free_port()
    servers = {**addresses.servers, "sales": f"http://127.0.0.1:{port}/mcp"}
    with (
        sales(tmp_path / "sales", port) as server,
        deployment(tmp_path, servers=servers) as here,
        here.worker(TOLLGATE_TOOL_TIMEOUT_S="10"),
    ):
        async with here.service() as service:
            os.kill(server.pid, signal.SIGSTOP)
            began = time.monotonic()
            record = await ended(service, (await submitted(service, order(here.settings, BOTH)))[0].job_id)
            assert time.monotonic() - began < 60
            assert record.result
            assert record.status == "partial"
            assert any("sales" in gap for gap in record.result["gaps"])
            os.kill(server.pid, signal.SIGCONT)
            again = await ended(service, (await submitted(service, order(here.settings, BOTH)))[0].job_id)
            assert again.status == "completed", again.result


async def says(service: Service, part: str, state: str) -> None:
    """Wait until the deployment says this of the part."""
    readiness, until = Readiness(service.client, NEEDED), time.monotonic() + 30
    while (parts := await readiness.parts()).get(part) != state:
        assert time.monotonic() < until, parts
        await asyncio.sleep(0.05)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
