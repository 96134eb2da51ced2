"""What tracing costs: CPU time of a job with it and without, by two deployments that get their jobs in turn.

Both run all the time, so that whatever else this machine does meets both alike. Counted is the CPU time of API,
workers, MCP servers and Redis from the order of a batch of jobs until all have ended and their spans are sent, without
what they use as long while idle. The collector is in the process of the benchmark, and not counted. Without tracing,
spans are calls that do nothing: their cost is measured by themselves.

    python -m evals.bench.tracing [--rounds 4] [--jobs 10]

Exit code 1 if tracing costs 5 % or more.
"""

import argparse
import asyncio
import contextlib
import gc
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rich.console import Console
from rich.table import Table

import sample
from app.access.keys import Keys, Scope
from app.jobs.records import Records
from evals.bench.deployment import Deployment, deployed
from evals.bench.jobs import SETTINGS
from evals.bench.rows import Row
from graphs import telemetry

COUNTED = ("api", "workers", "MCP servers", "Redis")
LATENCY_MS, JOBS_AT_ONCE = 20, "8"
SENT_MS, SETTLED_S = 1000, 2.0  # spans are sent so often; after the last job, until all are
LOOK_S, LONGEST_S = 0.1, 300.0
MOST = 1.05
ROWS = (
    Row("CPU of a job that is traced", "ms", "not traced", "of API, workers, MCP servers and Redis; not the collector"),
)
NOTHINGS = 20_000
CALL = {"cost_micro_usd": 500, "estimated": False, "input_tokens": 1949, "cached_tokens": 0, "output_tokens": 6}


@dataclass
class Side:
    """A deployment, the key for its API, and the CPU seconds that each batch took, by program."""

    here: Deployment
    key: str
    batches: list[dict[str, float]] = field(default_factory=list)

    async def batch(self, jobs: int) -> dict[str, float]:
        """Order so many jobs at once, and wait until they have ended; the CPU seconds that each program used."""
        at_rest = await self.here.usage()
        await asyncio.sleep(SETTLED_S)
        before = await self.here.usage()
        await self.ended(await self.ordered(jobs))
        await asyncio.sleep(SETTLED_S)
        after = await self.here.usage()
        return {name: after[name] - before[name] - (before[name] - at_rest[name]) for name in COUNTED}

    async def ordered(self, jobs: int) -> list[str]:
        """The ids of so many jobs."""
        headers = {"Authorization": f"Bearer {self.key}"}
        order = {"question": sample.QUESTION, "on_limit": "finish_partial"}
        # No proxy of the environment, and no TLS.
        http = httpx.AsyncClient(base_url=self.here.api_url, headers=headers, trust_env=False, verify=False)
        async with http:
            return [(await http.post("/v1/jobs", json=order)).raise_for_status().json()["id"] for _ in range(jobs)]

    async def ended(self, job_ids: list[str]) -> None:
        """Wait until these jobs have ended."""
        records = Records(self.here.client, ttl_seconds=1)
        async with asyncio.timeout(LONGEST_S):
            while await records.not_ended(job_ids):  # noqa: ASYNC110  other processes end them
                await asyncio.sleep(LOOK_S)

    def a_job(self, jobs: int, name: str | None = None) -> list[float]:
        """CPU milliseconds a job in each batch, of this program or of all."""
        return [1000 * (each[name] if name else sum(each.values())) / jobs for each in self.batches]


@dataclass
class Sent:
    """What the collector got."""

    spans: int = 0
    bytes: int = 0


@contextlib.contextmanager
def collector(sent: Sent) -> Iterator[str]:
    """The address of a collector that counts spans and drops them."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for each in ExportTraceServiceRequest.FromString(body).resource_spans:
                sent.spans += sum(len(scope.spans) for scope in each.scope_spans)
            sent.bytes += len(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


async def measure(rounds: int, jobs: int) -> tuple[Side, Side, Sent]:
    """The sides without and with tracing after so many batches each, and what was sent in these."""
    sent = Sent()
    with collector(sent) as url:
        settings = {**SETTINGS, "TOLLGATE_WORKER_JOBS": JOBS_AT_ONCE}
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": str(SENT_MS)}
        async with deployed(LATENCY_MS, **settings) as one, deployed(LATENCY_MS, **settings, **traced) as other:
            keys = [await Keys(each.client).create("bench", [Scope.SUBMIT]) for each in (one, other)]
            off, on = (Side(each, key.secret) for each, key in zip((one, other), keys, strict=True))
            for side in (off, on):
                await side.batch(jobs)  # the first one is not counted
            sent.spans = sent.bytes = 0
            for number in range(rounds):
                for side in (off, on) if number % 2 else (on, off):
                    side.batches.append(await side.batch(jobs))
    return off, on, sent


def nothing_us() -> float:
    """CPU microseconds of one span of a model call when tracing is off."""
    gc.collect()
    began = time.process_time()
    for _ in range(NOTHINGS):
        with telemetry.model_call("job-20260101-000000-0a1b2c3d4e", "sales", "gpt-5-mini", 1024):
            telemetry.model_called(CALL)
            telemetry.exchanged({}, {})
    return 1_000_000 * (time.process_time() - began) / NOTHINGS


def main(rounds: int, jobs: int) -> int:
    """Print the table; 0 if tracing costs less than allowed."""
    console = Console(width=120)
    off, on, sent = asyncio.run(measure(rounds, jobs))
    table = Table("CPU ms a job", "off", "on", "ratio", title=f"{rounds} batches of {jobs} jobs each, in turn")
    for name in (*COUNTED, None):
        without, with_it = statistics.mean(off.a_job(jobs, name)), statistics.mean(on.a_job(jobs, name))
        table.add_row(name or "all", f"{without:.1f}", f"{with_it:.1f}", f"{with_it / without:.3f}")
    console.print(table)
    ROWS[0].tell(on.a_job(jobs), off.a_job(jobs))
    ratios = sorted(b / a for a, b in zip(off.a_job(jobs), on.a_job(jobs), strict=True))
    ratio, spans = statistics.median(ratios), sent.spans / rounds / jobs
    console.print(f"on: {ratio:.3f} times, the median of pairs from {ratios[0]:.3f} to {ratios[-1]:.3f}")
    console.print(f"{spans:.0f} spans a job, {sent.bytes / max(1, sent.spans):.0f} bytes each")
    each = nothing_us()
    share = spans * each / 1000 / statistics.mean(off.a_job(jobs))
    console.print(f"off: {spans:.0f} spans that do nothing, {each:.0f} µs each, are {share:.2%} of a job")
    return 0 if ratio < MOST else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=4, help="batches of each side; default 4")
    parser.add_argument("--jobs", type=int, default=10, help="jobs of a batch; default 10")
    given = parser.parse_args()
    sys.exit(main(given.rounds, given.jobs))
