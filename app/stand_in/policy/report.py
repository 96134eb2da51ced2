"""The report: what the findings say, each with its evidence, and what could not be answered. Nothing is added."""

from agents.base import ReportDraft
from app.stand_in.packets import FindingInfo, ReportPacket

LONGEST_TITLE = 120
IN_THE_ANSWER = 3
PART_MISSING = "Part of the question could not be answered."
NO_ANSWER = "The question cannot be answered from the data at hand."


def write(packet: ReportPacket) -> ReportDraft:
    """The first findings as the answer, the others by agent, charts, gaps."""
    found = usable(packet)
    blocks = [" ".join(map(cited, found[:IN_THE_ANSWER])) or NO_ANSWER]
    for agent in dict.fromkeys(each.agent for each in found[IN_THE_ANSWER:]):
        lines = [f"- {cited(each)}" for each in found[IN_THE_ANSWER:] if each.agent == agent]
        blocks += [f"## {agent.replace('_', ' ').capitalize() or 'Findings'}", "\n".join(lines)]
    blocks += ["## Charts", *(f"![Chart]({each}.svg)" for each in packet.charts)] if packet.charts else []
    return ReportDraft(title=title(packet.question), body="\n\n".join(blocks + gaps(packet)))


def usable(packet: ReportPacket) -> list[FindingInfo]:
    """Findings with evidence, each once, without those that the feedback quotes."""
    unique = {each.claim: each for each in packet.findings if each.claim.strip() and each.evidence}
    return [each for claim, each in unique.items() if not any(claim.rstrip(". ") in line for line in packet.feedback)]


def title(question: str) -> str:
    """The question, cut at a word."""
    words = " ".join(question.split())
    if len(words) > LONGEST_TITLE:
        words = words[:LONGEST_TITLE].rsplit(" ", 1)[0] + " ..."
    return words if len(words) >= 3 else "Report"


def cited(finding: FindingInfo) -> str:
    """The claim as a sentence that ends in its evidence."""
    return f"{finding.claim.rstrip('. ')} {ids(finding)}."


def ids(finding: FindingInfo) -> str:
    """`[E1, E2]`."""
    return f"[{', '.join(dict.fromkeys(finding.evidence))}]"


def gaps(packet: ReportPacket) -> list[str]:
    """Each gap once; one that the feedback quotes loses its details."""
    told = list(dict.fromkeys(" ".join(gap.split()) for gap in packet.gaps if gap.strip()))
    refused = [gap for gap in told if any(gap in line for line in packet.feedback)]
    lines = [gap for gap in told if gap not in refused] + ([PART_MISSING] if refused else [])
    return ["## What could not be answered", "\n".join(f"- {gap}" for gap in lines)] if lines else []
