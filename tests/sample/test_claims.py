"""True claims of honest runs stand; the same claims for another year, country or unit do not."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from evals.questions import asked
from graphs.evidence.numbers import unknown
from graphs.evidence.store import Evidence
from graphs.evidence.support import contradicted
from tests.app.offline_team import serving
from tests.sample.team import servers, team

COUNTRIES = ("Germany", "United Kingdom", "France", "Netherlands", "Italy", "Spain", "Sweden", "Norway")
YEAR = re.compile(r"\b20[23]\d\b")
Told = tuple[str, list[str], dict[str, Evidence]]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.mark.slow
async def test_true_claims_stand_and_shifted_ones_do_not(url: str, with_sales: Path) -> None:
    questions = [
        *(each.text for each in asked()),
        *(f"How did our revenue in {country} develop from 2022 to 2025?" for country in COUNTRIES),
        *(f"How many units did we sell in {country} by quarter in 2024?" for country in COUNTRIES),
    ]
    told: list[Told] = []
    async with team(url, servers(with_sales)) as agents:
        for question in questions:
            done = await agents.answer(question)
            told += [
                (each.claim, each.evidence, done.evidence) for each in done.findings if re.search(r"\d", each.claim)
            ]
    assert len(told) >= 200
    assert [claim for claim, cited, evidence in told if contradicted(claim, cited, evidence)] == []

    shifted = [(false, cited, evidence) for claim, cited, evidence in told for false in shifts(claim, cited, evidence)]
    assert len(shifted) >= 200
    missed = [claim for claim, cited, evidence in shifted if not contradicted(claim, cited, evidence)]
    assert len(missed) <= len(shifted) * 0.05, missed


def shifts(claim: str, cited: list[str], evidence: dict[str, Evidence]) -> Iterator[str]:
    """The claim for another year, country and unit, if its evidence is a table that has these numbers, too."""
    if any(evidence[each].table is None for each in cited):
        return
    years = set(YEAR.findall(claim))
    falsified = [YEAR.sub(lambda year: str(int(year[0]) + 4), claim)] if years else []
    falsified += [claim.replace(year, str(int(year) - 1)) for year in years if str(int(year) - 1) not in years]
    if here := [each for each in COUNTRIES if each in claim]:
        other = next(each for each in COUNTRIES if each not in claim)
        falsified.append(claim.replace(here[0], other))
    falsified += [claim.replace("EUR", "USD")] if "EUR" in claim else []
    falsified += [re.sub(r"([\d,.]+) units", r"EUR \1", claim)] if " units" in claim else []
    known = frozenset().union(*(evidence[each].numbers for each in cited))
    yield from (each for each in falsified if not unknown(each, known))
