"""Documents as sentences that can stand alone, each with what it is about."""

import re
from dataclasses import dataclass, replace

from app.stand_in.turns import Answer
from sample.rules.periods import times
from sample.rules.places import places

LONGEST = 560
SHORTEST = 25

_NOT_CONTENT = re.compile(r"^(?:sources?|references?|links?|related\b.*|further reading)$", re.IGNORECASE)
_DISPUTED = re.compile(r"disagree|contradict|conflict|differ|disput", re.IGNORECASE)
_MARKER = re.compile(r"^\s*(?:[-*+•]|\d+[.)])\s+")
_MARKUP = re.compile(r"\[([^\]]+)\]\([^)]*\)|[*_`]{1,3}(?=\w)|(?<=\w)[*_`]{1,3}|<https?://[^>]*>")
_BREAK = re.compile(r"(?<=[a-z0-9%)\"'][.!?])\s+(?=[A-Z\"'])")
# Such a sentence leans on the one before it.
_LEANS = re.compile(
    r"^(?:related|these|this|that|those|it|they|both|such|its|their|here|however|also|by coincidence|"
    r"the (?:lower|higher|latter|former|two|later|earlier|difference|same|other|first|second)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Sentence:
    """`places` and `years` are its own, or those of the sentence before it or the title when it names none."""

    text: str
    title: str
    evidence: str
    confidence: str
    disputed: bool
    key: bool
    places: tuple[str, ...]
    years: frozenset[int]
    written: int

    @property
    def latest(self) -> int:
        """The last year it tells of that had come when it was written; 0 without one."""
        return max((year for year in self.years if year <= self.written), default=0)


def sentences_of(answer: Answer) -> list[Sentence]:
    """The sentences of a document that `read_document` returned, in their order."""
    head, _, body = answer.text.partition("\n")
    title, _, date, confidence = ([part.strip() for part in head.removeprefix("# ").split(" | ")] + [""] * 4)[:4]
    about = Sentence(
        text="",
        title=title,
        evidence=answer.evidence,
        confidence=confidence,
        disputed=False,
        key=False,
        places=tuple(places(title)),
        years=_years(title),
        written=max(_years(date), default=0),
    )
    found: list[Sentence] = []
    section = ""
    for block in _blocks(body):
        if block.startswith("#"):
            section = block.lstrip("# ").strip()
        elif not _NOT_CONTENT.match(section):
            found += _of_block(block, section, about)
    return found


def _blocks(body: str) -> list[str]:
    """Headings, list items and paragraphs, each on one line."""
    blocks: list[str] = []
    joining = False
    for line in body.splitlines():
        starts_new = bool(line.startswith("#") or _MARKER.match(line))
        if line.strip() and joining and not starts_new:
            blocks[-1] += f" {line.strip()}"
        elif line.strip():
            blocks.append(_MARKER.sub("", line.strip()))
        joining = bool(line.strip()) and not line.startswith("#")
    return blocks


def _of_block(block: str, section: str, about: Sentence) -> list[Sentence]:
    found = []
    where, when = about.places, about.years or _years(section)
    disputed, key = bool(_DISPUTED.search(section)), "key" in section.lower()
    for text in _BREAK.split(_MARKUP.sub(lambda match: match[1] or "", block)):
        where = tuple(places(text)) or where
        when = _years(text) or when
        if SHORTEST <= len(text) <= LONGEST and not _LEANS.match(text):
            found.append(replace(about, text=text.strip(), disputed=disputed, key=key, places=where, years=when))
    return found


def _years(text: str) -> frozenset[int]:
    moments = times(text)
    years = {year for span in moments.spans for year in span.years}
    return frozenset(years | {year for year in (moments.since, moments.until) if year})
