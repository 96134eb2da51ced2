"""What to do when verification refused findings: drop those it names, and say so."""

from agents.base import AgentResult, Finding


def accepted(result: AgentResult, feedback: list[str]) -> AgentResult:
    """The result without the claims that the feedback quotes."""
    if not feedback:
        return result
    refused = [each for each in result.findings if _is_refused(each, feedback)]
    kept = [each for each in result.findings if each not in refused]
    gaps = ["A statement that its evidence does not carry was left out."] if refused else []
    return AgentResult(findings=kept, gaps=[*result.gaps, *gaps])


def _is_refused(finding: Finding, feedback: list[str]) -> bool:
    claim = finding.claim.rstrip(".")
    return any(claim in sentence for sentence in feedback)
