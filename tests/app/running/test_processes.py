"""The programs started beside a job: what they are handed, and what they write."""

import signal
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from app.config.settings import Settings
from app.running.processes import running
from tests.app.command_line import seen, started
from tests.mcp_servers.program import HEADERS, SECONDS, SECRET, bearer, call, request, token

ELSEWHERE: dict[str, Any] = {name: {"url": "http://127.0.0.1:9/mcp"} for name in ("knowledge_base", "sales")}
GROWTH = call("growth", series={"points": [{"label": "2023", "value": 10}, {"label": "2024", "value": 15}]})


def alone(folder: Path, **settings: Any) -> Settings:
    """Settings with which the analytics server is the only program to start."""
    url = "http://127.0.0.1:9/v1"
    return Settings(_env_file=None, data_dir=folder, stand_in_url=url, MCP=ELSEWHERE, **settings)


def post(url: str, message: dict[str, Any], **headers: str) -> httpx.Response:
    return httpx.post(url, json=message, headers={**HEADERS, **headers}, timeout=SECONDS)


def test_a_server_asks_for_tokens_signed_with_the_secret_of_the_settings(tmp_path: Path) -> None:
    with running(alone(tmp_path, mcp_secret=SecretStr(SECRET))) as addresses:
        url = addresses.servers["analytics"]
        assert post(url, request("tools/list")).status_code == 401
        assert post(url, request("tools/list"), **bearer(token("analytics"))).status_code == 200


def test_calls_do_not_fill_the_disk_with_log_lines(tmp_path: Path) -> None:
    with running(alone(tmp_path)) as addresses:
        answer = post(addresses.servers["analytics"], GROWTH)
    assert answer.json()["result"]["isError"] is False
    assert (tmp_path / "logs" / "analytics.log").read_text() == ""


def test_the_command_hands_over_the_secret_of_the_env_file_and_options_of_the_server(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"TOLLGATE_MCP_SECRET={SECRET}\n")
    options = ("--host", "0.0.0.0", "--port", "0", "--max-calls", "3")
    with started(tmp_path, "mcp", "analytics", *options) as process:
        *_, line = seen(process, lambda line: "analytics: http://" in line)
        port = line.strip().removesuffix("/mcp").rpartition(":")[2]
        url = f"http://127.0.0.1:{port}/mcp"
        assert post(url, GROWTH).status_code == 401
        assert post(url, GROWTH, **bearer(token("analytics"))).status_code == 200
        assert "--max-calls\x003" in Path(f"/proc/{process.pid}/cmdline").read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
