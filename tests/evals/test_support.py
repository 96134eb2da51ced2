"""What cited evidence carries, on a table, a computation on it, and prose; and one fault each."""

from pathlib import Path

import pytest

from evals.support import share_supported, unsupported

SOURCES = """

## Sources

1. revenue ([E1](evidence/E1.md)) (evidence/E1.md)
2. growth ([E2](evidence/E2.md)) (evidence/E2.md)
3. registrations ([E3](evidence/E3.md)) (evidence/E3.md)
4. by region ([E4](evidence/E4.md)) (evidence/E4.md)
"""
E1 = """# E1: sales.revenue_by

Asked with `{"filters": {"region": ["North"]}, "period": {"start": "2024-01"}}`: called at 2026-12-01, 74 ms.

```
# Revenue by region, year, region North, 2024-01 to 2025-12
region,year,revenue_eur,units
North,2024,19460242.01,2033
North,2025,21588050.62,5278
```
"""
E2 = """# E2: analytics.growth

Asked with `{"series": {"evidence_id": "E1", "value_column": "revenue_eur"}}`: called at 2026-12-01, 37 ms.

```
# Growth of revenue_eur by year
label,value,change,change_pct
2024,19460242.01,-1666212.92,-7.89
2025,21588050.62,2127808.61,10.93
# from 2023 to 2025: change 461595.69 (2.18 %)
```
"""
E3 = """# E3: knowledge_base.read_document

Asked with `{"id": "registrations"}`: called at 2026-12-01, 138 ms.

```
# Registrations of bicycles | several publishers | 2026-01
## Key figures

- The trade association Velo counted 380,609 new bicycles in Freeland in 2024, 27.4% fewer than the year before.
- In Otherland the statistical office Count registered 94,230 bicycles in 2025.
```
"""
E4 = """# E4: sales.query

Asked with `{"sql": "SELECT region, sum(units) AS units FROM sales WHERE product = 'Bench' GROUP BY region"}`: called.

```
# Query: region, units
region,units
North,345
South,678
```
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "evidence").mkdir()
    for name, text in {"E1": E1, "E2": E2, "E3": E3, "E4": E4}.items():
        (tmp_path / "evidence" / f"{name}.md").write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    "said",
    [
        "Revenue in the North was EUR 19,460,242 in 2024 [1].",
        "Revenue in the North fell by 7.9% in 2024, to EUR 19.46 million [2].",
        "The North rose by 2.2% from 2023 to 2025 [2].",
        "The North sold 5,278 units in 2025 [1].",
        "## The North\n\n| Year | Revenue |\n| --- | --- |\n| 2025 | EUR 21,588,051 [1] |",
        "Velo counted 380,609 new bicycles in Freeland in 2024 [3].",
        "Bicycles registered in Otherland in 2025: 94,230, according to Count [3].",
        "Of the Bench the North bought 345 units and the South 678 [4].",
    ],
)
def test_what_the_evidence_says_is_supported(folder: Path, said: str) -> None:
    assert unsupported(said + SOURCES, folder) == []
    assert share_supported(said + SOURCES, folder) == 1


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("Revenue in the North was EUR 19,460,242 in 2025 [1].", "the row is of 2024"),
        ("Revenue in the South was EUR 19,460,242 in 2024 [1].", "the evidence is about North only"),
        ("Revenue in the North was USD 19,460,242 in 2024 [1].", "revenue_eur is not in USD"),
        ("The North sold 21,588,051 units in 2025 [1].", "revenue_eur counts nothing"),
        ("Revenue in the North rose by 7.9% in 2024 [2].", "the other direction"),
        ("Revenue fell by 7.9% in 2024 [2].", "the evidence is about North only"),
        ("Velo counted 380,609 new bicycles in Freeland in 2025 [3].", "the evidence is of 2024"),
        ("Velo counted 94,230 new bicycles in 2025 [3].", "the sentence does not name velo"),
        ("Household electricity prices soared to 94,230 everywhere in 2025 [3].", "the sentence says something else"),
        ("Of the Bench the South bought 345 units [4].", "the row is of North"),
        ("The North bought 345 units of the Table [4].", "the evidence is about Bench only"),
        ("Revenue in the North was EUR 1 in 2025 [1].", "not in the evidence"),
        ("Revenue in the North was EUR 19,460,242 in 2024.", "not in the evidence"),
    ],
)
def test_what_it_does_not_say_is_not(folder: Path, said: str, why: str) -> None:
    [found] = unsupported(said + SOURCES, folder)
    assert f"({why})" in found
    assert share_supported(said + SOURCES, folder) == 0


def test_what_the_question_says_need_not_be_repeated(folder: Path) -> None:
    said = f"Revenue was EUR 19,460,242 [1].{SOURCES}"
    assert share_supported(said, folder, "What was our revenue in the North in 2024?") == 1
    assert share_supported(said, folder, "What was our revenue in the North in 2025?") == 0
    assert share_supported("Nothing is known.", folder) is None
