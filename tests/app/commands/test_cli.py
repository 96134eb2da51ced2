"""The commands as a person types them: what they print, how they exit, what they leave behind."""

import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tests.app.command_line import (
    HELLO,
    TOLLGATE,
    all_gone,
    answered,
    background,
    environment,
    left_behind,
    seen,
    started,
    tollgate,
)
from tests.http_server import served

QUESTION = "What was our revenue in 2024?"


@pytest.mark.slow
def test_run_prints_one_json_document_and_leaves_nothing_running(tmp_path: Path) -> None:
    code, document = answered(tmp_path, "run", QUESTION)
    assert (code, document["status"], document["stop_reason"]) == (0, "completed", "answered")
    assert set(document) >= {"job_id", "report_path", "cost_usd", "model_calls", "tool_calls", "steps", "handoffs"}
    assert document["findings"]
    assert {each["id"] for each in document["evidence"]} >= set(document["findings"][0]["evidence"])
    assert (tmp_path / document["report_path"]).is_file()
    assert 0 < document["cost_usd"] < 0.25
    assert left_behind(tmp_path) == []


@pytest.mark.slow
def test_progress_goes_to_stderr(tmp_path: Path, beside: dict[str, str]) -> None:
    ended = tollgate(tmp_path, "run", QUESTION, **beside)
    for expected in ("plans 1 task", "sales.revenue_by", "findings: 1 verified"):
        assert expected in ended.stderr
    assert "stop reason  answered (completed)" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "given", "line"),
    [
        (("run", ""), {}, "error: the question is empty; ask in a full sentence"),
        (("run", "x" * 3000), {}, "error: the question has 3000 characters, the limit is 2000; shorten it"),
        (("run", QUESTION), {"TOLLGATE_MODLE": "x"}, "error: unknown setting TOLLGATE_MODLE"),
        (("run", QUESTION), {"REDIS_URL": "redis://127.0.0.1:1"}, "error: Redis at 127.0.0.1:1 cannot be used"),
        (("resume", "job-unknown"), {}, "error: there is no job job-unknown"),
        pytest.param(
            ("run", QUESTION),
            {"TOLLGATE_MODEL": "m"},
            "error: TOLLGATE_MODEL: the model m has no known price; set TOLLGATE_PRICES",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("decide", "job-unknown", "--action", "abort"),
            {},
            "error: there is no job job-unknown",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path: Path, beside: dict[str, str], arguments: tuple[str, ...], given: dict[str, str], line: str
) -> None:
    check_refused(tmp_path, line, *arguments, **beside | given)


@pytest.mark.slow
def test_data_that_a_server_cannot_read_are_bad_input_too(tmp_path: Path, beside: dict[str, str]) -> None:
    del beside["MCP__SALES__URL"]
    refused = "error: sales did not start: "
    check_refused(tmp_path, refused, "run", QUESTION, **beside, TOLLGATE_SALES_DATA="gone.csv")


def check_refused(folder: Path, line: str, *arguments: str, **settings: str) -> None:
    ended = tollgate(folder, *arguments, **settings)
    assert ended.returncode == 2
    assert ended.stderr.startswith(line), ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stdout == ""
    assert left_behind(folder) == []


@pytest.mark.parametrize(
    "option", [("--budget-usd", "0"), ("--budget-usd", "lots"), ("--deadline", "0"), ("--colour",)]
)
def test_a_bad_option_is_refused(tmp_path: Path, option: tuple[str, ...]) -> None:
    ended = tollgate(tmp_path, "run", QUESTION, *option)
    assert ended.returncode == 2
    assert option[0] in ended.stderr


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = tollgate(tmp_path, "mcp", "analytics", "--port", str(port))
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: cannot listen on 127.0.0.1:{port}")


@pytest.mark.slow
def test_on_a_day_that_is_used_up_it_says_until_when_and_how_to_go_on(tmp_path: Path, beside: dict[str, str]) -> None:
    nothing = {**beside, "TOLLGATE_TENANT_DAY_USD": "0.000001"}
    told = tollgate(tmp_path, "run", QUESTION, **nothing)
    line = r"waiting      the tenant's budget for today is used up; it begins anew at .* 00:00 UTC; "
    found = re.search(rf"{line}then, or with a larger budget, go on with: \S+ resume (job-\S+)\n", told.stdout)
    assert (told.returncode, bool(found)) == (4, True), told.stdout
    assert "job  suspended: the tenant's budget for today is used up" in told.stderr
    assert found
    assert "job  suspended: the tenant's budget" in tollgate(tmp_path, "watch", found[1], **nothing).stdout
    code, waiting = answered(tmp_path, "resume", found[1], **nothing)
    assert (code, waiting["status"], waiting["stop_reason"]) == (4, "suspended", "tenant_day_budget")
    code, ended = answered(tmp_path, "resume", found[1], **beside)
    assert (code, ended["status"]) == (0, "completed")


@pytest.mark.slow
def test_at_the_budget_it_waits_for_a_human_and_goes_on_with_the_answer(tmp_path: Path, beside: dict[str, str]) -> None:
    code, waiting = answered(tmp_path, "run", QUESTION, "--budget-usd", "0.00001", **beside)
    assert (code, waiting["status"]) == (4, "awaiting_human")
    assert waiting["escalation"]["reason"] == "budget_reached"
    job = waiting["job_id"]

    code, again = answered(tmp_path, "resume", job, **beside)
    assert (code, again["model_calls"]) == (4, waiting["model_calls"])

    refused = tollgate(tmp_path, "decide", job, "--action", "approve_more", **beside)
    assert refused.returncode == 2
    assert "error: the decision does not fit: amount_usd: Field required" in refused.stderr

    code, ended = answered(tmp_path, "decide", job, "--action", "approve_more", "--amount-usd", "0.2", **beside)
    assert (code, ended["status"]) == (0, "completed")

    late = tollgate(tmp_path, "decide", job, "--action", "abort", **beside)
    assert late.returncode == 2
    assert "waits for no decision; its status is completed" in late.stderr


@pytest.mark.slow
def test_finish_partial_ends_with_code_3_and_abort_with_1(tmp_path: Path, beside: dict[str, str]) -> None:
    for action, code, status in (("finish_partial", 3, "partial"), ("abort", 1, "failed")):
        _, waiting = answered(tmp_path, "run", QUESTION, "--budget-usd", "0.00001", **beside)
        ended, document = answered(tmp_path, "decide", waiting["job_id"], "--action", action, **beside)
        assert (ended, document["status"]) == (code, status)


BOTH = "Compare our revenue growth with the growth of the market, and forecast our revenue in 2026."


@pytest.fixture
def slow(beside: dict[str, str]) -> dict[str, str]:
    """Settings of a program that starts a model of its own, which takes its time."""
    servers = {name: value for name, value in beside.items() if name != "TOLLGATE_STAND_IN_URL"}
    return servers | {"TOLLGATE_STAND_IN_LATENCY_MS": "400"}


@pytest.mark.slow
def test_killed_and_resumed_no_finished_agent_works_again(tmp_path: Path, slow: dict[str, str]) -> None:
    with started(tmp_path, "run", BOTH, **slow) as process:
        before = seen(process, lambda line: "findings:" in line)
        process.kill()
    job = next(line.split()[-1] for line in before if line.strip().startswith("job "))
    finished = {line.split()[-1] for line in before if "finishes" in line}
    assert finished

    resumed = tollgate(tmp_path, "resume", job, **slow)
    assert resumed.returncode == 0, resumed.stderr
    for task in finished:
        assert f"starts {task}" not in resumed.stderr
    assert "finishes" in resumed.stderr
    assert left_behind(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly_and_it_says_how_to_go_on(
    tmp_path: Path, beside: dict[str, str], slow: dict[str, str], number: signal.Signals
) -> None:
    with started(tmp_path, "run", BOTH, **slow) as process:
        before = seen(process, lambda line: "starts T" in line)
        os.killpg(process.pid, number)
        after = process.communicate()[1]
    assert process.returncode == 130
    job = next(line.split()[-1] for line in before if line.strip().startswith("job "))
    assert after.rstrip().endswith(f"stopped; go on with: {TOLLGATE} resume {job}")
    assert "Traceback" not in after
    assert left_behind(tmp_path) == []
    assert tollgate(tmp_path, "resume", job, **beside).returncode == 0


@pytest.mark.slow
def test_under_nohup_in_the_background_only_sigterm_stops_it(tmp_path: Path, slow: dict[str, str]) -> None:
    ignoring = ["/bin/sh", "-c", "trap '' INT HUP; exec \"$@\"", "sh"]
    with background([*ignoring, TOLLGATE, "run", BOTH], tmp_path, signal.SIGKILL, **slow) as process:
        seen(process, lambda line: "starts T" in line)
        for number in (signal.SIGINT, signal.SIGHUP):
            os.kill(process.pid, number)
        seen(process, lambda line: "finishes T" in line)
        os.kill(process.pid, signal.SIGTERM)
        after = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert "stopped; go on with: " in after
    assert "Traceback" not in after


@pytest.mark.slow
def test_a_signal_before_the_job_begins_stops_it_as_cleanly(tmp_path: Path) -> None:
    with started(tmp_path, "run", QUESTION) as process:
        while not (tmp_path / ".data").exists() and process.poll() is None:
            pass
        os.killpg(process.pid, signal.SIGINT)
        after = process.communicate()[1]
    assert process.returncode == 130
    assert "Traceback" not in after
    assert all_gone(tmp_path)


@pytest.mark.slow
def test_resuming_an_ended_job_costs_nothing(tmp_path: Path, beside: dict[str, str]) -> None:
    _, first = answered(tmp_path, "run", QUESTION, **beside)
    code, again = answered(tmp_path, "resume", first["job_id"], **beside)
    assert code == 0
    assert again == first


@pytest.mark.slow
def test_doctor_ticks_what_it_finds(tmp_path: Path, beside: dict[str, str]) -> None:
    ended = tollgate(tmp_path, "doctor", **beside)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for part in ("agents", "model", "redis", "mcp knowledge_base", "mcp sales", "mcp analytics", "limits", "tracing"):
        assert f"✓ {part}" in ended.stdout
    assert "rules, not a language model" in ended.stdout
    assert "✓ agents, report   gpt-5-mini: a call costs USD " in ended.stdout


@pytest.mark.slow
def test_doctor_names_what_is_missing(tmp_path: Path, beside: dict[str, str]) -> None:
    gone = "http://127.0.0.1:9/mcp"
    wrong = {"TOLLGATE_MODEL": "m", "LANGSMITH_TRACING": "true", "MCP__SALES__URL": gone}
    ended = tollgate(tmp_path, "doctor", **beside | wrong)
    assert ended.returncode == 1
    assert "✗ prices           TOLLGATE_MODEL: the model m has no known price" in ended.stdout
    assert f"✗ mcp sales        {gone}: the MCP server sales does not answer" in ended.stdout
    assert "✗ tracing          LANGSMITH_TRACING is on without LANGSMITH_API_KEY" in ended.stdout


@pytest.mark.slow
def test_doctor_knows_a_page_from_a_model(tmp_path: Path, beside: dict[str, str]) -> None:
    page = Starlette(routes=[Route("/models", lambda _: HTMLResponse("<html>Welcome</html>"))])
    with served(page) as url:
        ended = tollgate(tmp_path, "doctor", **beside, OPENAI_API_KEY="sk-none", OPENAI_BASE_URL=url)
    assert ended.returncode == 1
    assert f"✗ model            {url}/ answers with a page: is OPENAI_BASE_URL missing /v1?" in ended.stdout


def test_mcp_over_stdio_speaks_only_mcp(tmp_path: Path) -> None:
    ended = subprocess.run(
        [TOLLGATE, "mcp", "analytics", "--stdio"],
        input=HELLO,
        cwd=tmp_path,
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0
    assert [line for line in ended.stdout.splitlines() if not line.startswith('{"jsonrpc":"2.0"')] == []
    assert '"name":"analytics"' in ended.stdout
