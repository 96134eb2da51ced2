"""deploy/k8s: valid, in step with compose.yaml and the settings, unprivileged, and rolled out without a gap."""

import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from app.commands.programs import ENDING_S
from app.config import settings as configuration
from app.config.servers import NAMES, SERVERS
from app.config.settings import Settings
from app.console.sessions import LASTS_S
from mcp_servers.base.serving import parser
from tests.deploy.manifests import FOLDER, Json, base, everything, of_kind, pod, production, program, with_kubectl
from tests.deploy.test_container import OURS, ROOT, SERVICES, VERSION
from tests.deploy.test_monitoring import PROMETHEUS, RULES, debian, declared, named

OLDEST, NEWEST = "1.30", kubernetes_validate.latest_version()  # of Kubernetes; the oldest that has `preStop.sleep`
SECRET = "tollgate"
PROGRAMS = [name for name in OURS if name != "stand-in"]  # a deployment has a model provider
OPTIONAL = [server.name.replace("_", "-") for server in SERVERS if server.turned_on_by]
COMPONENT = "app.kubernetes.io/component"

pytestmark = with_kubectl
every_program = pytest.mark.parametrize("name", PROGRAMS)


def deployment(name: str) -> Json:
    return of_kind("Deployment", everything())[name]


def in_environment(name: str) -> dict[str, str]:
    """The variables that a program gets, with values for those from the secret."""
    given: dict[str, str] = {}
    for source in program(deployment(name)).get("envFrom", []):
        given |= of_kind("ConfigMap", everything())[source["configMapRef"]["name"]]["data"]
    for each in program(deployment(name))["env"]:
        reference = each.get("valueFrom", {})
        if "secretKeyRef" in reference:
            given[each["name"]] = f"whsec_{'A' * 40}"
        elif "value" in each:
            given[each["name"]] = each["value"]
    return given


@pytest.mark.slow
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_it_is_valid(version: str) -> None:
    for each in everything():
        if each["kind"] != "ScaledObject":  # KEDA's
            kubernetes_validate.validate(each, version, strict=True)


def test_a_wrong_field_is_refused_and_this_one_is_right() -> None:
    kubernetes_validate.validate(deployment("api"), NEWEST, strict=True)
    wrong = deployment("api") | {"spec": deployment("api")["spec"] | {"replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)


def test_every_program_of_compose_is_deployed() -> None:
    assert set(of_kind("Deployment", everything())) == set(PROGRAMS)
    assert set(of_kind("Deployment", base())) == set(PROGRAMS) - set(OPTIONAL)
    labels = {name: deployment(name)["spec"]["template"]["metadata"]["labels"] for name in PROGRAMS}
    assert {name: each.get("mcp-server") for name, each in labels.items()} == dict.fromkeys(PROGRAMS) | {
        server.replace("_", "-"): server for server in NAMES
    }
    assert all(each[COMPONENT] == name for name, each in labels.items())


@every_program
def test_a_program_is_started_as_compose_starts_it(name: str) -> None:
    container, service = program(deployment(name)), OURS[name]
    assert container["args"] == service["command"]
    assert container.get("command") == service.get("entrypoint")
    assert container["image"] == f"registry.example.com/tollgate:{VERSION}"
    assert program(of_kind("Deployment", everything() + base())[name])["image"].endswith(service["image"])
    [port] = container["ports"]
    assert str(port["containerPort"]) == container["args"][-1]
    grace = int(service["stop_grace_period"].rstrip("s"))
    assert pod(deployment(name))["terminationGracePeriodSeconds"] == grace


@every_program
def test_it_calls_whom_it_calls_in_compose(name: str) -> None:
    compose = {**SERVICES["worker"]["environment"], **SERVICES[name].get("environment", {})}
    compose = {variable: url for variable, url in compose.items() if url and "://" in url}
    compose |= {
        f"MCP__{each.name.upper()}__URL": f"http://{each.name}:{each.port}/mcp" for each in SERVERS if each.turned_on_by
    }
    ours = {variable: url for variable, url in in_environment(name).items() if url.startswith("http://")}
    ours.pop("OTEL_EXPORTER_OTLP_ENDPOINT")
    assert ours.items() <= compose.items()
    needed = {variable for variable in SERVICES[name].get("environment", {}) if variable in compose}
    assert set(ours) >= needed - {"REDIS_URL", "TOLLGATE_STAND_IN_URL"}


@every_program
def test_settings_accept_what_it_gets(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in in_environment(name).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(configuration, "ENV_FILE", "")
    settings = configuration.load()
    if name in {"api", "worker"}:
        assert set(settings.mcp) == set(NAMES), "a server that is not named would be started in the pod"
        assert not settings.offline
        assert settings.redis_url


@every_program
def test_secrets_come_from_the_secret_alone(name: str) -> None:
    secret = {configuration.variable(field) for field, info in Settings.model_fields.items() if "Secret" in str(info)}
    page = (FOLDER / "README.md").read_text()
    for each in program(deployment(name))["env"]:
        reference = each.get("valueFrom", {}).get("secretKeyRef")
        assert (reference is not None) >= (each["name"] in secret), "a value that everybody can read"
        if reference:
            assert (reference["name"], reference["key"]) == (SECRET, each["name"])
            assert f"`{each['name']}`" in page
    assert "Secret" not in {each["kind"] for each in everything()}
    assert not secret & set().union(*(each["data"] for each in of_kind("ConfigMap", everything()).values()))


@every_program
def test_a_pod_is_unprivileged_and_writes_to_its_volumes_only(name: str) -> None:
    spec, container = pod(deployment(name)), program(deployment(name))
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False, "TOLLGATE_..._PORT would be an unknown setting"
    [user] = re.findall(r"^USER (\d+):", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    shared = {"runAsUser", "runAsGroup", "fsGroup"}
    assert {spec["securityContext"][each] for each in shared} == {int(user)}
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    written = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert set(written.values()) == {"/data", "/tmp"}  # as in compose.yaml
    assert {each["name"] for each in spec["volumes"] if set(each) == {"name", "emptyDir"}} == set(written)
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(spec)


@every_program
def test_a_program_is_bounded_and_twice_there(name: str) -> None:
    assert program(deployment(name))["resources"] == {
        "requests": {"cpu": "250m", "memory": "1Gi"},
        "limits": {"memory": "2Gi"},
    }
    assert of_kind("Deployment", everything() + base())[name]["spec"].get("replicas", 2) >= 2
    rolled = deployment(name)["spec"]["strategy"]
    assert rolled == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    budget = of_kind("PodDisruptionBudget", everything())[name]["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == deployment(name)["spec"]["selector"] == {"matchLabels": {COMPONENT: name}}
    spread = pod(deployment(name))["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    labels = deployment(name)["spec"]["template"]["metadata"]["labels"].items()
    assert all(each["labelSelector"]["matchLabels"].items() <= labels for each in spread)
    assert all(COMPONENT in each["matchLabelKeys"] for each in spread), "programs are counted apart"


@every_program
def test_it_is_asked_for_its_health_as_in_compose(name: str) -> None:
    container = program(deployment(name))
    [port] = container["ports"]
    alive, started, ready = (container[f"{each}Probe"] for each in ("liveness", "startup", "readiness"))
    assert (alive["initialDelaySeconds"], alive["periodSeconds"]) == (120, 60)
    path = "/metrics" if name == "worker" else "/healthz"
    assert alive["httpGet"] == started["httpGet"] == {"path": path, "port": port["name"]}
    assert started["periodSeconds"] * started["failureThreshold"] <= 120
    _, *command = OURS[name]["healthcheck"]["test"]
    if name == "worker":
        assert ready["exec"]["command"] == command
    else:
        asked = "/readyz" if name == "api" else f"/{command[-1].rpartition('/')[2]}"
        assert ready["httpGet"] == {"path": asked, "port": port["name"]}


@every_program
def test_it_has_time_to_end(name: str) -> None:
    grace = pod(deployment(name))["terminationGracePeriodSeconds"]
    defaults, server = Settings(_env_file=None), parser("server", "").parse_args([])
    if name == "worker":  # a model call, then handing over; nobody connects to it
        assert grace > max(defaults.limits.call_timeout_s, defaults.drain_s)
        return
    leaving = program(deployment(name))["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert 0 < leaving < grace - max(ENDING_S, server.grace_s)


def test_a_service_leads_to_its_program() -> None:
    services = of_kind("Service", everything())
    assert set(services) == set(PROGRAMS) - {"worker"}
    for name, service in services.items():
        assert service["spec"]["selector"] == {COMPONENT: name}
        [port], [own] = service["spec"]["ports"], program(deployment(name))["ports"]
        assert (port["port"], port["targetPort"]) == (own["containerPort"], own["name"])


def test_a_browser_stays_with_the_process_that_made_its_page() -> None:
    spec = of_kind("Service", everything())["api"]["spec"]
    assert spec["sessionAffinity"] == "ClientIP"
    assert spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"] == LASTS_S


def test_a_pod_runs_ten_jobs_and_as_many_pods_are_there_as_the_jobs_fill() -> None:
    assert in_environment("worker")["TOLLGATE_WORKER_JOBS"] == "10"
    scaled = of_kind("ScaledObject", production())["worker"]["spec"]
    assert scaled["scaleTargetRef"] == {"name": "worker"}
    assert "replicas" not in of_kind("Deployment", production())["worker"]["spec"], "apply would undo KEDA's number"
    assert scaled["minReplicaCount"] >= 2
    [trigger] = scaled["triggers"]
    assert (trigger["type"], trigger["metricType"]) == ("prometheus", "AverageValue")
    assert trigger["metadata"]["threshold"] == in_environment("worker")["TOLLGATE_WORKER_JOBS"]
    assert named(trigger["metadata"]["query"]) == {"tollgate_jobs_waiting", "tollgate_jobs_running"}
    assert named(trigger["metadata"]["query"]) <= set(declared())
    assert trigger["metadata"]["ignoreNullValues"] == "false", "an outage of Prometheus would remove the workers"


def test_the_namespace_refuses_privileged_pods() -> None:
    [namespace] = of_kind("Namespace", production()).values()
    assert namespace["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
    inside = {each["metadata"].get("namespace") for each in production() if each["kind"] != "Namespace"}
    assert inside == {namespace["metadata"]["name"]}


def test_prometheus_finds_the_pods() -> None:
    ours, theirs = (
        {each["job_name"]: each for each in yaml.safe_load(path.read_text())["scrape_configs"]}
        for path in (FOLDER / "prometheus.yml", PROMETHEUS / "prometheus.yml")
    )
    assert set(ours) == set(theirs), "alerts and dashboards go by these names"
    labels = [deployment(name)["spec"]["template"]["metadata"]["labels"] for name in PROGRAMS]
    for job, each in ours.items():
        [keep] = [rule for rule in each["relabel_configs"] if rule.get("action") == "keep"]
        [source] = keep["source_labels"]
        found = [
            one[COMPONENT]
            for one in labels
            for label, value in one.items()
            if source == f"__meta_kubernetes_pod_label_{re.sub(r'[^a-zA-Z0-9]', '_', label)}"
            and re.fullmatch(keep["regex"], value)
        ]
        assert set(found) == ({server.replace("_", "-") for server in NAMES} if job == "mcp" else {job})
        [where] = each["kubernetes_sd_configs"]
        assert where["namespaces"]["names"] == list(of_kind("Namespace", production()))
        assert each.get("authorization") == theirs[job].get("authorization")


@debian
def test_prometheus_accepts_this_configuration(tmp_path: Path) -> None:
    """But for the discovery of pods, which Debian leaves out of its Prometheus."""
    shutil.copy(PROMETHEUS / "alerts.yml", tmp_path)
    (tmp_path / "api_key").write_text("tg_key")
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    for each in config["scrape_configs"]:
        [where] = each.pop("kubernetes_sd_configs")
        assert set(where) == {"role", "namespaces"}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    checked = subprocess.run(
        ["promtool", "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(RULES)} rules found" in checked.stdout


def test_a_model_provider_and_a_store_are_asked_for() -> None:
    """Without them a pod would start its own; and what compose has for trying out is not deployed."""
    for name in set(PROGRAMS) & {"api", "worker", "embeddings"}:
        needed = {
            each["name"]
            for each in program(deployment(name))["env"]
            if "secretKeyRef" in each.get("valueFrom", {}) and not each["valueFrom"]["secretKeyRef"].get("optional")
        }
        assert {"REDIS_URL", "OPENAI_API_KEY", "TOLLGATE_MCP_SECRET"} == needed
    assert set(SERVICES) - set(of_kind("Deployment", everything())) >= {"stand-in", "redis"}
