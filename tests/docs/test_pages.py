"""What is true of all pages: links lead somewhere, named files exist, generated parts are current."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, handbook, page

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


@pytest.mark.parametrize("name", handbook())
def test_a_block_is_of_a_kind_that_is_run_or_is_no_command(name: str) -> None:
    """`sh` is run by tests; `console` is for what they cannot run: containers, keys, a reader's own data."""
    kinds = set(re.findall(r"^```(\w+)$", page(name), re.MULTILINE))
    assert kinds <= {"sh", "console", "diff", "json", "text", "toml", "sql", "yaml"}


def test_the_generated_parts_are_up_to_date(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "docs/generate.py"), run_name="__main__")
    assert ended.value.code == 0, capsys.readouterr().err


def test_ci_calls_the_commands_that_people_call() -> None:
    called = {line.strip().partition(" ASK=")[0] for line in page(".ci/run").splitlines()}
    assert called >= {"make check", "make test-all", "make evals", "make incident", "make real-model", "make image"}
