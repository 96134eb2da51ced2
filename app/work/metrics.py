"""The Prometheus metrics of a worker's jobs, from their events. Labels are names that the deployment knows."""

import asyncio
import contextlib
from collections.abc import Collection, Iterator
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Histogram

from app.errors import Busy, Draining, LeaseLost, NoSuchJob, StoreOutage, TakenOver
from app.jobs.states import TERMINAL
from graphs.deps import REPORT, SUPERVISOR, Deps
from graphs.spending.limits import MICRO
from graphs.state import Json
from graphs.stop_reasons import StopReason

OTHER, NONE = "other", "none"
SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 90.0, 120.0, 300.0)
LONG_S = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 12 * 3600.0, 24 * 3600.0, 48 * 3600.0)
USD = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

REASONS = [reason.value for reason in StopReason]
STOPPED_BY = {  # the stop reasons of jobs that ended so
    "completed": [StopReason.ANSWERED.value, StopReason.NOT_IN_DATA.value],
    "partial": REASONS,
    "failed": REASONS,
    "cancelled": [StopReason.CANCELLED.value],
    "dead": [StopReason.DEAD.value],
}
ACTIONS = ("approve_more", "redirect", "finish_partial", "abort", "no_answer")
ERRORS = ("timeout", "outage", "refused")
RUNS: tuple[tuple[type[BaseException], str], ...] = (
    (TakenOver, "taken_over"),
    (LeaseLost, "lease_lost"),
    (Busy, "busy"),
    (Draining, "handed_over"),
    (StoreOutage, "store_outage"),
    (NoSuchJob, "no_such_job"),
    (asyncio.CancelledError, "broken_off"),
    (Exception, "failed"),
)


class JobMetrics:
    """Counts what the events of jobs say. One per process.

    Args:
        registry: gets the metrics.
        agents, models, servers: the names that labels may have; any other is `other`.
    """

    def __init__(
        self, registry: CollectorRegistry, agents: Collection[str], models: Collection[str], servers: Collection[str]
    ) -> None:
        self._agents, self._models, self._servers = frozenset(agents), frozenset(models), frozenset(servers)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"tollgate_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"tollgate_{name}", text, labels, buckets=buckets, registry=registry)

        self._ended = counter("jobs_ended", "Jobs that ended.", "status", "stop_reason")
        self._job_s = histogram(
            "job_seconds", "Seconds from a job's submission to its end, with all that it waited for.", LONG_S, "status"
        )
        self._job_usd = histogram("job_cost_usd", "US dollars that a job has cost at its end.", USD, "status")
        self._queued_s = histogram("job_queued_seconds", "Seconds until a job's first run.", LONG_S)
        self._escalated = counter("escalations", "Questions to a human, by why the job stopped.", "reason")
        self._decided_s = histogram(
            "decision_seconds",
            "Seconds from a question to its decision; `no_answer`: nobody decided.",
            LONG_S,
            "action",
        )
        self._handoffs = counter("handoffs", "Tasks handed to an agent.", "agent")
        self._limits = counter("limits_reached", "Limits and loops at which a job's work stopped.", "reason")
        self._runs = counter(
            "job_runs",
            "Runs of jobs in this worker, by how they ended; `taken_over` and `lease_lost` are conflicts over a job.",
            "outcome",
        )
        self._tasks = counter("agent_tasks", "Tasks that ended: `done`, or why they failed.", "agent", "outcome")
        self._task_s = histogram("agent_task_seconds", "Seconds that an agent took for a task.", SECONDS, "agent")
        self._tools = counter("agent_tool_calls", "Tool calls of an agent, by outcome.", "agent", "outcome")
        self._tool_usd = counter("tool_cost_usd", "US dollars charged for tool calls.", "agent", "server")
        of_a_call = ("agent", "model")
        self._model_s = histogram(
            "model_call_seconds", "Seconds of an attempt at a model call, failed ones included.", SECONDS, *of_a_call
        )
        self._failed = counter("model_failures", "Attempts that the provider failed.", *of_a_call, "error")
        self._tokens = counter(
            "model_tokens", "Tokens: `input` without those from the cache, `cached`, `output`.", *of_a_call, "kind"
        )
        self._model_usd = counter("model_cost_usd", "US dollars charged for model calls.", *of_a_call)
        self._reserved_usd = counter("model_reserved_usd", "US dollars reserved before these calls.", *of_a_call)
        self._begin_with_zero()

    def _begin_with_zero(self) -> None:
        """Make the series of what is rare: `rate` and `increase` see no step from nothing to one."""
        for metric, labels in (
            *((self._ended, (status, reason)) for status, reasons in STOPPED_BY.items() for reason in reasons),
            *((metric, (reason,)) for metric in (self._escalated, self._limits) for reason in REASONS),
            *((metric, (status,)) for metric in (self._job_s, self._job_usd) for status in STOPPED_BY),
            *((self._decided_s, (action,)) for action in ACTIONS),
            *((self._runs, (outcome,)) for outcome in ("done", *(name for _, name in RUNS))),
            *((self._handoffs, (agent,)) for agent in self._agents - {SUPERVISOR, REPORT}),
            *((self._tool_usd, (agent, server)) for agent in self._agents for server in self._servers),
            *((self._failed, (*call, error)) for call in product(self._agents, self._models) for error in ERRORS),
        ):
            metric.labels(*labels)

    @contextlib.contextmanager
    def run(self) -> Iterator[None]:
        """Count a run of a job, by how the block ends."""
        outcome = "done"
        try:
            yield
        except BaseException as error:
            outcome = next((name for kind, name in RUNS if isinstance(error, kind)), OTHER)
            raise
        finally:
            self._runs.labels(outcome).inc()

    def heard(self, event: Json) -> None:
        """Count an event of a job."""
        match event["type"]:
            case "job":
                self._of_a_job(event)
            case "budget":
                for agent in event["agents"]:
                    self._handoffs.labels(self._agent(agent)).inc()
                if "stop_reason" in event:
                    self._limits.labels(_reason(event["stop_reason"])).inc()
            case "task_finished":
                outcome = "done" if event["status"] == "done" else _reason(event["reason"])
                self._tasks.labels(self._agent(event["agent"]), outcome).inc()
                self._took(event)
            case "task_paused":
                self._took(event)
            case "tool_call":
                outcome = "failed" if "error" in event else "cached" if event["cached"] else "answered"
                self._tools.labels(self._agent(event["agent"]), outcome).inc()
            case "tool_cost":
                server = _among(self._servers, event["tool"].partition(".")[0])
                self._tool_usd.labels(self._agent(event["agent"]), server).inc(event["cost_micro_usd"] / MICRO)
            case "model_call":
                self._charged(event)
            case "model_failed":
                call = self._agent(event["agent"]), _among(self._models, event["model"])
                self._failed.labels(*call, _among(ERRORS, event["error"])).inc()
                if not event["charged"]:  # else its `model_call` was told before
                    self._model_s.labels(*call).observe(event["seconds"])

    def _of_a_job(self, event: Json) -> None:
        status = event["status"]
        if "queued_s" in event:
            self._queued_s.observe(event["queued_s"])
        if "decided_s" in event:
            self._decided_s.labels(_among(ACTIONS, event["action"])).observe(event["decided_s"])
        if status == "awaiting_human":
            self._escalated.labels(_reason(event["stop_reason"])).inc()
        if status in TERMINAL:
            self._ended.labels(status, _reason(event["stop_reason"])).inc()
            self._job_s.labels(status).observe(event["seconds"])
            self._job_usd.labels(status).observe(event["cost_usd"])

    def _took(self, event: Json) -> None:
        if "seconds" in event:  # an earlier version has stored none
            self._task_s.labels(self._agent(event["agent"])).observe(event["seconds"])

    def _charged(self, event: Json) -> None:
        call = self._agent(event["agent"]), _among(self._models, event["model"])
        self._model_s.labels(*call).observe(event["seconds"])
        self._model_usd.labels(*call).inc(event["cost_micro_usd"] / MICRO)
        self._reserved_usd.labels(*call).inc(event["reserved_micro_usd"] / MICRO)
        cached = event["cached_tokens"]
        tokens = {"input": event["input_tokens"] - cached, "cached": cached, "output": event["output_tokens"]}
        for kind, amount in tokens.items():
            self._tokens.labels(*call, kind).inc(max(0, amount))

    def _agent(self, name: str) -> str:
        return _among(self._agents, name)


def job_metrics(registry: CollectorRegistry, deps: Deps) -> JobMetrics:
    """The metrics of jobs of this team."""
    agents = {*(agent.name for agent in deps.agents), SUPERVISOR, REPORT}
    models = [deps.supervisor_model, deps.model, *filter(None, [deps.model.fallback])]
    servers = {tool.partition(".")[0] for agent in deps.agents for tool in agent.tools}
    return JobMetrics(registry, agents, {model.model_name for model in models}, servers)


def _among(known: Collection[str], name: str) -> str:
    return name if name in known else OTHER


def _reason(reason: str | None) -> str:
    return NONE if reason is None else _among(REASONS, reason)
