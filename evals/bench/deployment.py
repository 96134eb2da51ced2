"""A whole deployment on this machine for a benchmark: one API, two workers, MCP servers, stand-in model, Redis.

Every part is the real program in a process of its own; what they log is in a folder that is gone afterwards.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from app.config.servers import WITHOUT_OPTIONAL
from app.config.settings import Settings
from app.running.processes import redis_running, running
from app.store.redis import connect
from evals.incident.runs import environment

START_S, STOP_S, LOOK_S = 60.0, 60.0, 0.05
WORKERS = 2
CLIENTS, MACHINE, WAITED = "clients", "machine", "api waited for a CPU"


@dataclass(frozen=True)
class Deployment:
    """A deployment that runs: where it is reached, the processes of each of its programs, the environment of API and
    workers."""

    api_url: str
    model_url: str
    redis_url: str
    client: Redis
    settings: Settings
    pids: Mapping[str, tuple[int, ...]]
    env: Mapping[str, str]

    async def usage(self) -> dict[str, float]:
        """Seconds that this machine and each program have used by now: CPU time, and of the API also the time that it
        was able to run and had no CPU. Linux only, elsewhere zeros, but for Redis."""
        redis = await self.client.info("cpu")
        used = {name: sum(map(cpu_s, pids)) for name, pids in self.pids.items()}
        used |= {"Redis": redis["used_cpu_user"] + redis["used_cpu_sys"], CLIENTS: time.process_time()}
        return used | {MACHINE: _machine_cpu_s(), WAITED: _waited_s(self.pids["api"][0])}


@contextlib.asynccontextmanager
async def deployed(latency_ms: int, **given: str) -> AsyncIterator[Deployment]:
    """Start everything, with these settings for API and workers, and tracing of MCP servers as theirs; ends it with the
    block.

    Redis is the one at REDIS_URL, or one of its own. Raises RuntimeError when a program does not start.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tollgate-bench-")))
        traced_to = {"otel_exporter_otlp_endpoint": given.get("OTEL_EXPORTER_OTLP_ENDPOINT")}
        settings = Settings(_env_file=None).model_copy(update=_own(folder, latency_ms) | traced_to)
        redis_url = stack.enter_context(redis_running(settings))
        addresses = stack.enter_context(running(settings, redis_url))
        silent = environment(addresses.model, addresses.servers, folder)
        env = silent | {"REDIS_URL": redis_url, "TOLLGATE_STAND_IN_URL": addresses.model} | given
        async with contextlib.AsyncExitStack() as programs, contextlib.aclosing(connect(redis_url)) as client:
            started = [program(folder, env, f"worker-{number}", "worker") for number in range(WORKERS)]
            workers = [await programs.enter_async_context(each) for each in started]
            api = await programs.enter_async_context(program(folder, env, "api", "api", "--port", "0"))
            await asyncio.gather(*(said(each, "worker: up to") for each in workers))
            line = await said(api, "api: http")
            children = {each.name: each.pid for each in addresses.children}
            model = children.pop("stand_in_model")
            pids = {"api": (api.pid,), "workers": tuple(each.pid for each in workers)}
            pids |= {"MCP servers": tuple(children.values()), "model": (model,)}
            url = line.removeprefix("api: ")
            yield Deployment(url, addresses.model, redis_url, client, settings, pids, env)


@dataclass(frozen=True)
class _Program:
    process: asyncio.subprocess.Process
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid


@contextlib.asynccontextmanager
async def program(folder: Path, env: Mapping[str, str], name: str, *arguments: str) -> AsyncIterator[_Program]:
    """`tollgate` with these arguments, told to stop at the end and then waited for."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.cli", *arguments, "--exit-with-stdin"),  # also when we are killed
            cwd=folder,  # no .env there
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=output,
            start_new_session=True,  # as under a service manager: Linux shares CPUs out by session
        )
    try:
        yield _Program(process, log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()


async def said(program: _Program, wanted: str) -> str:
    """The first line of its log that begins so. Raises RuntimeError when it ends, or is silent for too long."""
    until = asyncio.get_running_loop().time() + START_S
    while program.process.returncode is None and asyncio.get_running_loop().time() < until:
        for line in program.log.read_text(errors="replace").splitlines(keepends=True):
            if line.startswith(wanted) and line.endswith("\n"):
                return line.strip()
        await asyncio.sleep(LOOK_S)
    raise RuntimeError(f"{program.log.stem} did not start: {program.log.read_text(errors='replace')[-2000:]}")


def _own(folder: Path, latency_ms: int) -> dict[str, object]:
    """Settings of the programs beside API and workers: the sample data and a model that behaves."""
    unset = ("openai_api_key", "openai_base_url", "stand_in_url", "stand_in_profile", "sales_data")
    own = dict.fromkeys((*unset, "knowledge_base_data", *WITHOUT_OPTIONAL))
    return {**own, "mcp": {}, "data_dir": folder, "stand_in_latency_ms": latency_ms}


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used; Linux only, elsewhere 0."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    fields = stat.read_text().rpartition(")")[2].split()  # the name before it may hold anything
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _machine_cpu_s() -> float:
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0
    user, nice, system, _idle, _waiting, interrupts, soft = map(int, stat.read_text().split()[1:8])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


def _waited_s(pid: int) -> float:
    stat = Path(f"/proc/{pid}/schedstat")
    return int(stat.read_text().split()[1]) / 1e9 if stat.exists() else 0.0
