"""The handbook is run: every command of its pages, and requests against a deployment.

A command that is in none of the lists here is run by itself, on whatever page it is. MCP servers' pages and the backup
have tests of their own.
"""

import asyncio
import json
import signal
import subprocess
from pathlib import Path

import pytest
from pypdf import PdfReader

from app.running.processes import Addresses
from tests.app.api.programs import replica
from tests.app.command_line import answered, background, seen
from tests.app.queued import deployment, order, submitted
from tests.docs.pages import commands, handbook, page, run, section

pytestmark = pytest.mark.slow

ELSEWHERE = ("mcp_servers/", "docs/operating/backup.md")  # test_server_pages.py, test_backup.py
COMMANDS = list(
    dict.fromkeys(line for name in handbook() if not name.startswith(ELSEWHERE) for line in commands(page(name)))
)
QUESTION = "What was our revenue in 2025?"
# A command that serves until it is stopped, with the line that says it does.
SERVES = {
    ".venv/bin/tollgate mcp sales": "sales: http://127.0.0.1:",
    "make studio": "Studio UI",
    "make serve": "api: http://127.0.0.1:",
}
# Longer than a test may take. CI calls the first three.
LONG = (
    "make evals", "make incident", "make real-model",
    "make mutations", "--update-baseline", "make bench", "evals.bench",
)  # fmt: skip
REQUESTS = commands(section(page("docs/operating.md"), "Jobs over HTTP"))
# What a reader expects each of them to print, in their order.
ANSWERS = [
    '"id":"job-',
    '"status":"awaiting_human"',
    '{"action":"approve_more","amount_usd":0.1}',
    '"status":"completed"',
    f"# {QUESTION}",
    "",
    "job-",
    "stop reason  answered",
    "human  decides: approve_more",
    "",
    QUESTION,
    "is deleted",
    '"id":"budget-',
]


RECORD = commands(page("docs/operating/record-and-replay.md"))
DEAD = commands(page("docs/operating/dead-letters.md"))
OF_A_JOB = [each for each in COMMANDS if "$JOB" in each and each not in {*REQUESTS, *RECORD, *DEAD}]
IN_README = commands(page("README.md"))  # a test of the sample runs them, or SERVES does
HANDLED = {*IN_README, *REQUESTS, *RECORD, *DEAD, *SERVES, *OF_A_JOB}


@pytest.mark.parametrize(
    "command",
    [each for each in COMMANDS if each not in HANDLED and not any(part in each for part in LONG)],
    ids=lambda each: each[:60],
)
def test_a_command_runs(checkout: Path, beside: dict[str, str], command: str) -> None:
    ended = run(checkout, command, **beside)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout


def test_the_commands_for_a_job_run(checkout: Path, beside: dict[str, str]) -> None:
    _, waiting = answered(checkout, "run", QUESTION, "--budget-usd", "0.00001", **beside)
    still_waiting, done = 4, 0
    expected = {"resume": still_waiting, "decide": done}
    assert [each.split()[1] for each in OF_A_JOB] == list(expected)
    for command, code in zip(OF_A_JOB, expected.values(), strict=True):
        ended = run(checkout, command, JOB=waiting["job_id"], **beside)
        assert ended.returncode == code, f"{command}: {ended.stderr}"
        assert ended.stdout


def test_a_recorded_job_is_replayed_and_served(checkout: Path, beside: dict[str, str]) -> None:
    recorded, *commands = RECORD
    job = json.loads(run(checkout, recorded, **beside).stdout)
    said = [run(checkout, each, JOB=job["job_id"], **beside) for each in commands]
    assert [each.returncode for each in said] == [0] * len(commands), said
    whole, part, *_ = (int(each.stdout.removeprefix("equal: ").split()[0]) for each in said[:2])
    assert whole > part == 1
    assert f"{job['cost_usd']:.6f}" in said[-1].stdout


@pytest.mark.parametrize("command", SERVES)
def test_a_server_serves(checkout: Path, beside: dict[str, str], command: str) -> None:
    assert command in [*COMMANDS, *IN_README]
    # A server may stand on its usual port already, on the machine of whoever runs this.
    anywhere = {"make studio": command, "make serve": "$(make -sn serve) --port 0"}.get(command, f"{command} --port 0")
    with background(["/bin/sh", "-c", f"exec {anywhere} 1>&2"], checkout, signal.SIGINT, **beside) as process:
        seen(process, lambda line: SERVES[command] in line)


def test_the_requests_are_answered(copy: Path, addresses: Addresses) -> None:
    with deployment(copy, servers=addresses.servers) as here, replica(here) as api, here.worker():
        settings = {"TOLLGATE_URL": api.url}
        code, waiting = answered(copy, "submit", QUESTION, "--budget-usd", "0.00001", "--wait", **settings)
        assert code == 4
        settings = {"JOB": waiting["id"]}
        for line, expected in zip(REQUESTS, ANSWERS, strict=True):
            command = line.replace("http://127.0.0.1:8000", api.url)
            if command.startswith("export "):
                name, _, value = command.removeprefix("export ").partition("=")
                settings[name] = value
            ended = run(copy, command, **settings)
            assert ended.returncode == 0, f"{command}: {ended.stderr}"
            assert expected in ended.stdout, f"{command}: {ended.stdout}"
    assert QUESTION in PdfReader(copy / "report.pdf").pages[0].extract_text()


async def test_dead_letters_are_inspected_requeued_and_discarded(copy: Path, addresses: Addresses) -> None:
    with deployment(copy, servers=addresses.servers) as here, replica(here) as api:
        async with here.service() as service:
            jobs = [(await submitted(service, order(here.settings, QUESTION, "local")))[0].job_id for _ in range(2)]
            for job_id in jobs:
                await service.records.write(job_id, {"status": "dead", "attempts": 3, "last_error": "it broke"})
                await service.registry.bury("local", job_id)
            listed, watched, requeue, discard = (each.replace("http://127.0.0.1:8000", api.url) for each in DEAD)
            letters = json.loads((await _typed(copy, listed)).stdout)["items"]
            assert {each["id"]: each["last_error"] for each in letters} == dict.fromkeys(jobs, "it broke")
            assert (await _typed(copy, discard, JOB=jobs[1])).stdout
            assert json.loads((await _typed(copy, requeue, JOB=jobs[0])).stdout)["status"] == "queued"
            with here.worker():
                assert "stop reason  answered" in (await _typed(copy, watched, JOB=jobs[0])).stdout
            assert [(await service.records.get(each)).status for each in jobs] == ["completed", "failed"]
            assert json.loads((await _typed(copy, listed)).stdout)["items"] == []


async def _typed(folder: Path, command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command that succeeds, typed while the service of this process goes on."""
    ended = await asyncio.to_thread(run, folder, command, **settings)
    assert ended.returncode == 0, f"{command}: {ended.stderr}"
    return ended
