"""Writes what is generated: `.env.example`, the picture of the graph in README.md, the tables in docs/limits.md and
docs/metrics.md, the dashboards of Grafana.

`python docs/generate.py` writes; with `--check` it only says what is out of date, and exits with 1.
"""

import re
import sys
from pathlib import Path

import yaml
from openai import DefaultAsyncHttpxClient
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from redis.asyncio import Redis

from app.api.metrics import Metrics as ApiMetrics
from app.config.settings import OPENAI_URL, Settings, variable
from app.running.runtime import dependencies
from app.work.metrics import JobMetrics
from deploy.grafana import panels
from graphs.research import build_research_graph
from graphs.spending.limits import LIMITS, Limits
from graphs.tools.gateway import ToolGateway
from graphs.tools.metrics import ToolMetrics
from mcp_servers.base.observing import Metrics as ServerMetrics

ROOT = Path(__file__).parents[1]
HEAD = "# Every setting, with its default. Copy to .env and change what you need; all are optional.\n"


def main() -> int:
    """Write or check; the exit code."""
    pages = {
        "graph": (ROOT / "README.md", picture()),
        "limits": (ROOT / "docs/limits.md", limits_table()),
        "metrics": (ROOT / "docs/metrics.md", metrics_table()),
    }
    wanted = {ROOT / ".env.example": env_example(), **dict(panels.files())}
    wanted |= {path: _between(name, path.read_text(), made) for name, (path, made) in pages.items()}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if "--check" not in sys.argv:
        for path in stale:
            path.write_text(wanted[path])
        return 0
    for path in stale:
        sys.stderr.write(f"{path.relative_to(ROOT)} is out of date; run: make docs\n")
    return 1 if stale else 0


def env_example() -> str:
    """One line of explanation and one with the default for each setting."""
    return "\n".join([HEAD, *(_setting(name) for name in Settings.model_fields)]) + "\n"


def picture() -> str:
    """The graph as Mermaid, without the styles."""
    deps = dependencies(Settings(_env_file=None), OPENAI_URL, DefaultAsyncHttpxClient(), ToolGateway({}), Redis())
    graph = build_research_graph(deps)
    drawn = graph.get_graph().draw_mermaid(with_styles=False)
    return f"```mermaid\n{drawn.strip()}\n```\n"


def limits_table() -> str:
    """A row per limit."""
    rows = ["| limit | default | up to | of | stop reason | setting |", "| --- | --- | --- | --- | --- | --- |"]
    for name, limit in LIMITS.items():
        field = Limits.model_fields[name]
        ceiling = f"{limit.shown(limit.ceiling)}, `{variable(limit.ceiling_setting)}`" if limit.ceiling else ""
        reason = f"`{limit.reason}`" if limit.reason else "it waits"
        of, setting = limit.scope.replace("_", " "), f"`{variable(limit.setting)}`"
        cells = [f"`{name}`: {field.description}", limit.shown(field.default), ceiling, of, reason, setting]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def metrics_table() -> str:
    """A row per metric, with the dashboards and alerts that use it."""
    api, worker = CollectorRegistry(), CollectorRegistry()
    ApiMetrics(api), JobMetrics(worker, [], [], []), ToolMetrics(worker)
    rows = ["| metric | type | labels | what it says | told by | used by |", "| --- | --- | --- | --- | --- | --- |"]
    for program, registry in {"API": api, "worker": worker, "MCP server": ServerMetrics().registry}.items():
        for metric in registry._collector_to_names:
            if isinstance(metric, MetricWrapperBase):
                [family] = metric.describe()
                name = f"{family.name}_total" if family.type == "counter" else family.name
                labels = ", ".join(f"`{label}`" for label in metric._labelnames)
                cells = [f"`{name}`", family.type, labels, family.documentation, program, _users(family.name)]
                rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _users(metric: str) -> str:
    """The dashboards and alerts with a query that names this metric."""
    named = re.compile(rf"\b{metric}(_total|_bucket|_count|_sum)?\b")
    queries = {
        title: " ".join(expression for panel in shown for expression, _ in panel.queries)
        for title, shown in panels.DASHBOARDS.items()
    }
    groups = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    recorded = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}
    for rule in rules:
        if "alert" in rule:
            used = [expression for name, expression in recorded.items() if name in rule["expr"]]
            queries[f"`{rule['alert']}`"] = " ".join([rule["expr"], *used])
    return ", ".join(name for name, query in queries.items() if named.search(query))


def _between(name: str, page: str, made: str) -> str:
    """The page with this between its two comments of that name."""
    return re.sub(f"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", lambda _: made, page, flags=re.DOTALL)


def _setting(name: str) -> str:
    field, written = Settings.model_fields[name], variable(name)
    default = field.default
    shown = "" if default is None or default == {} else str(default).lower() if isinstance(default, bool) else default
    return f"# {field.description}\n# {'MCP__SALES__URL' if written == 'MCP' else written}={shown}"


if __name__ == "__main__":
    sys.exit(main())
