"""Prometheus, Grafana, collector and Jaeger of compose.yaml: on request only, and each finds what it reads."""

import configparser
import contextlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml  # type: ignore[import-untyped]

from app.config.tracing_settings import DEFAULT_ENDPOINT
from deploy.check_image import Stack
from tests.deploy.test_container import MONITORING, OURS, ROOT, SERVICES, size
from tests.deploy.test_monitoring import GRAFANA, PROMETHEUS

every_one = pytest.mark.parametrize("name", MONITORING)


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def mounts(name: str) -> dict[str, Path]:
    """The project's folders in this service, by where they are in it."""
    binds = [volume for volume in MONITORING[name]["volumes"] if isinstance(volume, dict)]
    assert all(each["type"] == "bind" and each["read_only"] for each in binds)
    return {each["target"]: ROOT / each["source"] for each in binds}


def meet(one: str, other: str) -> bool:
    return bool(set(SERVICES[one]["networks"]) & set(SERVICES[other]["networks"]))


def test_only_who_asks_for_them_gets_them() -> None:
    assert set(MONITORING) == {"prometheus", "grafana", "otel-collector", "jaeger"}
    assert set(SERVICES) == set(OURS) | {"redis"} | set(MONITORING)
    for name in set(SERVICES) - set(MONITORING):
        assert not set(SERVICES[name].get("depends_on", {})) & set(MONITORING)
        assert "monitoring" not in SERVICES[name]["networks"]


def test_the_check_of_the_image_starts_our_programs_and_redis_alone(tmp_path: Path) -> None:
    with contextlib.ExitStack() as ending:
        assert set(Stack(tmp_path, ending).services) == set(OURS) | {"redis"}


@every_one
def test_it_is_nobody_special_and_reads_files_that_exist(name: str) -> None:
    user, _, group = MONITORING[name]["user"].partition(":")
    assert int(user) > 0
    assert group.isdecimal()
    assert all(folder.is_dir() for folder in mounts(name).values())
    assert "store" not in MONITORING[name]["networks"], "Redis has no password"
    for word in MONITORING[name].get("command", []):
        option, _, file = word.partition("=")
        if option in {"--config", "--config.file"}:
            [(target, folder)] = mounts(name).items()
            assert (folder / Path(file).relative_to(target)).is_file()


def test_prometheus_meets_those_whom_it_reads() -> None:
    assert mounts("prometheus") == {"/etc/prometheus": PROMETHEUS}
    for job in read("deploy/prometheus/prometheus.yml")["scrape_configs"]:
        listed = [target.partition(":")[0] for each in job.get("static_configs", []) for target in each["targets"]]
        for name in [*listed, *(name for each in job.get("dns_sd_configs", []) for name in each["names"])]:
            assert meet("prometheus", name)


def test_grafana_asks_prometheus_and_shows_the_dashboards() -> None:
    [source] = read("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"]
    url = urlsplit(source["url"])
    assert meet("grafana", str(url.hostname))
    assert f"127.0.0.1:{url.port}:{url.port}" in SERVICES[str(url.hostname)]["ports"]
    [(target, folder)] = mounts("grafana").items()
    assert (target, folder) == ("/etc/grafana", GRAFANA)  # where its image looks for grafana.ini and provisioning
    [provider] = yaml.safe_load(next((GRAFANA / "provisioning/dashboards").iterdir()).read_text())["providers"]
    shown = GRAFANA / Path(provider["options"]["path"]).relative_to(target)
    assert list(shown.glob("*.json"))


def test_nobody_can_change_anything_in_grafana() -> None:
    """It has no password, and the one that its image comes with is known to all."""
    said = configparser.ConfigParser()
    said.read(GRAFANA / "grafana.ini")
    assert said.getboolean("security", "disable_initial_admin_creation")
    assert not said.getboolean("auth.basic", "enabled")
    assert said["auth.anonymous"]["org_role"] == "Viewer"
    assert not said.getboolean("analytics", "reporting_enabled")


@pytest.mark.parametrize("path", ["deploy/otel/collector.yml", "deploy/otel/jaeger.yml"])
def test_a_pipeline_has_parts_that_are_declared_and_all_of_them(path: str) -> None:
    said = read(path)
    assert set(said) <= {"receivers", "processors", "exporters", "extensions", "service"}
    [traces] = said["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert set(traces[kind]) == set(said[kind])
    assert set(said["service"].get("extensions", [])) == set(said.get("extensions", {}))


def test_spans_of_every_program_reach_jaeger() -> None:
    collector, jaeger = read("deploy/otel/collector.yml"), read("deploy/otel/jaeger.yml")
    listening = collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    told = f"OTEL_EXPORTER_OTLP_ENDPOINT=http://otel-collector:{listening.partition(':')[2]} docker compose"
    assert told in (ROOT / "compose.yaml").read_text()
    assert urlsplit(DEFAULT_ENDPOINT).port == urlsplit(f"//{listening}").port
    for name in set(OURS) - {"stand-in"}:  # somebody else's model, were it a real one
        assert OURS[name]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] is None, "off, unless it is set"
        assert meet(name, "otel-collector")
    [exporter] = collector["exporters"].values()
    host, _, port = exporter["endpoint"].partition(":")
    assert jaeger["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] == f"0.0.0.0:{port}"
    assert meet("otel-collector", host)
    shown = urlsplit(f"//{jaeger['extensions']['jaeger_query']['http']['endpoint']}").port
    assert SERVICES[host]["ports"] == [f"127.0.0.1:{shown}:{shown}"]
    asked = urlsplit(SERVICES[host]["healthcheck"]["test"][-1])
    assert urlsplit(f"//{jaeger['extensions']['healthcheckv2']['http']['endpoint']}").port == asked.port


def test_the_collector_refuses_spans_before_its_memory_is_used_up() -> None:
    bounds = read("deploy/otel/collector.yml")["processors"]["memory_limiter"]
    limit = size(SERVICES["otel-collector"]["deploy"]["resources"]["limits"]["memory"])
    assert 0 < bounds["spike_limit_mib"] < bounds["limit_mib"] < limit / 2**20
