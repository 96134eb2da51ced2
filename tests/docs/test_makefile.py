"""Every program that the Makefile runs exists."""

import re
from importlib.util import find_spec
from pathlib import Path

MAKEFILE = Path(__file__).parents[2] / "Makefile"


def test_every_module_that_is_run_exists() -> None:
    named = re.findall(r"-m ([a-z][\w.]*\w)", MAKEFILE.read_text())
    assert "evals.bench" in named
    assert [each for each in named if find_spec(each) is None] == []


def test_the_handbook_is_built_from_what_was_generated_and_a_warning_fails_it() -> None:
    recipe = re.findall(r"^docs:.*\n((?:\t.*\n)+)", MAKEFILE.read_text(), re.MULTILINE)[0].splitlines()
    assert ["docs/generate.py" in recipe[0], recipe[-1].endswith("mkdocs build --strict")] == [True, True]
