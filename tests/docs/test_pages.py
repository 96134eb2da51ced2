"""What is true of all pages: links lead somewhere, named files exist, generated parts are current."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from evals.incident.drills import DRILLS
from tests.docs.pages import ROOT, page

PAGES = [path for path in ROOT.glob("**/*.md") if not {".venv", ".data", "prompts", "skeleton"} & set(path.parts)]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    targets = [each for each in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text("utf-8")) if "://" not in each]
    assert [each for each in targets if not (path.parent / each).exists()] == []


@pytest.mark.parametrize("name", ["AGENTS.md", "docs/architecture.md", "docs/extending.md", "docs/limits.md"])
def test_a_page_names_files_that_exist(name: str) -> None:
    folders = "agents|graphs|app|mcp_servers|safe_http|sample|evals|deploy|docs|tests"
    named = re.findall(rf"`((?:{folders})/[\w/.]+)`", page(name))
    assert [each for each in named if not (ROOT / each).exists()] == []


def test_the_generated_parts_are_up_to_date() -> None:
    checked = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_the_test_command_is_the_one_that_ci_calls() -> None:
    called = {line.partition(" ASK=")[0] for line in page(".ci/run").splitlines()}
    assert called >= {"make check", "make test-all", "make incident", "make real-model", "make image"}
    assert "`make test-all` runs everything, as CI does" in page("README.md") or "skeleton" not in str(ROOT)


def test_the_table_of_drills_is_the_one_that_is_printed() -> None:
    table = page("README.md").partition("<!-- incident -->")[2].partition("<!-- /incident -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if "| `" in line]
    assert [(row[0], row[4].strip("`")) for row in rows] == [(each.name, each.reason) for each in DRILLS]
