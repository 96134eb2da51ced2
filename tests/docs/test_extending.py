"""docs/extending.md is done: each diff is applied to a checkout, and what it promises is looked at."""

import contextlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.store.embedded_redis import embedded_redis
from tests.app.command_line import background, seen
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


def answer(folder: Path, question: str, **settings: str) -> dict[str, Any]:
    """The document that `tollgate run` prints in this copy."""
    ended = tollgate(folder, f"run '{question}' --json", **settings)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def passes(folder: Path, *tests: str) -> None:
    quick = "-q -n0 -p no:randomly -p no:schemathesis -p no:langsmith_plugin"  # these take a second to import
    ended = run(folder, f"{sys.executable} -m pytest {quick} {' '.join(tests)}", PYTHONPATH=str(folder))
    assert ended.returncode == 0, ended.stdout


@contextlib.contextmanager
def serving_api(folder: Path, **settings: str) -> Iterator[str]:
    """The address of the API of this copy."""
    command = [sys.executable, "-m", "app.cli", "api", "--port", "0"]
    with embedded_redis(folder / ".data") as redis_url:
        given = {"REDIS_URL": redis_url, "PYTHONPATH": str(folder), **settings}
        with background(command, folder, signal.SIGINT, **given) as process:
            yield seen(process, lambda line: line.startswith("api: http"))[-1].removeprefix("api: ").strip()


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_recipe_touches_few_files_and_passes_the_linter(copy: Path, heading: str) -> None:
    applied(copy, heading)
    touched = [re.findall(r"^\+\+\+ b/(.+)", diff, re.MULTILINE) for diff in blocks(section(PAGE, heading), "diff")]
    assert all(len(each) <= 4 for each in touched)
    modules = " ".join({name for each in touched for name in each if name.endswith(".py")})
    for command in ("check", "format --check") if modules else ():
        ended = run(copy, f"{sys.executable} -m ruff {command} {modules}")
        assert ended.returncode == 0, ended.stdout


def test_adding_an_agent(copy: Path, beside: dict[str, str]) -> None:
    applied(copy, "Add an agent")
    found = answer(copy, "What do competitors charge for public charging?", **beside)
    assert any(each["agent"] == "pricing" for each in found["findings"]), found["gaps"]
    passes(copy, "tests/agents -k 'not described'")  # which would start all servers; the answer came by its tools


def test_changing_a_prompt(copy: Path, beside: dict[str, str]) -> None:
    applied(copy, "Change a prompt")
    script = scripted()
    with serving(script) as url:
        settings = {**beside, "OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": url}
        answer(copy, "What was our revenue in 2024?", **settings)
    assert any("board of directors" in json.dumps(each["messages"]) for each in script.requests)


def test_using_your_own_data(copy: Path, beside: dict[str, str]) -> None:
    applied(copy, "Use your own data")
    (copy / "our" / "documents").mkdir(parents=True)
    (copy / "our" / "documents" / "prices.md").write_text("# Prices\n\nOur bench costs EUR 700 in the North in 2025.\n")
    (copy / "our" / "orders.csv").write_text(
        "Order Date,Region,Revenue (EUR)\n2025-01-31,North,120.50\n2025-02-01,South,80\n"
    )
    for server, question, said in (
        ("SALES", "What was our revenue in the North?", "120.5"),
        ("KNOWLEDGE_BASE", "What does a bench cost in the North?", "EUR 700"),
    ):
        others = {name: value for name, value in beside.items() if name != f"MCP__{server}__URL"}
        found = answer(copy, question, **others)
        assert said in found["findings"][0]["claim"], found["gaps"]


def test_changing_the_model(copy: Path, beside: dict[str, str]) -> None:
    applied(copy, "Change the model")
    env = copy / ".env"
    script = scripted()
    with serving(script) as url:
        env.write_text(env.read_text().replace("http://127.0.0.1:11434/v1", url))
        found = answer(copy, "What was our revenue in 2024?", **beside)
    assert {each["model"] for each in script.requests} == {"our-model"}
    # five times 1000 tokens in, 100 out, at the price of the diff
    assert found["cost_usd"] == 0.0014


def test_changing_a_budget(copy: Path, beside: dict[str, str]) -> None:
    applied(copy, "Change a budget")
    found = tollgate(copy, "doctor", **beside)
    assert "✓ limits           USD 0.10, 600 s" in found.stdout
    assert "at a limit: finish_partial" in found.stdout


def test_somebody_elses_server(copy: Path, beside: dict[str, str]) -> None:
    applied(copy, "Use somebody else's MCP server")
    found = answer(copy, "What is the current datetime in Asia/Tokyo?", **beside)
    assert {each["server"] for each in found["evidence"]} == {"clock"}
    assert any("+09:00" in each["claim"] for each in found["findings"])


def test_a_server_of_your_own(copy: Path, beside: dict[str, str]) -> None:
    applied(copy, "Write an MCP server")
    found = answer(copy, "How many pieces of each product are in stock in the warehouse?", **beside)
    assert "stock" in {each["server"] for each in found["evidence"]}
    assert any("42" in each["claim"] for each in found["findings"])
    both = "tests/mcp_servers/test_conformance.py tests/deploy/test_container.py"
    passes(copy, f"{both} -k 'stock or takes_part or container'")


def test_a_limit(copy: Path) -> None:
    applied(copy, "Add a limit")
    run(copy, f"{sys.executable} docs/generate.py", PYTHONPATH=str(copy))  # as after any new setting
    assert "TOLLGATE_JOB_FINDINGS" in (copy / ".env.example").read_text()
    assert "`finding_limit`" in (copy / "docs" / "limits.md").read_text()
    passes(copy, "tests/app/test_limits.py")


def test_a_setting(copy: Path) -> None:
    applied(copy, "Add a setting")
    with serving_api(copy, TOLLGATE_TITLE="Acme") as url:
        assert httpx.get(f"{url}/openapi.json").json()["info"]["title"] == "Acme"


def test_a_node(copy: Path, beside: dict[str, str]) -> None:
    applied(copy, "Add a graph node")
    run(copy, f"{sys.executable} docs/generate.py", PYTHONPATH=str(copy))
    assert "verify_report -. &nbsp;finish&nbsp; .-> announce;" in (copy / "README.md").read_text()
    ended = tollgate(copy, "run 'What was our revenue in 2025?'", **beside)
    assert ended.returncode == 0, ended.stderr
    assert "is ready at" in ended.stderr


def test_a_route(copy: Path) -> None:
    applied(copy, "Add a route")
    with serving_api(copy) as url:
        assert httpx.get(f"{url}/v1/agents").json().keys() == {"researcher", "sales", "analyst"}
        documented = httpx.get(f"{url}/openapi.json").json()["paths"]["/v1/agents"]["get"]
    assert documented["tags"] == ["team"]


def scripted() -> Script:
    """A model that has a revenue looked up and quotes it."""
    plan = assign(task(1, "sales"))
    return Script(lambda packet, _: REPORT if packet["tasks"] else plan, revenue, quoting)
