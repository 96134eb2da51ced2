"""An address of the settings may hold a password, which nobody but its server is to see."""

import re
import signal
from pathlib import Path

import pytest
import redis

from safe_http.shown import shown
from tests.app.command_line import TOLLGATE, background, processes, seen, tollgate
from tests.app.queued import QUESTION, Deployment, deployment

PASSWORD = "geheim7"


def with_password(url: str) -> str:
    return url.replace("://", f"://app:{PASSWORD}@")


def settings_of(here: Deployment) -> dict[str, str]:
    """Everything that takes an address has one with a password; nobody listens where no job needs it."""
    nowhere = f"http://app:{PASSWORD}@127.0.0.1:9"
    with redis.Redis.from_url(here.redis_url) as admin:
        admin.acl_setuser(
            "app", enabled=True, passwords=[f"+{PASSWORD}"], keys=["*"], channels=["*"], categories=["+@all"]
        )
    return {
        "REDIS_URL": with_password(here.redis_url),
        "OPENAI_BASE_URL": with_password(here.model),
        "TOLLGATE_STAND_IN_URL": nowhere,
        "TOLLGATE_FALLBACK_MODEL": "gpt-5-nano",
        "TOLLGATE_FALLBACK_BASE_URL": nowhere,
        "TAVILY_API_KEY": "tvly-0",
        "SEARXNG_URL": nowhere,
        "TOLLGATE_WEB_SEARCH_URL": nowhere,
        "MCP__ANALYTICS__URL": f"http://127.0.0.1:9/mcp?t={PASSWORD}",  # no pattern of a log knows it
        "LANGSMITH_TRACING": "true",
        "LANGSMITH_API_KEY": "lsv2_0",
        "LANGSMITH_ENDPOINT": nowhere,
    }


@pytest.mark.slow
def test_no_program_and_no_line_shows_one(tmp_path: Path, beside: dict[str, str]) -> None:
    with deployment(tmp_path) as here:
        given = settings_of(here) | {"MCP__SALES__URL": beside["MCP__SALES__URL"]}
        with background([TOLLGATE, "serve", "--port", "0"], tmp_path, signal.SIGTERM, **given) as process:
            said = seen(process, lambda line: line.startswith("api: http"))
            commands = processes(tmp_path)
            process.send_signal(signal.SIGTERM)
            said += process.communicate(timeout=60)
        given |= {
            f"MCP__{name.upper()}__URL": given["MCP__ANALYTICS__URL"] for name in ("knowledge_base", "sales", "web")
        }
        doctor = tollgate(tmp_path, "doctor", **given)
        away = {"OPENAI_BASE_URL": given["TOLLGATE_STAND_IN_URL"], "TOLLGATE_OUTAGE_S": "0"}
        run = tollgate(tmp_path, "run", QUESTION, "--on-limit", "finish_partial", **given | away)
        with redis.Redis.from_url(here.redis_url) as admin:
            keys = " ".join(map(str, admin.scan_iter()))
    assert "tollgate:breaker:http://127.0.0.1:9" in keys
    logs = {path.name: path.read_text() for path in (tmp_path / ".data" / "logs").iterdir()}
    assert {"web.log", "knowledge_base.log", "embeddings.log"} == set(logs)
    assert "mcp_servers.web" in " ".join(commands.values())
    assert "127.0.0.1:9/mcp" in doctor.stdout, "where it is may be seen"
    assert "LangSmith" in run.stderr, "a library tells where it fails"
    everything = [*commands.values(), *said, doctor.stdout, doctor.stderr, run.stdout, run.stderr, *logs.values(), keys]
    assert not [each for each in everything if PASSWORD in each]


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("http://user:secret@host:80/mcp?key=secret#secret", "http://host:80/mcp"),
        ("https://secret@host", "https://host"),
        ("http://a:secret@one/mcp,http://b:secr,et@two/mcp", "http://one/mcp,http://two/mcp"),
        ("redis://:se/secret@host/0", "redis://…"),
        ("redis://:se?secret@host/0", "redis://…"),
        ("unix://app:secret@/data/valkey.sock?password=secret", "unix:///data/valkey.sock"),
        ("npx server --token secret", "npx"),
        ("http://127.0.0.1:7800/v1", "http://127.0.0.1:7800/v1"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(address: str, safe: str) -> None:
    assert shown(address) == safe
    assert not re.search("secret", shown(address))
