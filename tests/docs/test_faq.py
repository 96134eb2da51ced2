"""docs/faq.md has every disaster that is drilled, with settings and tests that exist."""

import re

from app.config.settings import Settings, variable
from evals.incident.drills import DRILLS
from tests.docs.pages import ROOT, page

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in re.findall(r"^\|.+\|$", page("docs/faq.md"), re.MULTILINE)
][2:]


def test_every_drill_has_its_row() -> None:
    assert [name for name, *_ in ROWS] == [drill.name for drill in DRILLS]
    assert all(all(row) for row in ROWS)


def test_limits_and_tests_that_it_names_exist() -> None:
    settings = {variable(name) for name in Settings.model_fields}
    for name, _, _, limit, test in ROWS:
        assert limit.strip("`") in settings or limit == "none: always on", name
        assert (ROOT / test.strip("`")).is_file(), name
