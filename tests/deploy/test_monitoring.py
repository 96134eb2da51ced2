"""Prometheus' and Grafana's configuration: valid, about metrics that exist, and each alert fires when it should."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from deploy.grafana.panels import SOURCE
from tests.deploy.test_container import SERVICES, option

ROOT = Path(__file__).parents[2]
PROMETHEUS, GRAFANA = ROOT / "deploy/prometheus", ROOT / "deploy/grafana"
RULES = [rule for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
UNITS = {"short", "s", "currencyUSD", "percentunit", "reqps", "bytes"}  # of Grafana
OF_PROMETHEUS = {"le", "job", "instance", "server"}  # labels that it adds itself, by deploy/prometheus/prometheus.yml

debian = pytest.mark.skipif(shutil.which("promtool") is None, reason="Debian's package prometheus is not installed")


def panels() -> list[tuple[str, dict[str, Any]]]:
    """Every panel of every dashboard, as Grafana reads it, with a name."""
    dashboards = {path.stem: json.loads(path.read_text()) for path in (GRAFANA / "dashboards").glob("*.json")}
    return [(f"{name}: {each['title']}", each) for name, whole in dashboards.items() for each in whole["panels"]]


def queries() -> list[tuple[str, str]]:
    """Every query of a panel or a rule, with the name of what has it."""
    shown = [(name, target["expr"]) for name, each in panels() for target in each["targets"]]
    return shown + [(rule.get("alert") or rule["record"], rule["expr"]) for rule in RULES]


def declared() -> dict[str, set[str]]:
    """The metrics of docs/metrics.md, which is generated, and their labels."""
    rows = re.findall(r"^\| `(\w+)` \| \w+ \| (.*?) \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    return {name: set(re.findall(r"\w+", labels)) for name, labels in rows}


def named(query: str) -> set[str]:
    """Our metrics in a query, as declared: without the suffix of a histogram's series."""
    return {re.sub(r"_(bucket|count|sum)$", "", each) for each in re.findall(r"\btollgate_\w+", query)}


def test_a_query_asks_for_metrics_and_labels_that_exist() -> None:
    known = declared()
    for name, query in queries():
        assert named(query) <= set(known), name
        assert set(re.findall(r"\btollgate:\w+", query)) <= set(RECORDED), name
        labels = OF_PROMETHEUS.union(*(known[each] for each in named(query)))
        by = {label for found in re.findall(r"by \(([^)]*)\)", query) for label in found.split(", ")}
        assert by | set(re.findall(r'(\w+)(?:=|!=|=~)"', query)) <= labels, name


def test_every_metric_is_on_a_dashboard() -> None:
    used = set().union(*(named(query) for _, query in queries()))
    assert set(declared()) - used == set()


def test_a_panel_has_a_title_a_unit_and_a_source_that_is_provisioned() -> None:
    [source] = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert {"type": source["type"], "uid": source["uid"]} == SOURCE
    for name, shown in panels():
        assert shown["title"], name
        assert shown["fieldConfig"]["defaults"]["unit"] in UNITS, name
        assert shown["targets"], name
        assert all(each["datasource"] == SOURCE for each in (shown, *shown["targets"])), name
        assert all(target["legendFormat"] for target in shown["targets"]), name


def test_an_alert_says_what_to_do() -> None:
    text = (ROOT / "docs/operating/alerts.md").read_text()
    told = dict(re.findall(r"^## ([^\n]+)\n\n(.+?)\n(?=\n## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert list(told) == list(ALERTS)
    for name, alert in ALERTS.items():
        assert alert["labels"]["severity"] in {"warning", "critical"}, name
        assert {"summary", "description", "runbook"} == set(alert["annotations"]), name
        assert alert["annotations"]["runbook"] == f"docs/operating/alerts.md#{name.lower()}"
        assert len(told[name].split(". ")) > 1, name


@debian
@pytest.mark.slow
def test_each_alert_fires_in_its_case_and_none_when_all_is_well() -> None:
    checked = subprocess.run(
        ["promtool", "test", "rules", "alerts_test.yml"], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    fired = re.findall(r'alertname="(\w+)"', (PROMETHEUS / "alerts_test.yml").read_text())
    assert set(fired) == set(ALERTS)


@debian
def test_prometheus_accepts_its_configuration(tmp_path: Path) -> None:
    copy = shutil.copytree(PROMETHEUS, tmp_path / "prometheus")
    (copy / "api_key").write_text("tg_key")
    checked = subprocess.run(
        ["promtool", "check", "config", copy / "prometheus.yml"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_prometheus_reads_what_compose_runs() -> None:
    scraped = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    jobs = {each["job_name"]: each for each in scraped}
    [workers] = jobs["worker"]["dns_sd_configs"]
    ports = {name: int(option(SERVICES[name]["command"], "metrics-port")) for name in workers["names"]}
    assert ports == {"worker": workers["port"]}
    listed = [*jobs["api"]["static_configs"], *jobs["mcp"]["static_configs"]]
    for each in listed:
        [(service, port)] = [target.split(":") for target in each["targets"]]
        assert option(SERVICES[service]["command"], "port") == port
        assert each.get("labels", {}).get("server", "api").replace("_", "-") == service
