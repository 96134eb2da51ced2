"""The Grafana dashboards. `make docs` writes them to `deploy/grafana/dashboards/`, which Grafana reads.

A panel is a line here and forty in Grafana's JSON. A query is PromQL; `$__rate_interval` is Grafana's.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("dashboards")
SOURCE = {"type": "prometheus", "uid": "prometheus"}
COLUMNS, WIDTH, HEIGHT = 2, 12, 8
HOUR = 3600

Query = tuple[str, str]  # PromQL, and the legend of its series


@dataclass(frozen=True)
class Panel:
    """A graph over time. `unit` is one of Grafana's."""

    title: str
    unit: str
    queries: tuple[Query, ...]


def panel(title: str, unit: str, *queries: Query) -> Panel:
    return Panel(title, unit, queries)


def total(counter: str, by: str = "", where: str = "", times: int = 1) -> str:
    """How fast a counter of ours grows: a second, or in so many."""
    selected = f"tollgate_{counter}_total" + (f"{{{where}}}" if where else "")
    grows = f"sum{_by(by)}(rate({selected}[$__rate_interval]))"
    return grows if times == 1 else f"{times} * {grows}"


def per_hour(counter: str, by: str, where: str = "") -> Query:
    """How fast it grows an hour, by a label; series that stand still are left out."""
    return f"{total(counter, by, where, HOUR)} > 0", legend(by)


def quantile(histogram: str, which: float, by: str = "") -> Query:
    buckets = f"sum{_by('le', by)}(rate(tollgate_{histogram}_bucket[$__rate_interval]))"
    return f"histogram_quantile({which}, {buckets})", f"p{which * 100:.0f} {legend(by)}".strip()


def gauge(name: str, shown: str) -> Query:
    """A number that is the same at each API."""
    return f"max(tollgate_{name})", shown


def legend(by: str) -> str:
    return " ".join(f"{{{{{each.strip()}}}}}" for each in by.split(",") if each)


def _by(*labels: str) -> str:
    named = ", ".join(filter(None, labels))
    return f" by ({named}) " if named else ""


COMPLETED, NOT_CANCELLED = 'status="completed"', 'status!="cancelled"'

DASHBOARDS: dict[str, tuple[Panel, ...]] = {
    "Jobs": (
        panel("Jobs that ended, an hour", "short", per_hour("jobs_ended", "status")),
        panel(
            "Share of jobs that completed",
            "percentunit",
            (f"{total('jobs_ended', where=COMPLETED)} / {total('jobs_ended', where=NOT_CANCELLED)}", "completed"),
        ),
        panel("Why jobs end, an hour", "short", per_hour("jobs_ended", "status, stop_reason")),
        panel("Limits and loops at which work stopped, an hour", "short", per_hour("limits_reached", "reason")),
        panel("Time from submission to end", "s", quantile("job_seconds", 0.5), quantile("job_seconds", 0.95)),
        panel("Cost of a job", "currencyUSD", quantile("job_cost_usd", 0.5), quantile("job_cost_usd", 0.95)),
        panel("Questions to a human, an hour", "short", per_hour("escalations", "reason")),
        panel(
            "Questions for each job that ended",
            "percentunit",
            (f"{total('escalations')} / {total('jobs_ended')}", "questions"),
        ),
        panel(
            "Time to a decision",
            "s",
            quantile("decision_seconds", 0.5, "action"),
            quantile("decision_seconds", 0.95, "action"),
        ),
        panel("Jobs that wait for a human", "short", gauge("jobs_awaiting_human", "waiting")),
        panel("The longest wait for a human", "s", gauge("awaiting_human_oldest_seconds", "oldest")),
        panel("Hand-offs, an hour", "short", per_hour("handoffs", "agent")),
    ),
    "Money": (
        panel(
            "Spend, an hour",
            "currencyUSD",
            ("tollgate:spend_usd_per_hour", "now"),
            ("avg_over_time(tollgate:spend_usd_per_hour[1d])", "average of a day"),
        ),
        panel(
            "Today",
            "currencyUSD",
            gauge("day_limit_usd", "budget"),
            gauge("day_spent_usd", "spent"),
            gauge("day_reserved_usd", "reserved by calls in flight"),
            gauge("day_projected_usd", "spent by the end of the day, at its pace so far"),
        ),
        panel(
            "Share of today's budget that is spent",
            "percentunit",
            ("max(tollgate_day_spent_usd) / max(tollgate_day_limit_usd)", "spent"),
        ),
        panel("Cost by model, an hour", "currencyUSD", per_hour("model_cost_usd", "model")),
        panel("Cost by agent, an hour", "currencyUSD", per_hour("model_cost_usd", "agent")),
        panel(
            "Cost of tools, an hour",
            "currencyUSD",
            (total("tool_cost_usd", "server", times=HOUR), legend("server")),
        ),
        panel(
            "Reserved for each dollar charged",
            "short",
            (f"{total('model_reserved_usd')} / {total('model_cost_usd')}", "reserved / charged"),
        ),
        panel("Tokens a second", "short", (total("model_tokens", "kind"), legend("kind"))),
        panel(
            "Cost of a completed job, failed ones included",
            "currencyUSD",
            (
                f"sum(rate(tollgate_job_cost_usd_sum[$__rate_interval])) / {total('jobs_ended', where=COMPLETED)}",
                "cost",
            ),
        ),
    ),
    "Agents": (
        panel("Tasks that ended, an hour", "short", per_hour("agent_tasks", "agent")),
        panel(
            "Share of tasks that were done",
            "percentunit",
            (
                f"""{total("agent_tasks", "agent", 'outcome="done"')} / {total("agent_tasks", "agent")}""",
                legend("agent"),
            ),
        ),
        panel("Why tasks fail, an hour", "short", per_hour("agent_tasks", "agent, outcome", 'outcome!="done"')),
        panel(
            "Time for a task",
            "s",
            quantile("agent_task_seconds", 0.5, "agent"),
            quantile("agent_task_seconds", 0.95, "agent"),
        ),
        panel(
            "Model calls a second",
            "short",
            (
                "sum by (agent, model) (rate(tollgate_model_call_seconds_count[$__rate_interval]))",
                legend("agent,model"),
            ),
        ),
        panel("Time of a model call", "s", quantile("model_call_seconds", 0.95, "agent, model")),
        panel("Attempts that the provider failed, an hour", "short", per_hour("model_failures", "agent, model, error")),
        panel("Tokens a second", "short", (total("model_tokens", "agent, kind"), legend("agent,kind"))),
        panel("Tool calls a second", "short", (total("agent_tool_calls", "agent, outcome"), legend("agent,outcome"))),
    ),
    "MCP": (
        panel(
            "Calls a second, as agents see them",
            "short",
            (
                "sum by (server, outcome) (rate(tollgate_tool_call_seconds_count[$__rate_interval]))",
                legend("server,outcome"),
            ),
        ),
        panel("Time of a call, with waits and retries", "s", quantile("tool_call_seconds", 0.95, "server")),
        panel("Time by tool", "s", quantile("tool_call_seconds", 0.95, "server, tool")),
        panel("Wait for a replica", "s", quantile("tool_wait_seconds", 0.95, "server")),
        panel(
            "Share of calls answered from the cache",
            "percentunit",
            (
                'sum by (server) (rate(tollgate_tool_call_seconds_count{outcome="cached"}[$__rate_interval]))'
                " / sum by (server) (rate(tollgate_tool_call_seconds_count[$__rate_interval]))",
                legend("server"),
            ),
        ),
        panel(
            "Calls in flight and waiting, at workers",
            "short",
            ("sum by (server) (tollgate_tool_under_way)", f"in flight {legend('server')}"),
            ("sum by (server) (tollgate_tool_waiting)", f"waiting {legend('server')}"),
        ),
        panel("Retries, an hour", "short", (total("tool_retries", "server", times=HOUR), legend("server"))),
        panel(
            "Replicas that are up",
            "short",
            ("max by (server, replica) (tollgate_tool_replica_up)", legend("server,replica")),
        ),
        panel(
            "Calls a second, at the servers", "short", (total("mcp_calls", "server, outcome"), legend("server,outcome"))
        ),
        panel("Time at the servers", "s", quantile("mcp_call_seconds", 0.95, "server, tool")),
        panel(
            "Calls answered `busy`, an hour",
            "short",
            (total("mcp_calls_refused", "server, reason", times=HOUR), legend("server,reason")),
        ),
        panel(
            "Calls in flight and waiting, at the servers",
            "short",
            ("sum by (server) (tollgate_mcp_calls_in_flight)", f"in flight {legend('server')}"),
            ("sum by (server) (tollgate_mcp_calls_waiting)", f"waiting {legend('server')}"),
        ),
        panel("Open circuits", "short", ("max by (circuit) (tollgate_circuit_open)", legend("circuit"))),
    ),
    "Queue": (
        panel(
            "Jobs",
            "short",
            gauge("jobs_waiting", "waiting"),
            gauge("jobs_running", "running"),
            gauge("worker_places", "places of workers"),
            gauge("jobs_suspended", "suspended until another day"),
        ),
        panel("Age of the oldest waiting job", "s", gauge("queue_oldest_seconds", "oldest")),
        panel(
            "Jobs accepted and ended, an hour",
            "short",
            (total("jobs_accepted", times=HOUR), "accepted"),
            (total("jobs_ended", times=HOUR), "ended"),
        ),
        panel(
            "Time until the first run", "s", quantile("job_queued_seconds", 0.5), quantile("job_queued_seconds", 0.95)
        ),
        panel("Dead letters", "short", gauge("dead_letters", "dead letters")),
        panel("Runs of jobs, an hour", "short", per_hour("job_runs", "outcome")),
        panel(
            "Conflicts over a job, an hour",
            "short",
            (total("job_runs", "outcome", 'outcome=~"taken_over|lease_lost"', HOUR), legend("outcome")),
        ),
        panel("Requests a second", "reqps", (total("http_requests", "route, status"), legend("route,status"))),
        panel("Time until a response begins", "s", quantile("http_request_seconds", 0.95, "route")),
        panel(
            "Processors used",
            "short",
            ("sum by (job) (rate(process_cpu_seconds_total[$__rate_interval]))", legend("job")),
        ),
        panel("Memory", "bytes", ("sum by (job) (process_resident_memory_bytes)", legend("job"))),
    ),
}


def files() -> Iterator[tuple[Path, str]]:
    """Each dashboard's file, and what it has to contain."""
    for title, panels in DASHBOARDS.items():
        name = title.lower()
        yield FOLDER / f"{name}.json", json.dumps(_dashboard(name, title, panels), indent=1) + "\n"


def _dashboard(name: str, title: str, panels: tuple[Panel, ...]) -> dict[str, Any]:
    return {
        "uid": f"tollgate-{name}",
        "title": title,
        "tags": ["tollgate"],
        "timezone": "utc",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "links": [{"title": "Dashboards", "type": "dashboards", "tags": ["tollgate"], "asDropdown": True}],
        "panels": [_panel(at, each) for at, each in enumerate(panels)],
    }


def _panel(at: int, given: Panel) -> dict[str, Any]:
    row, column = divmod(at, COLUMNS)
    bounds = {"max": 1} if given.unit == "percentunit" else {}
    return {
        "id": at + 1,
        "type": "timeseries",
        "title": given.title,
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": given.unit, "min": 0, **bounds}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": expression, "legendFormat": shown}
            for number, (expression, shown) in enumerate(given.queries)
        ],
    }
