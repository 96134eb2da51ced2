"""README.md is run: its commands, its output, its diffs and its picture."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pypdf import PdfReader

from app.running.processes import Addresses
from evals.incident.drills import DRILLS
from tests.api.programs import replica
from tests.app.command_line import answered, background, environment, seen
from tests.app.queued import deployment
from tests.scripted_model import REPORT, Script, assign, quoting, revenue, serving, task

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [path for path in ROOT.glob("**/*.md") if not {".venv", ".data", "prompts"} & set(path.parts)]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# A command that serves until it is stopped, with the line that says it does.
SERVES = {
    ".venv/bin/tollgate mcp sales": "sales: http://127.0.0.1:",
    "make studio": "Studio UI",
    "make serve": "api: http://127.0.0.1:",
}
# What runs this test cannot be run by it; the drills and the real model take longer than a test may. CI calls them.
SHOWN = "make demo"  # with its output
RUNS_US = {"make test", "make test-all", "make incident", "make real-model"}


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(README) if name == language]


COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]
OVER_HTTP = README.partition("## Call it over HTTP")[2].partition("\n## ")[0]
REQUESTS = [
    line for name, text in BLOCK.findall(OVER_HTTP) if name == "sh" for line in text.splitlines() if line not in SERVES
]
# What a reader expects each of them to print, in their order.
ANSWERS = [
    '"id":"job-',
    '"status":"awaiting_human"',
    '{"action":"approve_more","amount_usd":0.1}',
    '"status":"completed"',
    "# Did we hit our targets in Italy in 2025?",
    "",
    "job-",
    "stop reason  answered",
    "human  decides: approve_more",
    "",
    "Did we hit our targets in Italy in 2025?",
]
DIFFS = dict(zip(("agent", "data", "model", "budget"), blocks("diff"), strict=True))


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all commands that leave it as it is."""
    return copied_to(tmp_path_factory.mktemp("readme"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """One of its own, for a test that changes it."""
    return copied_to(tmp_path)


def copied_to(folder: Path) -> Path:
    """A checkout with the environment that is already built."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        target = folder / "copy" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)
    (folder / "copy" / ".venv").symlink_to(ROOT / ".venv")
    for name in ("pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        # Older than the environment: make must not install this copy into it.
        os.utime(folder / "copy" / name, (0, 0))
    return folder / "copy"


def run(folder: Path, command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env=environment({"COLUMNS": "400", **settings}),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def applied(folder: Path, diff: str) -> None:
    """Apply a diff of the README as a reader would."""
    subprocess.run(["git", "apply", "--unidiff-zero", "-"], input=diff, text=True, cwd=folder, check=True)


def tollgate(folder: Path, arguments: str) -> subprocess.CompletedProcess[str]:
    """The program of this copy: its own modules, not those of the installed checkout."""
    return run(folder, f"{sys.executable} -m app.cli {arguments}")


@pytest.mark.slow
@pytest.mark.parametrize("command", [each for each in COMMANDS if each not in {*SERVES, *RUNS_US, *REQUESTS, SHOWN}])
def test_a_command_runs(checkout: Path, command: str) -> None:
    settings = {}
    if "$JOB" in command:
        _, waiting = answered(checkout, "run", "Did we hit our targets in Italy in 2025?", "--budget-usd", "0.00001")
        settings["JOB"] = waiting["job_id"]
    ended = run(checkout, command, **settings)
    assert ended.returncode == (4 if "resume" in command else 0), ended.stderr
    assert ended.stdout


@pytest.mark.slow
def test_the_requests_are_answered(copy: Path, addresses: Addresses) -> None:
    with deployment(copy, servers=addresses.servers) as here, replica(here) as api, here.worker():
        settings = {"TOLLGATE_URL": api.url}
        code, waiting = answered(
            copy, "submit", "Did we hit our targets in Italy in 2025?", "--budget-usd", "0.00001", "--wait", **settings
        )
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
    assert "targets in Italy" in PdfReader(copy / "report.pdf").pages[0].extract_text()


@pytest.mark.slow
@pytest.mark.parametrize("command", SERVES)
def test_a_server_serves(checkout: Path, command: str) -> None:
    assert command in COMMANDS
    # A server may stand on its usual port already, on the machine of whoever runs this.
    anywhere = {"make studio": command, "make serve": "$(make -sn serve) --port 0"}.get(command, f"{command} --port 0")
    with background(["/bin/sh", "-c", f"exec {anywhere} 1>&2"], checkout) as process:
        seen(process, lambda line: SERVES[command] in line)


def test_the_test_command_is_the_one_that_ci_calls() -> None:
    assert set(COMMANDS) >= RUNS_US
    assert {line.partition(" ASK=")[0] for line in (ROOT / ".ci" / "run").read_text().splitlines()} >= RUNS_US - {
        "make test"
    }


def test_the_table_of_drills_is_the_one_that_is_printed() -> None:
    table = README.partition("<!-- incident -->")[2].partition("<!-- /incident -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if "| `" in line]
    assert [(row[0], row[4].strip("`")) for row in rows] == [(each.name, each.reason) for each in DRILLS]


def test_the_output_is_as_printed(checkout: Path) -> None:
    assert SHOWN in COMMANDS
    ended = run(checkout, SHOWN)
    assert ended.returncode == 0, ended.stderr
    printed = {normal(line) for line in (ended.stderr + ended.stdout).splitlines()}
    shown = [line for block in blocks("text") for line in block.splitlines()]
    assert len(shown) > 15
    assert [line for line in shown if normal(line) not in printed] == []


def normal(line: str) -> str:
    """Without what differs from run to run: times, and ids of evidence that agents gather at once."""
    return re.sub(r"\bE\d+\b", "E#", re.sub(r"\d+ ms", "# ms", line))


@pytest.mark.parametrize("name", DIFFS)
def test_a_diff_is_short(name: str) -> None:
    changed = [line for line in DIFFS[name].splitlines() if re.match(r"[+-](?![+-]{2} )", line)]
    assert 0 < len(changed) <= 15


@pytest.mark.slow
def test_adding_an_agent(copy: Path) -> None:
    applied(copy, DIFFS["agent"])
    found = tollgate(copy, "doctor")
    assert "✓ agents           researcher, sales, analyst, pricing" in found.stdout
    conforms = run(copy, f"{sys.executable} -m pytest -q tests/agents -k 'pricing or names or prompt or list'")
    assert conforms.returncode == 0, conforms.stdout


@pytest.mark.slow
def test_swapping_a_data_source(copy: Path) -> None:
    applied(copy, DIFFS["data"])
    missing = tollgate(copy, "run 'What was our revenue in Oslo?'")
    assert missing.returncode == 2
    (copy / "our" / "documents").mkdir(parents=True)
    (copy / "our" / "documents" / "prices.md").write_text("# Prices\n\nOur charger costs EUR 700 in Oslo in 2025.\n")
    (copy / "our" / "orders.csv").write_text(
        "Order Date,City,Revenue (EUR)\n2025-01-31,Oslo,120.50\n2025-02-01,Bergen,80\n"
    )
    found = tollgate(copy, "doctor")
    assert found.returncode == 0, found.stdout + found.stderr
    ended = tollgate(copy, "run 'What do published sources say about charger prices in Oslo?' --json")
    assert "EUR 700" in ended.stdout


@pytest.mark.slow
def test_changing_the_model(copy: Path) -> None:
    applied(copy, DIFFS["model"])
    env = copy / ".env"
    given = env.read_text()
    assert "OPENAI_BASE_URL=http://127.0.0.1:8000/v1" in given
    plan = assign(task(1, "sales"))
    script = Script(lambda packet, _: REPORT if packet["tasks"] else plan, revenue, quoting)
    with serving(script) as url:
        env.write_text(given.replace("http://127.0.0.1:8000/v1", url))
        found = tollgate(copy, "doctor")
        assert f"✓ model            our-model, planning with our-model, from {url}" in found.stdout
        ended = tollgate(copy, "run 'What was our revenue in 2024?' --json")
    assert {each["model"] for each in script.requests} == {"our-model"}
    assert (
        json.loads(ended.stdout)["cost_usd"] == 0.0014
    )  # five times 1000 tokens in, 100 out, at the price of the diff
    gone = tollgate(copy, "doctor")
    assert f"✗ model            {url} does not answer" in gone.stdout


@pytest.mark.slow
def test_changing_a_budget(copy: Path) -> None:
    applied(copy, DIFFS["budget"])
    found = tollgate(copy, "doctor")
    assert "✓ limits           USD 0.10, 600 s" in found.stdout
    assert "at a limit: finish_partial" in found.stdout


def test_the_generated_parts_are_up_to_date() -> None:
    checked = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = [each for each in re.findall(r"\]\(([^)#]+)\)", text) if not each.startswith("http")]
    assert [each for each in targets if not (page.parent / each).exists()] == []


def test_the_ownership_page_names_files_that_exist() -> None:
    named = re.findall(
        r"`((?:agents|graphs|app|mcp_servers|safe_http|evals|deploy|docs)/[\w/.]+)`", (ROOT / "AGENTS.md").read_text()
    )
    assert len(named) > 20
    assert [each for each in named if not (ROOT / each).exists()] == []
