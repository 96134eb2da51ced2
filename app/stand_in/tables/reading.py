"""A question about one table, word by word. A word that nothing explains is left over, and then there is no answer."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from app.stand_in import periods
from app.stand_in.periods import Period
from app.stand_in.tables.figures import AVERAGE, HIGHEST, LOWEST, SUM, Figure, count, measure
from app.stand_in.tables.marks import FUNCTION, JOIN, PLACE, C, Marks, Mention, V, Values
from app.stand_in.tables.schema import Column

TOP = 10  # places of a ranking without a number
_COUNTS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_HIGH = "highest|most|largest|biggest|top|best|maximum|max|greatest|strongest"
_LOW = "lowest|least|smallest|fewest|bottom|worst|minimum|min|weakest"
_RATHER = ("best", "worst", "top", "bottom")
_WAYS = {"total": SUM, "sum": SUM, "how much": SUM, "average": AVERAGE, "mean": AVERAGE, "avg": AVERAGE}
_STEPS = {"yearly": "year", "annual": "year", "quarterly": "quarter", "monthly": "month", "daily": "day"}
KNOWN = FUNCTION | {
    *_HIGH.split("|"), *_LOW.split("|"), *_WAYS, *_STEPS, *_STEPS.values(), *_COUNTS, "number", "count", "after",
    "before", "between", "since",
}  # fmt: skip

_N = rf"(?:\d{{1,3}}|{'|'.join(_COUNTS)})"
_JOINED = re.compile(rf"{V}{JOIN} (?:the |in |for )?(?=(?:{C} )?{V})", re.IGNORECASE)
_FILTER = re.compile(
    rf"(?:\b{PLACE} )?(?:the )?[\"\u201c'(]?(?:{C} (?:(?:is|are|=) )?)?{V}(?:['\u2019]s|[)\"\u201d'])?"
    rf"(?: {C}(?! {V}))?",
    re.IGNORECASE,
)
_STEP = re.compile(
    r"(?:\b(?:(?P<which>(?:in )?(?:which|what))|by|per|(?:for |in |of )?(?:each|every))|(?<=\}) and(?: by)?) "
    r"(?P<step>year|quarter|month|day)s?\b|"
    rf"\b(?P<ly>{'|'.join(_STEPS)})\b",
    re.IGNORECASE,
)
_TREND = re.compile(
    r"\bhow (?:did|do|does|has|have)\b(?=.* develop)|\bdevelop(?:ed|ing)?\b|\bover time\b", re.IGNORECASE
)
_WHICH = re.compile(rf"\b(?:{PLACE} )?(?:which|what) (?:(?P<n>{_N}) )?{C}", re.IGNORECASE)
_RANK = re.compile(
    rf"\b(?:(?P<n>{_N}) )?(?P<way>(?P<high>{_HIGH})|{_LOW})\b(?: (?P<more>{_N})\b)?(?: {C})?", re.IGNORECASE
)
_BY = r"\b(?:by|per|(?:for |in |of )?(?:each|every)|across|(?:grouped|split|broken down) by)"
_GROUP = re.compile(rf"{_BY} (?:the )?({C}(?:{JOIN}(?: by| per)? {C})*)", re.IGNORECASE)
_FIGURE = re.compile(
    r"(?:\b(?P<many>how many|(?:total )?(?:number|count) of)(?: (?:the|our|all|different|distinct|unique))* |"
    rf"\b(?P<way>{'|'.join(_WAYS)}) (?:of |number of )?)?(?:\b(?:the|our) )*{C}",
    re.IGNORECASE,
)
_SAYS_NOTHING = re.compile(
    r"\b(?:what|is|are|was|were|the|our|a|an|do|does|did|we|you|i|us|me|have|has|had|there|please|show|give|tell|"
    r"list|of|(?:in|of) (?:the|our) (?:data|table|file)|the data)\b|[?.,;:!()]",
    re.IGNORECASE,
)
_ALTOGETHER = re.compile(r"\b(?:in total|altogether|overall)\b")
_SOLD = re.compile(r"\b(?:sell|sold|make|made|earn|earned|get|got)\b", re.IGNORECASE)


@dataclass
class Reading:
    """What is asked of a table: figure, by what, of which rows, in what order; and why that is not clear."""

    table: str
    figure: Figure | None = None
    groups: list[Column] = field(default_factory=list)
    filters: dict[Column, list[str]] = field(default_factory=dict)
    periods: list[Period] = field(default_factory=list)
    step: str = ""
    time: Column | None = None
    order: str = ""  # ASC or DESC
    most: int = 0  # places, where groups are ranked
    names_table: bool = False
    left: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read(text: str, columns: Sequence[Column], values: Values) -> Reading:
    """The question as one about the table of these columns; `values` are what it may name."""
    return _Reader(Marks(_ALTOGETHER.sub(" ", text), columns, values, KNOWN), columns).read(text)


class _Reader:
    """Takes away one kind of phrase after another."""

    def __init__(self, marks: Marks, columns: Sequence[Column]) -> None:
        self._marks, self._columns = marks, columns
        self._found = Reading(columns[0].table, problems=[*marks.unclear])
        self._way = ""

    def read(self, text: str) -> Reading:
        rest, self._found.periods = periods.taken(self._filters(self._marks.text))
        for step in (self._steps, self._which, self._rank, self._figure, self._groups, self._time):
            rest = step(rest)
        self._left(rest)
        self._found.names_table = any(each.is_rows for each in self._marks.mentions)
        self._found.problems += [] if self._found.problems else self._doubts(text)
        return self._found

    def _filters(self, text: str) -> str:
        def together(match: re.Match[str]) -> str:
            first, second = (self._marks.entries[int(match[each])][0][0] for each in (1, 3))
            if first != second and not match[2]:
                self._found.problems.append(f"'{first.name}' and '{second.name}' cannot be in one list")
            return f"{{v{match[1]}}} "

        def taken(match: re.Match[str]) -> str:
            entries = self._marks.entries[int(match[2])]
            column = entries[0][0]
            if column in self._found.filters and not match[0].startswith("{v"):
                self._found.problems.append(f"{column.name} is told twice")
            self._found.filters.setdefault(column, []).extend(value for _, value in entries)
            others = [
                each for each in (match[1], match[3]) if each and column not in self._marks.mentions[int(each)].columns
            ]
            return " ".join(["", *(f"{{c{each}}}" for each in others), ""])

        return _FILTER.sub(taken, _JOINED.sub(together, text))

    def _steps(self, text: str) -> str:
        """`by month`, `which year`, `monthly`, `how did it develop`."""
        if _TREND.search(text):
            is_year = [len(each.label) for each in self._found.periods] == [4]
            self._found.step, text = "month" if is_year else "year", _TREND.sub(" ", text)
        if not (match := _STEP.search(text)):
            return text
        self._found.most = 1 if match["which"] else 0
        self._found.step = _STEPS[match["ly"].casefold()] if match["ly"] else match["step"].casefold()
        after = re.sub(rf"^{JOIN} (?:by )?(?={C})", " by ", text[match.end() :])
        return f"{text[: match.start()]} {after}"

    def _which(self, text: str) -> str:
        """`which customer`: what rows are grouped by."""
        match = _WHICH.search(text)
        if not match or not (mention := self._marks.mentions[int(match[2])]).groups:
            return text
        self._found.groups, self._found.most = mention.groups, _places(match["n"], mention.said)
        return text.replace(match[0], " ", 1)

    def _rank(self, text: str) -> str:
        """`top 3 customers`, `the highest revenue` (of whichever is asked for, or of all rows), `most orders`."""
        match = _RANK.search(text)
        if not match:
            self._found.most = 0
            return text
        mention = self._marks.mentions[int(match[5])] if match[5] else Mention("", [], is_rows=False)
        mark, number = f" {{c{match[5]}}} " if match[5] else " ", match["n"] or match["more"] or ""
        self._found.order, self._way = "DESC" if match["high"] else "ASC", match["way"].lower()
        if self._found.most:
            mark = f" how many{mark}" if match[5] and not mention.measures else mark
        elif mention.groups and not mention.measures:
            self._found.groups, self._found.most = mention.groups, _places(number, mention.said)
            mark, number = " ", ""
        return text.replace(match[0], mark + number, 1)

    def _figure(self, text: str) -> str:
        """What is counted or computed: the first that says how, else the first measure."""
        said = sorted(_FIGURE.finditer(text), key=lambda each: not (each["many"] or each["way"]))
        for match in said:
            mention = self._marks.mentions[int(match[3])]
            if match["many"] or mention.measures:
                way = _WAYS.get((match["way"] or "").lower(), "")
                figure = count(mention) if match["many"] else self._computed(mention, way)
                if isinstance(figure, str):
                    self._found.problems.append(figure)
                else:
                    self._found.figure = figure
                before = text[: match.start()]
                before = re.sub(r"\b(?:by|with) $", "", before) if self._found.most else before
                return f"{before} {text[match.end() :]}"
        return text

    def _computed(self, mention: Mention, way: str) -> Figure | str:
        """The highest of what is added up has the highest sum; of others, and of single rows, the highest value."""
        is_sum = bool(self._found.most) and any(each.is_added_up is not False for each in mention.measures)
        extreme = {"DESC": HIGHEST, "ASC": LOWEST}.get(self._found.order, "")
        return measure(mention, way or ("" if is_sum else extreme))

    def _groups(self, text: str) -> str:
        for match in [*_GROUP.finditer(text)]:
            mentions = [self._marks.mentions[int(each)] for each in re.findall(C, match[1])]
            if self._found.step and not any(each.groups or each.measures for each in mentions):
                continue  # "by month by order date"
            for each in mentions:
                columns = each.groups or list(each.columns)
                if not columns or (len(columns) > 1 and not each.groups):
                    self._found.problems.append(f"'{each.said}' is not one column")
                self._found.groups += [column for column in columns if column not in self._found.groups]
            if self._found.most:
                self._found.problems.append("it ranks one thing at a time")
            text = text.replace(match[0], " ", 1)
        return text

    def _time(self, text: str) -> str:
        """Which column of time is meant, where the question has a period or a step of time."""
        if not (self._found.periods or self._found.step):
            return text
        times = [each for each in self._columns if each.is_time]
        named = {at: {*each.columns} for at, each in enumerate(self._marks.mentions) if {*each.columns} & {*times}}
        only = [columns for columns in named.values() if columns <= {*times}] or [*named.values()]
        own = [each for each in times if any(each in columns for columns in only)] or times
        if len(own) != 1:
            names = ", ".join(each.name for each in own)
            self._found.problems.append(f"the time may be that of {names}; say which" if own else "no column is a time")
        elif own[0].is_number and not self._has_whole_years():
            self._found.problems.append(f"{own[0].name} tells no more than the year")
        else:
            self._found.time = own[0]
        for at in named:
            text = re.sub(rf"(?:\b(?:by|in|on) (?:the )?)?\{{c{at}\}}", " ", text)
        return text

    def _has_whole_years(self) -> bool:
        ends = [end for each in self._found.periods for end in (each.start, each.end)]
        return self._found.step in {"", "year"} and all(each.endswith("-01-01") for each in ends if each)

    def _left(self, text: str) -> None:
        """What is left of the question."""
        for at, each in enumerate(self._marks.mentions):
            if each.is_rows:
                text = re.sub(rf"\b(?:in|of|from) (?:the |our )?(?:table )?\{{c{at}\}}", " ", text)
        text = _SAYS_NOTHING.sub(" ", text)
        text = re.sub(r"\bwho\b", " ", text, flags=re.IGNORECASE) if self._found.most else text
        if self._found.figure and self._found.figure.column:
            text = re.sub(rf"\bin {self._found.figure.column.unit}\b", " ", _SOLD.sub(" ", text), flags=re.IGNORECASE)
        self._found.left = re.sub(C, lambda match: self._marks.mentions[int(match[1])].said, text).split()

    def _doubts(self, text: str) -> Iterator[str]:
        """What can be read in two ways."""
        figure, grouped = self._found.figure, self._found.groups or self._found.step
        if not figure:
            yield "it names nothing to count, add up or average"
        elif column := figure.column:
            if self._way in _RATHER and figure.way != SUM:
                yield f"it cannot tell which {column.name} is the {self._way}"
            if self._found.order and not self._found.most and grouped and column.is_added_up:
                yield f"'{self._way}' may be that of a row or of a sum; ask which has the {self._way} {column.name}"
            if figure.way == AVERAGE and column.is_added_up and grouped and re.search(r"\bper\b", text, re.IGNORECASE):
                yield "an average per something may be that of rows or of sums; write 'by' for that of rows"


def _places(number: str | None, said: str) -> int:
    """How many places of a ranking are asked for."""
    return (_COUNTS.get(number.lower()) or int(number)) if number else TOP if said.endswith("s") else 1
