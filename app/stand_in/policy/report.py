"""The report: what the findings say, each with its evidence, and what could not be answered. Nothing is added."""

import textwrap

from agents.base import ReportDraft
from app.stand_in.packets import FindingInfo, ReportPacket
from app.stand_in.policy.facts import ANSWERS, Asked

LONGEST_TITLE, IN_THE_ANSWER = 120, 3
PART_MISSING = "Part of the question could not be answered."
NO_ANSWER = "The question cannot be answered from the data at hand."


def write(packet: ReportPacket) -> ReportDraft:
    """The first findings as the answer, then the others, charts, gaps."""
    found = [cited(each) for each in usable(packet)]
    blocks = [" ".join(found[:IN_THE_ANSWER]) or NO_ANSWER]
    blocks += ["## Findings", "\n".join(f"- {each}" for each in found[IN_THE_ANSWER:])] if found[IN_THE_ANSWER:] else []
    blocks += ["## Charts", *(f"![Chart]({each}.svg)" for each in packet.charts)] if packet.charts else []
    return ReportDraft(title=title(packet.question), body="\n\n".join(blocks + gaps(packet)))


def usable(packet: ReportPacket) -> list[FindingInfo]:
    """Findings with evidence, each once, without those that the feedback quotes."""
    unique = {each.claim: each for each in packet.findings if each.claim.strip() and each.evidence}
    return [each for claim, each in unique.items() if not any(claim.rstrip(". ") in line for line in packet.feedback)]


def title(question: str) -> str:
    """The question, cut at a word."""
    return textwrap.shorten(question, LONGEST_TITLE, placeholder=" ...", break_on_hyphens=False).ljust(3, ".")


def cited(finding: FindingInfo) -> str:
    """The claim as a sentence that ends in its evidence."""
    return f"{finding.claim.rstrip('. ')} {ids(finding)}."


def ids(finding: FindingInfo) -> str:
    """`[E1, E2]`."""
    return f"[{', '.join(dict.fromkeys(finding.evidence))}]"


def gaps(packet: ReportPacket) -> list[str]:
    """Each gap once, unless a finding closes it; one that the feedback quotes loses its details."""
    claims = [f"{each.claim} {each.period}" for each in packet.findings]
    lines: dict[str, None] = {}
    for gap in (" ".join(each.split()) for each in packet.gaps):
        asked = Asked.of(gap.partition(ANSWERS)[2].partition(". ")[0])
        if gap and not any(map(asked.score, claims)):
            lines[PART_MISSING if any(gap in line for line in packet.feedback) else gap] = None
    return ["## What could not be answered", "\n".join(f"- {gap}" for gap in lines)] if lines else []
