"""Dockerfile and compose.yaml: valid, pinned, bounded, unprivileged, and in step with the settings."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from app.config import ports
from app.config import settings as configuration
from app.config.servers import NAMES, SERVERS
from app.config.settings import Settings
from deploy.dockerfile import Ignore, Step, parse
from mcp_servers.base.serving import parser

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
STEPS = parse((ROOT / "Dockerfile").read_text())
FINAL = STEPS[max(number for number, step in enumerate(STEPS) if step.word == "FROM") :]
IGNORE = Ignore((ROOT / ".dockerignore").read_text())
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
PINNED = re.compile(r"[a-z/.]+:\d+\.\d+\.\d+(-[a-z]+)*(@sha256:[0-9a-f]{64})?")
UNITS = {"k": 2**10, "m": 2**20, "g": 2**30}

KEPT_BACK = [
    *(".env", "app/.env", ".git/config", ".venv/bin/python", ".data/reports/x.md", "app/__pycache__/cli.pyc"),
    *("graphs/nodes/__pycache__/x.pyc", "tests/conftest.py", "evals/run.py", "docs/generate.py", "compose.yaml"),
]

every_service = pytest.mark.parametrize("name", SERVICES)


def only(word: str) -> Step:
    """The one step of the final stage with this word."""
    (found,) = [step for step in FINAL if step.word == word]
    return found


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
    assert f"org.opencontainers.image.version={VERSION}" in only("LABEL").arguments


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
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {each.name for each in optional}
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
    assert published == {"api": [f"127.0.0.1:{ports.API}:{ports.API}"]}
    assert only("EXPOSE").rest == str(ports.API)


def test_who_is_called_shares_a_network_with_the_caller_and_listens_on_that_port() -> None:
    for caller, host, port in addresses():
        if caller == "api" and host != "redis":
            continue  # it has the settings of a worker, and leaves the work to workers
        assert set(SERVICES[caller]["networks"]) & set(SERVICES[host]["networks"]), f"{caller} cannot reach {host}"
        assert port == (6379 if host == "redis" else int(option(SERVICES[host]["command"], "port")))


def test_what_has_no_password_is_on_networks_without_a_way_out() -> None:
    closed = {name for name, network in COMPOSE["networks"].items() if network and network["internal"]}
    for name in ("redis", "sales", "analytics", "stand-in"):
        assert set(SERVICES[name]["networks"]) <= closed
    assert [name for name, service in SERVICES.items() if "store" in service["networks"]] == ["api", "worker", "redis"]


def test_every_program_listens_where_it_does_by_default() -> None:
    listening = {
        name: int(option(service["command"], "port"))
        for name, service in OURS.items()
        if "--port" in service["command"]
    }
    servers = {name.replace("_", "-"): port for name, port in ports.MCP.items()}
    assert listening == {"api": ports.API, "stand-in": ports.STAND_IN, **servers}
    assert only("CMD").arguments == SERVICES["api"]["command"]


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
    mounted = {volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert mounted == set(COMPOSE["volumes"])


def test_both_stages_stand_on_one_pinned_image() -> None:
    assert {step.arguments[0] for step in STEPS if step.word == "FROM"} == {"${PYTHON}"}
    (base,) = [step.rest.partition("=")[2] for step in STEPS if step.rest.startswith("PYTHON=")]
    assert PINNED.fullmatch(base)
    assert "latest" not in (ROOT / "Dockerfile").read_text() + (ROOT / "compose.yaml").read_text()


def test_the_image_runs_as_a_fixed_user_that_is_not_root() -> None:
    user, group = only("USER").rest.split(":")
    assert int(user) >= 10_000
    assert user == group
    data = next(step for step in FINAL if step.word == "COPY" and step.rest.endswith("/data"))
    assert data.flags["chown"] == f"{user}:{group}"
    (packages,) = [step.rest for step in FINAL if step.word == "RUN"]
    assert packages.startswith("apt-get "), "a layer that root writes at run time's expense"


def test_the_image_has_fonts_for_all_scripts_and_no_lists_of_packages() -> None:
    command = only("RUN").rest
    for fonts in ("core", "cjk", "color-emoji"):  # Thai and Indic scripts are in the first
        assert f" fonts-noto-{fonts} " in command
    assert "--no-install-recommends" in command
    assert command.endswith("rm -rf /var/lib/apt/lists/*")


def test_the_image_checks_its_health_and_stops_when_told() -> None:
    assert only("HEALTHCHECK").rest.endswith('CMD ["python", "-P", "-m", "app.healthcheck"]')
    assert {tuple(service["healthcheck"]["test"][1:]) for service in OURS.values()} == {
        ("python", "-P", "-m", "app.healthcheck")
    }
    assert only("STOPSIGNAL").rest == "SIGTERM"
    assert only("ENTRYPOINT").rest.startswith("["), "a shell would not pass the signal on"


def test_what_is_installed_is_what_the_lock_says() -> None:
    installs = [step.rest for step in STEPS if step.word == "RUN" and step.rest.startswith("pip ")]
    assert [("--require-hashes" in each, "--no-index" in each) for each in installs] == [(True, False), (False, True)]
    assert all("--no-deps" in each for each in installs)


@pytest.mark.parametrize("path", KEPT_BACK)
def test_the_builder_is_not_given(path: str) -> None:
    assert not IGNORE.lets_through(PurePosixPath(path))


def test_the_builder_is_given_every_file_of_the_packages() -> None:
    packages = ["agents", "app", "graphs", "mcp_servers", "safe_http"]
    listed = subprocess.run(["git", "ls-files", *packages], cwd=ROOT, capture_output=True, text=True, check=True)
    alone = ["LICENSE", "README.md", "pyproject.toml", "requirements.lock"]
    assert set(map(str, IGNORE.files(ROOT))) >= {*listed.stdout.split(), *alone}


@given(st.lists(st.from_regex(r"[a-z._]{1,8}", fullmatch=True).filter(lambda name: name.strip(".")), min_size=1))
def test_a_folder_that_is_ignored_takes_everything_in_it_along(names: list[str]) -> None:
    path = PurePosixPath(*names)
    assert not Ignore("kept_by_nobody\n*").lets_through(path)
    assert Ignore(f"*\n!{names[0]}").lets_through(path)
    assert not Ignore(f"*\n!{names[0]}\n**/{names[-1]}").lets_through(path)


def test_a_step_is_read_over_lines_and_with_flags() -> None:
    text = '# comment\nLABEL a=b \\\n  # between\n  c=\'d e\'\nCOPY --from=x --chown=1:1 /a /a\nCMD ["a b", "c"]\n'
    label, copy, command = parse(text)
    assert label.arguments == ["a=b", "c=d e"]
    assert (copy.flags, copy.arguments) == ({"from": "x", "chown": "1:1"}, ["/a", "/a"])
    assert command.arguments == ["a b", "c"]


def test_an_instruction_that_is_not_understood_is_not_skipped() -> None:
    with pytest.raises(ValueError, match="ADD http"):
        parse("FROM a\nADD http://example.org/x /x\n")
