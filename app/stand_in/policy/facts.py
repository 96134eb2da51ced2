"""What results say to a question: cells and sentences as they stand. What does not fit the question is left out."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from agents.base import Finding
from app.stand_in.results import LONG, Result, number
from app.stand_in.words import REFERS_BACK, clauses, is_name, mentions, names, says_one, stems, years

LONGEST_CLAIM, LONGEST_PERIOD, MOST_RANKED, MOST_SENTENCES, MOST_WORDS = 600, 60, 3, 4, 2
COVERED = 0.6  # of the words of a question, at least, have to be those of a sentence or its surroundings
HIGH = stems("highest most largest biggest top best maximum greatest longest expensive")
LOW = stems("lowest least smallest fewest bottom worst minimum cheapest shortest")
TIME = re.compile(r"(?:^|[ _])(?:year|month|quarter|date|period|time|day|week|season)(?:$|[ _])", re.IGNORECASE)
CONDITION = re.compile(
    r"(?i)\b(?:not|without|except|exclud\w+|other than|(?:\w+ than|over|under|at \w+|before|after|since|until|till|"
    r"from \d{4} to|between \d{4} and) \$?\d+)\b"
)
ANSWERS = " answers this: "  # before a question that nothing was found on
_IDLE = stems(
    "total sum overall altogether average mean number figure value current today now latest recent show name "
    "know high big hold company team exactly please different various draw plot graph list sell sold develop trend"
)
_OWNER = re.compile(r"^([A-Z\u00c0-\u00de][\w-]*(?: [A-Z\u00c0-\u00de][\w-]*)*) (?:had|has|have)\b")
_ID = re.compile(r"(?:^|[ _])(?:id|rank|index|no|number|code|zip|label|score|relevance|distance)$", re.IGNORECASE)
DISPUTED = "Sources disagree: "
_DISPUTED = re.compile(r"disagree|contradict|conflict|disput", re.IGNORECASE)
_SOURCES = re.compile(r"^#* ?(?:sources?|references?|links?|related|further reading)\b", re.IGNORECASE)
_BREAK = re.compile(r"(?<=[a-z0-9%)\"'][.!?])\s+(?=[A-Z\"'])|\n+")
_MARKUP = re.compile(r"\[([^\[\]]+)\]\([^)]*\)|[*_`]{1,3}(?=\w)|(?<=\w)[*_`]{1,3}|^\s*(?:[-*+•]|\d+[.)])\s+")


@dataclass(frozen=True)
class Asked:
    """One question."""

    text: str
    named: Sequence[Sequence[str]]  # what an answer has to be about: names, years; each with its alternatives
    topic: frozenset[str]  # stems of the other words
    sought: frozenset[str]  # those of them that say what is looked for, and not how it is picked or counted
    keywords: str  # what a search is given: the words that carry the meaning, as they stand

    @classmethod
    def of(cls, text: str) -> "Asked":
        text = " ".join(text.split())
        named = [each for each in [*names(text), years(text)] if each]
        topic = stems(text) - stems(" ".join(name for each in named for name in each))
        spoken = dict.fromkeys(each for each in re.findall(r"[\w-]+", text) if stems(each) or years(each))
        return cls(text, named, topic, topic - HIGH - LOW - _IDLE, " ".join(spoken))

    def score(self, text: str, about: str = "", source: str = "") -> float:
        """How much of the question a text speaks of, where it and its surroundings name the same things; or 0."""
        if self._is_of_another(text, about):
            return 0
        own, near = self.sought & stems(text), self.sought & stems(f"{about} {source}")
        covers = len(own) >= len(self.sought) / 2 and len(own | near) >= COVERED * len(self.sought)
        is_near = own or any(says_one([text], each) for each in self.named)
        is_value = is_near and self.sought <= near and re.search(r"\d", text)  # a figure; its heading says of what
        is_named = all(says_one([text, about], each) for each in self.named) and (self.named or self.sought)
        return 0.1 + len(own) + 0.4 * len(near - own) if is_named and (covers or is_value) else 0

    def _is_of_another(self, text: str, about: str) -> bool:
        """Whether a text is of what its surroundings are not of: of other years, or of what another one has."""
        told, wanted, other = years(text), years(self.text), _OWNER.match(text)
        asked = [each for each in self.named if not years(" ".join(each))]
        has_name = all(says_one([text], each) for each in asked)
        is_owned = bool(other and not has_name and not mentions(about, other[1]))
        return is_owned or bool(told and len(wanted) == 1 and wanted[0] not in told)  # two may be a span


def questions(text: str) -> list[Asked]:
    """The single questions of a text, each complete: with the names that it refers back to, and words of its own."""
    found: list[str] = []
    for clause in clauses(text) or [text]:
        if found and len(Asked.of(clause).sought) < (1 if names(clause) else 2):
            found[-1] += f" {clause}"
        else:
            refers_back = REFERS_BACK.search(clause) and not names(clause)
            about = ", ".join(each for group in names(text) for each in group) if refers_back else ""
            found.append(f"{clause} (about {about})" if about else clause)
    return [Asked.of(each) for each in found]


def facts(asked: Asked, result: Result) -> list[Finding]:
    """The cells and the sentences of a result that are nearest to the question."""
    texts = [each for each in result.call.arguments.values() if isinstance(each, str) and each != asked.keywords]
    chosen = ", ".join(each for each in texts if len(each.split()) <= MOST_WORDS)  # names, and no words to search for
    cells = _nearest(result, _cells(asked, result, chosen), 0.3)
    if asked.topic & (HIGH | LOW):
        cells = sorted(cells, key=lambda each: each.value or 0.0, reverse=bool(asked.topic & HIGH))[:MOST_RANKED]
    return [*cells, *_nearest(result, _sentences(asked, result, chosen), 1)[:MOST_SENTENCES]]


def _nearest(result: Result, said: Iterable[tuple[float, str, float | None, str]], margin: float) -> list[Finding]:
    """Those claims, values and periods that have the highest score, the best first."""
    ordered = sorted((each for each in said if each[0]), key=lambda each: -each[0])
    return [
        Finding(
            claim=claim[:LONGEST_CLAIM].ljust(3, "."),
            value=value,
            unit="",
            period=period[:LONGEST_PERIOD],
            evidence=[result.evidence],
            confidence="low" if claim.startswith(DISPUTED) else "medium",
        )
        for score, claim, value, period in ordered
        if score >= ordered[0][0] - margin
    ]


def _cells(asked: Asked, result: Result, chosen: str) -> Iterator[tuple[float, str, float | None, str]]:
    """Cells of a table with what tells their rows from others: figures, and what is asked for by a column's name."""
    names_things = any(is_name(cell) for row in result.table.rows for cell in row.values())
    about = " ".join([result.title, *result.table.columns, "" if names_things else chosen])
    in_columns = asked.sought & stems(" ".join(result.table.columns))  # where one is asked for, no other answers
    may_be_any = bool(asked.sought and not in_columns)
    for row in result.table.rows:
        short = {column: cell for column, cell in row.items() if cell and len(cell) < LONG}
        score = asked.score(f"{about} {' '.join(short.values())}", source=result.tool)
        labels = [each for each in short if number(short[each]) is None or _ID.search(each) or TIME.search(each)]
        period = next((short[each] for each in labels if TIME.search(each)), "")
        for column, cell in short.items():
            is_figure, is_asked = column not in labels, bool(stems(column) & asked.sought)
            if score and (is_asked or (is_figure and may_be_any)):
                told = ", ".join(f"{each.replace('_', ' ')} {short[each]}" for each in labels if each != column)
                value, name = number(cell), column.replace("_", " ").strip().capitalize()
                shown = cell if value is None else cell.removesuffix(".0")
                shown += "" if mentions(told, chosen) else f" ({chosen})"
                yield score + is_figure / 2 + is_asked, f"{name}{told and f' for {told}'}: {shown}", value, period


def _sentences(asked: Asked, result: Result, chosen: str) -> Iterator[tuple[float, str, float | None, str]]:
    """The sentences of a text, under their headings."""
    heading = ""
    for part in _BREAK.split(result.text):
        text = " ".join(_MARKUP.sub(lambda match: match[1] or "", part).split())
        if text.startswith("#") and "\n" in result.text.strip():
            heading = text
        elif re.search(r"\w.*[^?]$", text) and len(text) <= LONGEST_CLAIM and not _SOURCES.search(heading):
            about = f"{heading} {result.title} {'' if names(text) else chosen}"
            score = asked.score(text, about, result.call.name)
            yield score, f"{DISPUTED if _DISPUTED.search(heading) else ''}{text.lstrip('# ')}", None, ""
