"""1. Evidence. A tool result is stored once; claims rest on it; a claim without it falls."""

from graphs.evidence.citations import problems
from graphs.evidence.store import Evidence
from graphs.nodes.verify import problem_with
from graphs.state import FindingState


def test_a_claim_stands_when_its_evidence_contains_its_numbers() -> None:
    # What a tool returned, as the job keeps it.
    table = Evidence(
        task="T1",
        server="sales",
        tool="revenue_by",
        arguments={"dimensions": ["year"]},
        text="year,revenue_eur\n2024,19460242.17",
        content={"kind": "table", "columns": ["year", "revenue_eur"], "rows": [["2024", 19460242.17]]},
        duration_ms=24,
    )
    stored = {"E1": table}

    # Rounding is understood, invention is not.
    assert problem_with(claiming("Revenue in 2024 was EUR 19.5 million.", "E1"), stored) is None
    assert problem_with(claiming("Revenue in 2024 was EUR 21 million.", "E1"), stored) == "21 million is not in E1"
    assert problem_with(claiming("Revenue was good.", "E9"), stored) == "there is no evidence E9"

    # The same holds for every sentence of a report.
    assert problems("Revenue reached EUR 19.5 million [E1].", stored, ["How was 2024?"]) == []
    assert [each.reason for each in problems("Revenue rose by 12%.", stored, ["How was 2024?"])] == [
        "12% is not in any evidence cited"
    ]


def claiming(claim: str, evidence_id: str) -> FindingState:
    return FindingState(
        id="T1.1.1",
        task="T1",
        agent="sales",
        claim=claim,
        value=None,
        unit="EUR",
        period="2024",
        evidence=[evidence_id],
        confidence="high",
        marks=[],
        status="unverified",
        refused=None,
    )
