"""README.md shows what the demo prints on the sample."""

import re
from pathlib import Path

import pytest

from evals.incident.__main__ import HEAD
from evals.incident.drills import DRILLS
from evals.incident.outcomes import NOT_STARTED
from tests.docs.pages import blocks, commands, copied_to, page, run

README = page("README.md")
SHOWN, *OTHERS = [each for each in commands(README) if each.startswith("make demo")]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which the commands are run."""
    return copied_to(tmp_path_factory.mktemp("readme"))


def test_the_page_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_the_table_of_drills_is_the_one_that_is_printed() -> None:
    rows = table(page("evals/incident/README.md"))
    assert rows[: len(HEAD.splitlines())] == HEAD.splitlines()
    cells = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in rows[2:]]
    assert [(name, kind) for name, kind, *_ in cells] == [(each.name, each.kind) for each in DRILLS]
    allowed = [each.reasons or (NOT_STARTED,) for each in DRILLS]
    assert [reason in some for (*_, reason, _), some in zip(cells, allowed, strict=True)] == [True] * len(DRILLS)


def test_the_page_shows_rows_of_that_table() -> None:
    shown = table(README)
    assert len(shown) > 5
    assert [row for row in shown if row not in table(page("evals/incident/README.md"))] == []


def test_it_names_the_test_command_that_ci_calls() -> None:
    assert "`make test-all` runs everything, as CI does" in README


@pytest.mark.slow
def test_the_output_is_as_printed(checkout: Path) -> None:
    ended = run(checkout, SHOWN)
    assert ended.returncode == 0, ended.stderr
    printed = {normal(line) for line in (ended.stderr + ended.stdout).splitlines()}
    shown = [line for block in blocks(README, "text") for line in block.splitlines()]
    assert len(shown) > 15
    assert [line for line in shown if normal(line) not in printed] == []


@pytest.mark.slow
@pytest.mark.parametrize("command", OTHERS)
def test_another_question_is_answered(checkout: Path, beside: dict[str, str], command: str) -> None:
    ended = run(checkout, command, **beside)
    assert ended.returncode == 0, ended.stderr
    assert "stop reason  answered" in ended.stdout


def table(text: str) -> list[str]:
    """The lines of the page's table of drills."""
    return text.partition("<!-- incident -->")[2].partition("<!-- /incident -->")[0].strip().splitlines()


def normal(line: str) -> str:
    """Without what differs from run to run: times, and ids of evidence that agents gather at once."""
    return re.sub(r"\bE\d+\b", "E#", re.sub(r"\d+ ms", "# ms", line))
