"""What results say to a question: cells and sentences as they stand. What does not fit the question is left out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agents.base import Finding
from app.stand_in.results import LONG, Result, number
from app.stand_in.words import is_name, mentions, names, says_one, stems, years

LONGEST_CLAIM, LONGEST_PERIOD = 600, 60
MOST_ROWS, MOST_RANKED, MOST_SENTENCES, MOST_LABELS, MOST_COLUMNS = 12, 3, 4, 3, 3
LONGEST_LABEL = 80
COVERED = 0.6  # of the words of a question, at least, have to be those of a sentence, its heading and its source

HIGH = frozenset(stems("highest most largest biggest top best maximum greatest longest expensive"))
LOW = frozenset(stems("lowest least smallest fewest bottom worst minimum cheapest shortest"))
WHOLE = frozenset(stems("total sum overall altogether average mean median"))
_IDLE = frozenset(stems("number figure value currently current today now latest recent show name know high big "
                        "hold company team exactly please different various draw plot graph list"))  # fmt: skip
_AMOUNTS = {"how many": "count number quantity qty units unit stock total hand amount size",
            "how much": "price cost amount value total sum revenue fee rate usd eur"}  # fmt: skip
TIME = re.compile(r"(?:^|[ _])(?:year|month|quarter|date|period|time|day|week|season)(?:$|[ _])", re.IGNORECASE)
_ID = re.compile(
    r"(?:^|[ _])(?:id|rank|index|no|number|code|zip|year|month|label|score|relevance|distance)$", re.IGNORECASE
)
_SOURCES = re.compile(r"^#* ?(?:sources?|references?|links?|related|further reading)\b", re.IGNORECASE)
CONDITION = re.compile(
    r"\b(?:not|without|except|exclud\w+|other than|(?:more|less|fewer|over|under|at (?:least|most)) (?:than )?[\d.,]+)",
    re.IGNORECASE,
)
DISPUTED = "Sources disagree: "
_DISPUTED = re.compile(r"disagree|contradict|conflict|disput", re.IGNORECASE)
_BREAK = re.compile(r"(?<=[a-z0-9%)\"'][.!?])\s+(?=[A-Z\"'])|\n+")
_MARKUP = re.compile(r"\[([^\]]+)\]\([^)]*\)|[*_`]{1,3}(?=\w)|(?<=\w)[*_`]{1,3}|^\s*(?:[-*+•]|\d+[.)])\s+")


@dataclass(frozen=True)
class Asked:
    """One question: what it names, which an answer has to be about, and the stems of its other words."""

    text: str
    named: tuple[tuple[str, ...], ...]
    topic: frozenset[str]

    @classmethod
    def of(cls, text: str) -> "Asked":
        named = [tuple(each) for each in [*names(text), years(text)] if each]
        return cls(text, tuple(named), stems(text) - stems(" ".join(name for each in named for name in each)))

    @property
    def keywords(self) -> str:
        """What a search is given: names, years and the words of the topic as they stand."""
        wanted = self.topic | stems(" ".join(name for each in self.named for name in each))
        spoken = re.findall(r"[\w-]+", self.text)
        return " ".join(dict.fromkeys(each for each in spoken if stems(each) & wanted or years(each)))

    @property
    def sought(self) -> frozenset[str]:
        """The words of the topic that say what is looked for, and not how it is picked or counted."""
        return self.topic - HIGH - LOW - WHOLE - _IDLE

    @property
    def amounts(self) -> frozenset[str]:
        """Names that a column with the answer may have."""
        return frozenset().union(*(stems(like) for words, like in _AMOUNTS.items() if words in self.text.lower()))


def facts(asked: Asked, result: Result) -> tuple[list[Finding], list[str]]:
    """Findings on one result, and what it lacks."""
    findings, gaps = _of_table(asked, result)
    line = result.text.strip()
    if line.startswith("# ") and "\n" not in line and asked.sought & stems(line):  # all it says: a chart was drawn
        findings = [_finding(line.removeprefix("# "), None, result, "")]
    return [*findings, *_of_text(asked, result)], gaps


def _of_table(asked: Asked, result: Result) -> tuple[list[Finding], list[str]]:
    """The cells that are asked for, of the rows with all that the question names."""
    rows, columns = result.table.rows, result.table.columns
    names_things = any(is_name(cell) for row in rows for cell in row.values())
    about = f"{result.title} {'' if names_things else result.chosen}"  # what names nothing is about what was asked for
    for alternatives in asked.named:
        if not says_one([about, *columns], alternatives):
            rows = [row for row in rows if says_one(row.values(), alternatives)]
    rows = _narrowed(asked, rows)
    source = stems(" ".join([about, result.tool, *columns]))
    unsaid = asked.sought - source - asked.amounts - stems(" ".join(cell for row in rows for cell in row.values()))
    values = _values(asked, columns, rows, source)
    if not values or len(unsaid) > len(asked.sought) / 2:
        return [], []
    gaps = [f"Nothing in the result says anything of '{', '.join(sorted(unsaid))}'."] if unsaid else []
    shown = _ranked(asked, rows, values[0])
    if condition := CONDITION.search(asked.text):
        gaps.append(f"The condition '{condition.group()}' was not applied.")
    if len(shown) < len(rows) and not asked.topic & (HIGH | LOW):
        gaps.append(f"The result has {len(rows)} rows on this; the first {len(shown)} are given.")
    if (asked.topic & WHOLE) - source and len(rows) > 1:
        gaps.append("The result gives single rows, and no total or average of them.")
    return [_row(result, row, column) for row in shown for column in values if row.get(column)], gaps


def _narrowed(asked: Asked, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Rows with a cell that the question speaks of, where some have one and some have none."""
    for column in rows[0] if rows else ():
        said = [row for row in rows if number(row[column]) is None and stems(row[column]) & asked.sought]
        rows = said if 0 < len(said) < len(rows) else rows
    return rows


def _values(asked: Asked, columns: Sequence[str], rows: list[dict[str, str]], source: frozenset[str]) -> list[str]:
    """The columns that the question asks for, by their names; any numbers where the source as a whole is asked for."""
    numeric = [each for each in columns if not (_ID.search(each) or TIME.search(each)) and is_numeric(each, rows)]
    for wanted in (asked.sought, asked.amounts):
        if named := [each for each in numeric if stems(each) & wanted]:
            return named
    said = [each for each in columns if stems(each) & asked.sought and all(len(row[each]) < LONG for row in rows)]
    is_whole = bool(rows) and asked.sought <= source | stems(" ".join(map(str, rows[0].values())))
    return (
        said
        if said and rows and not asked.amounts
        else numeric[:MOST_COLUMNS]
        if is_whole and asked.sought & source
        else []
    )


def is_numeric(column: str, rows: Sequence[dict[str, str]]) -> bool:
    """Whether all that stands in the column is numbers."""
    cells = [row[column] for row in rows if row.get(column)]
    return bool(cells) and all(number(each) is not None for each in cells)


def _ranked(asked: Asked, rows: list[dict[str, str]], column: str) -> list[dict[str, str]]:
    if not asked.topic & (HIGH | LOW) or not is_numeric(column, rows):
        return rows[:MOST_ROWS]
    ordered = sorted(rows, key=lambda row: number(row[column]) or 0.0, reverse=bool(asked.topic & HIGH))
    return ordered[:MOST_RANKED]


def _row(result: Result, row: dict[str, str], column: str) -> Finding:
    """The cell with what tells its row from others."""
    labels = [
        each for each in result.table.columns if each != column and row.get(each) and len(row[each]) < LONGEST_LABEL
    ]
    labels = [each for each in labels if number(row[each]) is None or _ID.search(each) or TIME.search(each)]
    told = ", ".join(f"{_plain(each)} {row[each]}" for each in labels[:MOST_LABELS])
    chosen = ", ".join(dict.fromkeys(each for each in result.call.arguments.values() if _is_told(each, told)))
    whole = row[column].removesuffix(".0")
    claim = f"{_plain(column).capitalize()}{f' for {told}' if told else ''}: {whole}"
    period = next((row[each] for each in labels if TIME.search(each)), "")
    return _finding(f"{claim} ({chosen})" if chosen else claim, number(row[column]), result, period)


def _is_told(argument: object, told: str) -> bool:
    """Whether a name that was asked for by an argument has to stand in the claim."""
    return isinstance(argument, str) and bool(re.fullmatch(r"[\w-]{2,30}", argument)) and not mentions(told, argument)


def _of_text(asked: Asked, result: Result) -> list[Finding]:
    """The sentences that are about all that the question names, and share most of its words."""
    scored: list[tuple[float, str]] = []
    heading = ""
    for part in _BREAK.split(result.text):
        text = " ".join(_MARKUP.sub(lambda match: match[1] or "", part).split())
        if text.startswith("#") or not text:
            heading = text or heading
            continue
        around = f"{heading} {result.title} {result.call.name} {'' if names(text) else result.chosen}"
        own, near = asked.sought & stems(text), asked.sought & stems(around)
        is_named = all(says_one([text, around], each) for each in asked.named)
        covers = len(own) >= len(asked.sought) / 2 and len(own | near) >= COVERED * len(asked.sought)
        is_value = bool(near) and bool(re.search(r"\d", text)) and asked.sought <= near
        if is_named and (covers or is_value) and len(text) <= LONGEST_CLAIM and not _SOURCES.search(heading):
            told = f"{DISPUTED}{text}" if _DISPUTED.search(heading) else text
            scored.append((len(own) + 0.4 * len(near - own), told))
    if asked.amounts and any(re.search(r"\d", text) for _, text in scored):
        scored = [each for each in scored if re.search(r"\d", each[1])]
    best = max((score for score, _ in scored), default=0.0)
    chosen = sorted((each for each in scored if each[0] >= best - 1), key=lambda each: -each[0])[:MOST_SENTENCES]
    return [_finding(text, None, result, "") for _, text in chosen]


def _finding(claim: str, value: float | None, result: Result, period: str) -> Finding:
    return Finding(
        claim=claim[:LONGEST_CLAIM].ljust(3, "."),
        value=value,
        unit="",
        period=period[:LONGEST_PERIOD],
        evidence=[result.evidence],
        confidence="low" if claim.startswith(DISPUTED) else "medium",
    )


def _plain(column: str) -> str:
    return column.replace("_", " ").strip()
