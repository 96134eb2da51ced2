"""Dockerfile and compose.yaml: valid, pinned, bounded, unprivileged, and in step with the settings."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml  # type: ignore[import-untyped]

from app.config import ports
from app.config import settings as configuration
from app.config.servers import NAMES, SERVERS
from app.config.settings import Settings
from mcp_servers.base.serving import parser

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
MONITORING = {name: service for name, service in SERVICES.items() if service.get("profiles") == ["monitoring"]}
STEPS = re.findall(r"^([A-Z]+) (.*)$", (ROOT / "Dockerfile").read_text().replace("\\\n", ""), re.MULTILINE)
FINAL = STEPS[max(number for number, (word, _) in enumerate(STEPS) if word == "FROM") :]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
PINNED = re.compile(r"[a-z/.-]+:v?\d+\.\d+\.\d+(-[a-z]+)*(@sha256:[0-9a-f]{64})?")
UNITS = {"k": 2**10, "m": 2**20, "g": 2**30}

every_service = pytest.mark.parametrize("name", SERVICES)


def only(word: str) -> str:
    """What follows this word in the final stage, where it stands once."""
    (found,) = [rest for each, rest in FINAL if each == word]
    return str(found)


def option(command: list[str], name: str) -> str:
    return command[command.index(f"--{name}") + 1]


def size(text: str) -> int:
    return int(re.sub(r"\D", "", text)) * UNITS[text.strip("0123456789b")]


def service_of(server: str) -> dict[str, Any]:
    return SERVICES[server.replace("_", "-")]


def addresses() -> Iterator[tuple[str, str, int]]:
    """Who calls whom, and on which port: every URL that a service is given."""
    for name, service in SERVICES.items():
        for value in service.get("environment", {}).values():
            if value and "://" in value:
                url = urlsplit(value)
                assert url.hostname is not None
                assert url.port is not None
                yield name, url.hostname, url.port


def test_it_is_valid_by_the_schema_of_the_compose_specification(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    valid = subprocess.run([*command, ROOT / "compose.yaml"], capture_output=True, text=True, check=False)
    assert valid.returncode == 0, valid.stdout
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((ROOT / "compose.yaml").read_text().replace("restart:", "restrat:"))
    assert subprocess.run([*command, wrong], capture_output=True, check=False).returncode == 1


@every_service
def test_a_service_is_bounded_watched_and_unprivileged(name: str) -> None:
    service = SERVICES[name]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    if name != "otel-collector":  # whose image has nothing that could ask
        assert {"test", "interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])
    assert service["restart"] == "unless-stopped"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in service["tmpfs"]
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert not {"privileged", "network_mode", "pid", "cap_add", "devices"} & set(service)


@every_service
def test_an_image_is_pinned(name: str) -> None:
    assert PINNED.fullmatch(SERVICES[name]["image"])


def test_the_images_version_is_the_projects() -> None:
    assert {service["image"] for service in OURS.values()} == {f"tollgate:{VERSION}"}
    assert f"org.opencontainers.image.version={VERSION}" in only("LABEL").replace('"', "").split()


@every_service
def test_every_variable_is_a_setting(name: str) -> None:
    known = {*configuration.names(), *(f"MCP__{server.upper()}__URL" for server in NAMES)} - {"MCP"}
    assert set(SERVICES[name].get("environment", {})) <= known


@pytest.mark.parametrize("name", ["api", "worker"])
def test_the_environment_is_one_that_settings_accept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(variable, value or "")
    settings = Settings(_env_file=None)
    assert set(settings.mcp) == set(settings.servers), "a server that is not named would be started beside the job"
    assert settings.offline
    assert settings.model_url == "http://stand-in:7800/v1"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    assert Settings(_env_file=None).model_url == configuration.OPENAI_URL


def test_an_optional_server_is_off_until_somebody_sets_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    optional = [server for server in SERVERS if server.turned_on_by]
    assert {name for name, service in OURS.items() if "profiles" in service} == {each.name for each in optional}
    assert "store" not in SERVICES["web"]["networks"], "it reads what strangers write"
    told = {variable: value or "" for variable, value in SERVICES["worker"]["environment"].items()}
    for server in optional:
        url = f"http://{server.name.replace('_', '-')}:{server.port}/mcp"
        assert f"MCP__{server.name.upper()}__URL: # {url} in .env" in (ROOT / "compose.yaml").read_text()
        assert set(map(configuration.variable, server.turned_on_by)) <= set(service_of(server.name)["environment"])
        told[f"MCP__{server.name.upper()}__URL"] = url
    for variable, value in told.items():
        monkeypatch.setenv(variable, value)
    assert set(Settings(_env_file=None).servers) == set(NAMES)


def test_a_worker_waits_for_the_servers_that_are_always_there() -> None:
    always = {server.name.replace("_", "-") for server in SERVERS if not server.turned_on_by}
    assert set(SERVICES["worker"]["depends_on"]) == always | {"redis"}


def test_only_the_api_is_published_and_only_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert all(port.startswith("127.0.0.1:") for each in published.values() for port in each)
    assert {name: each for name, each in published.items() if name not in MONITORING} == {
        "api": [f"127.0.0.1:{ports.API}:{ports.API}"]
    }
    assert only("EXPOSE") == str(ports.API)


def test_who_is_called_shares_a_network_with_the_caller_and_listens_on_that_port() -> None:
    for caller, host, port in addresses():
        if caller == "api" and host != "redis":
            continue  # it has the settings of a worker, and leaves the work to workers
        assert set(SERVICES[caller]["networks"]) & set(SERVICES[host]["networks"]), f"{caller} cannot reach {host}"
        assert port == (6379 if host == "redis" else int(option(SERVICES[host]["command"], "port")))


def test_what_has_no_password_is_on_networks_without_a_way_out() -> None:
    closed = {name for name, network in COMPOSE["networks"].items() if network and network["internal"]}
    for name in ("redis", "knowledge-base", "sales", "analytics", "stand-in"):
        assert set(SERVICES[name]["networks"]) <= closed
    assert [name for name, service in SERVICES.items() if "store" in service["networks"]] == [
        *("api", "worker", "embeddings", "redis")
    ]


def test_every_program_listens_where_it_does_by_default() -> None:
    listening = {
        name: int(option(service["command"], "port"))
        for name, service in OURS.items()
        if "--port" in service["command"]
    }
    servers = {name.replace("_", "-"): port for name, port in ports.MCP.items()}
    own = {"api": ports.API, "stand-in": ports.STAND_IN, "embeddings": ports.EMBEDDINGS}
    assert listening == {**own, **servers}
    assert json.loads(only("CMD")) == SERVICES["api"]["command"]


def test_a_worker_has_time_to_drain() -> None:
    """It finishes the model call it is in; a setting for draining, when there is one, counts as well."""
    fields = ["call_timeout_s", *(name for name in Settings.model_fields if "drain" in name or "grace" in name)]
    defaults = Settings(_env_file=None)
    assert int(SERVICES["worker"]["stop_grace_period"].rstrip("s")) > max(getattr(defaults, name) for name in fields)
    assert SERVICES["worker"]["deploy"]["replicas"] == 2


@pytest.mark.parametrize("server", NAMES)
def test_an_mcp_server_asks_for_tokens_that_a_worker_can_sign_and_lets_calls_end(server: str) -> None:
    service = service_of(server)
    secret = service["environment"]["TOLLGATE_MCP_SECRET"]
    assert secret.startswith("${TOLLGATE_MCP_SECRET:?"), "it is neither written down nor left out"
    assert SERVICES["worker"]["environment"]["TOLLGATE_MCP_SECRET"] == secret
    grace = parser("server", "").parse_args([]).grace_s
    assert int(service["stop_grace_period"].rstrip("s")) > grace


def test_redis_keeps_what_it_is_given() -> None:
    command = SERVICES["redis"]["command"]
    assert option(command, "appendonly") == "yes"
    assert option(command, "appendfsync") == "everysec"
    assert option(command, "maxmemory-policy") == "noeviction"
    limit = size(SERVICES["redis"]["deploy"]["resources"]["limits"]["memory"])
    assert size(option(command, "maxmemory")) * 2 <= limit, "rewriting the append-only file may need it twice"
    assert option(command, "dir") == "/data"
    assert SERVICES["redis"]["volumes"] == ["redis:/data"]


def test_every_volume_is_named_and_mounted() -> None:
    """Those in the short form; the long one mounts files of the project."""
    volumes = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    mounted = {volume.partition(":")[0] for volume in volumes if isinstance(volume, str)}
    assert mounted == set(COMPOSE["volumes"])


def test_both_stages_stand_on_one_pinned_image() -> None:
    assert {rest.split()[0] for word, rest in STEPS if word == "FROM"} == {"${PYTHON}"}
    (base,) = [rest.partition("=")[2] for word, rest in STEPS if rest.startswith("PYTHON=")]
    assert PINNED.fullmatch(base)
    assert "latest" not in (ROOT / "Dockerfile").read_text() + (ROOT / "compose.yaml").read_text()


def test_the_image_runs_as_a_fixed_user_that_is_not_root() -> None:
    user, group = only("USER").split(":")
    assert int(user) >= 10_000
    assert user == group
    assert ("COPY", f"--from=build --chown={user}:{group} /data /data") in FINAL
    assert only("RUN").startswith("apt-get "), "a layer that root writes at run time's expense"


def test_the_image_has_fonts_for_all_scripts_and_no_lists_of_packages() -> None:
    command = only("RUN")
    for fonts in ("core", "cjk", "color-emoji"):  # Thai and Indic scripts are in the first
        assert f" fonts-noto-{fonts} " in command
    assert "--no-install-recommends" in command
    assert command.endswith("rm -rf /var/lib/apt/lists/*")


@pytest.mark.parametrize("name", OURS)
def test_a_service_is_asked_for_its_health_where_it_listens(name: str) -> None:
    url = OURS[name]["healthcheck"]["test"][5:]
    command = OURS[name]["command"]
    path = "readyz" if command[0] == "mcp" else "healthz"
    assert url == ([f"http://127.0.0.1:{option(command, 'port')}/{path}"] if "--port" in command else [])


def test_the_image_stops_when_told() -> None:
    assert only("STOPSIGNAL") == "SIGTERM"
    assert only("ENTRYPOINT").startswith("["), "a shell would not pass the signal on"


def test_what_is_installed_is_what_the_lock_says() -> None:
    installs = [rest for word, rest in STEPS if word == "RUN" and rest.startswith("pip ")]
    assert [("--require-hashes" in each, "--no-index" in each) for each in installs] == [(True, False), (False, True)]
    assert all("--no-deps" in each for each in installs)


def test_the_builder_is_given_the_packages_and_nothing_else() -> None:
    everything, *given, caches, secrets = re.findall(r"^[^#\n].*$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert (everything, caches, secrets) == ("*", "**/__pycache__", "**/.env")
    packages = {"agents", "app", "graphs", "mcp_servers", "safe_http", "sample"}
    assert set(given) == {
        f"!{each}" for each in packages | {"LICENSE", "README.md", "pyproject.toml", "requirements.lock"}
    }
