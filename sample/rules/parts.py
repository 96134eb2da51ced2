"""Cuts a question into what it asks of the company's own data and what it asks of the market."""

import re
from dataclasses import dataclass

from app.stand_in.words import REFERS_BACK, clauses
from sample.rules.reading import Reading, read

_JOINT = re.compile(
    r"\s+(?:compared (?:to|with)|relative to|in relation to|versus|vs\.?|against|with|to|than|and|while|whereas|but|"
    r"as well as)\s+|,\s+",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Parts:
    """Two texts; "" where nothing is asked. Each carries the places and times it takes from the other."""

    own: str
    market: str


def parts_of(question: str) -> Parts:
    """A clause that names neither side belongs to the clause before it, or to the one after a first one."""
    texts: dict[str, list[str]] = {"own": [], "market": []}
    sides: set[str] = set()
    waiting = ""
    for words in clauses(question):
        clause = f"{waiting}{words}"
        kinds = _kinds(clause) or sides
        waiting = "" if kinds else f"{clause}, "
        halves = _halves(clause) if len(kinds) > 1 else [(kind, clause) for kind in kinds]
        for kind, text in halves:
            texts[kind].append(_grounded(text, question, is_half=text != clause))
        sides = {kind for kind, _ in halves}
    return Parts("; ".join(texts["own"]), "; ".join(texts["market"]))


def _kinds(text: str) -> set[str]:
    return read(text).kinds


def _halves(clause: str) -> list[tuple[str, str]]:
    """Cuts a clause about both sides where each half is about one; without such a place both get all of it."""
    for joint in _JOINT.finditer(clause):
        left, right = clause[: joint.start()], clause[joint.end() :]
        if _kinds(left) == {"own"} and _kinds(right) == {"market"}:
            return [("own", left), ("market", right)]
        if _kinds(left) == {"market"} and _kinds(right) == {"own"}:
            return [("market", left), ("own", right)]
    return [("own", clause), ("market", clause)]


def _grounded(text: str, question: str, *, is_half: bool) -> str:
    """Adds the region and years of the whole question to a part that has none and is one side of a comparison
    or refers back."""
    here, whole = read(text), read(question)
    added = []
    refers_back = is_half or bool(REFERS_BACK.search(text)) or "compare" in whole.intents
    if whole.places and not here.places and refers_back:
        added.append(f"in {', '.join(whole.places)}")
    labels = _past_labels(whole)
    if labels and not here.times.spans and refers_back:
        added.append(f"in {', '.join(labels)}")
    return f"{text.rstrip('.?! ')} {' '.join(added)}" if added else text.rstrip(".?! ")


def _past_labels(whole: Reading) -> list[str]:
    """A year that is to be forecast is no year to look up."""
    return [] if "forecast" in whole.intents else [span.label for span in whole.times.spans]
