"""docs/faq.md has every disaster that is drilled, with settings and tests that exist."""

import re

from app.config.settings import Settings, variable
from evals.incident.drills import DRILLS
from tests.docs.pages import ROOT, page

DISASTERS = dict(
    re.findall(r"^## (.+)\n\n((?:.+\n)+)", page("docs/faq.md").partition("## Other questions")[0], re.MULTILINE)
)


def test_every_drill_has_its_section() -> None:
    assert [name.lower() for name in DISASTERS] == [drill.name for drill in DRILLS]


def test_a_section_says_what_stops_it_what_to_set_and_what_proves_it() -> None:
    settings = {variable(name) for name in Settings.model_fields}
    for name, text in DISASTERS.items():
        assert "**Stopped here:** " in text, name
        assert set(re.findall(r"`(TOLLGATE_\w+)`", text)) <= settings, name
        assert " Set `TOLLGATE_" in text.replace("\n", " ") or "No limit is needed." in text, name
        [test] = re.findall(r"Tests: `(\S+)`\.$", text, re.MULTILINE)
        assert (ROOT / test).is_file(), name
