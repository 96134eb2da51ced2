"""docs/extending.md is done: each diff is applied to a checkout, and what it promises is looked at."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import blocks, page, run, section, tollgate
from tests.scripted_model import REPORT, Script, assign, quoting, revenue, serving, task

pytestmark = pytest.mark.slow

PAGE = page("docs/extending.md")
HEADINGS = [
    heading for heading in re.findall(r"^## (.+)$", PAGE, re.MULTILINE) if blocks(section(PAGE, heading), "diff")
]


def applied(folder: Path, heading: str) -> None:
    """Apply the diffs under this heading, as a reader would."""
    for diff in blocks(section(PAGE, heading), "diff"):
        subprocess.run(["git", "apply", "--unidiff-zero", "-"], input=diff, text=True, cwd=folder, check=True)


def passes(folder: Path, *tests: str) -> None:
    ended = run(folder, f"{sys.executable} -m pytest -q -n0 -p no:randomly {' '.join(tests)}", PYTHONPATH=str(folder))
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_recipe_touches_few_files_and_passes_the_linter(copy: Path, heading: str) -> None:
    applied(copy, heading)
    for diff in blocks(section(PAGE, heading), "diff"):
        assert len(re.findall(r"^\+\+\+ b/", diff, re.MULTILINE)) <= 4
    for command in ("check", "format --check"):
        ended = run(copy, f"{sys.executable} -m ruff {command}")
        assert ended.returncode == 0, ended.stdout


def test_adding_an_agent(copy: Path) -> None:
    applied(copy, "Add an agent")
    found = tollgate(copy, "doctor")
    assert "✓ agents           researcher, sales, analyst, pricing" in found.stdout
    passes(copy, "tests/agents")


def test_changing_a_prompt(copy: Path) -> None:
    applied(copy, "Change a prompt")
    plan = assign(task(1, "sales"))
    script = Script(lambda packet, _: REPORT if packet["tasks"] else plan, revenue, quoting)
    with serving(script) as url:
        settings = {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": url}
        assert tollgate(copy, "run 'What was our revenue in 2024?'", **settings).returncode == 0
    assert any("board of directors" in json.dumps(each["messages"]) for each in script.requests)


def test_using_your_own_data(copy: Path) -> None:
    applied(copy, "Use your own data")
    missing = tollgate(copy, "run 'What was our revenue in the North?'")
    assert missing.returncode == 2
    (copy / "our" / "documents").mkdir(parents=True)
    (copy / "our" / "documents" / "prices.md").write_text("# Prices\n\nOur bench costs EUR 700 in the North in 2025.\n")
    (copy / "our" / "orders.csv").write_text(
        "Order Date,Region,Revenue (EUR)\n2025-01-31,North,120.50\n2025-02-01,South,80\n"
    )
    found = tollgate(copy, "doctor")
    assert found.returncode == 0, found.stdout + found.stderr
    ended = tollgate(copy, "run 'What does a bench cost in the North?' --json")
    assert "EUR 700" in ended.stdout


def test_changing_the_model(copy: Path) -> None:
    applied(copy, "Change the model")
    env = copy / ".env"
    given = env.read_text()
    plan = assign(task(1, "sales"))
    script = Script(lambda packet, _: REPORT if packet["tasks"] else plan, revenue, quoting)
    with serving(script) as url:
        env.write_text(given.replace("http://127.0.0.1:8000/v1", url))
        found = tollgate(copy, "doctor")
        assert f"✓ model            our-model, planning with our-model, from {url}" in found.stdout
        ended = tollgate(copy, "run 'What was our revenue in 2024?' --json")
    assert {each["model"] for each in script.requests} == {"our-model"}
    # five times 1000 tokens in, 100 out, at the price of the diff
    assert json.loads(ended.stdout)["cost_usd"] == 0.0014
    assert f"✗ model            {url} does not answer" in tollgate(copy, "doctor").stdout


def test_changing_a_budget(copy: Path) -> None:
    applied(copy, "Change a budget")
    found = tollgate(copy, "doctor")
    assert "✓ limits           USD 0.10, 600 s" in found.stdout
    assert "at a limit: finish_partial" in found.stdout


def test_somebody_elses_server(copy: Path) -> None:
    applied(copy, "Use somebody else's MCP server")
    ended = tollgate(copy, "run 'What is the current datetime in Asia/Tokyo?' --json")
    found = json.loads(ended.stdout)
    assert {each["server"] for each in found["evidence"]} == {"clock"}, ended.stderr
    assert any("+09:00" in each["claim"] for each in found["findings"])


def test_a_server_of_your_own(copy: Path) -> None:
    applied(copy, "Write an MCP server")
    ended = tollgate(copy, "run 'How many pieces of each product are in stock in the warehouse?' --json")
    found = json.loads(ended.stdout)
    assert "stock" in {each["server"] for each in found["evidence"]}, ended.stderr
    assert any("42" in each["claim"] for each in found["findings"])
    passes(copy, "tests/mcp_servers/test_conformance.py -k stock", "tests/deploy/test_container.py")


def test_a_limit(copy: Path) -> None:
    applied(copy, "Add a limit")
    run(copy, f"{sys.executable} docs/generate.py", PYTHONPATH=str(copy))
    assert "TOLLGATE_JOB_FINDINGS" in (copy / ".env.example").read_text()
    assert "`finding_limit`" in (copy / "docs" / "limits.md").read_text()
    passes(copy, "tests/app/test_limits.py")


def test_a_setting(copy: Path) -> None:
    applied(copy, "Add a setting")
    run(copy, f"{sys.executable} docs/generate.py", PYTHONPATH=str(copy))
    assert "# TOLLGATE_TITLE=Tollgate" in (copy / ".env.example").read_text()
    passes(copy, "tests/app/config/test_settings.py")


def test_a_node(copy: Path) -> None:
    applied(copy, "Add a graph node")
    run(copy, f"{sys.executable} docs/generate.py", PYTHONPATH=str(copy))
    assert "verify_report -. &nbsp;finish&nbsp; .-> announce;" in (copy / "README.md").read_text()
    ended = tollgate(copy, "run 'What was our revenue in 2025?'")
    assert ended.returncode == 0, ended.stderr
    assert "is ready at" in ended.stderr


def test_a_route(copy: Path) -> None:
    applied(copy, "Add a route")
    passes(copy, "tests/app/api/test_contract.py")
