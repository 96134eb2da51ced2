"""A question about one table, word by word. A word that nothing explains is left over, and then there is no answer."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from app.stand_in import periods
from app.stand_in.periods import Period
from app.stand_in.tables.figures import AVERAGE, HIGHEST, LOWEST, SUM, Figure, Mention, count, measure
from app.stand_in.tables.schema import LONGEST_VALUE, Column, stems

Values = Mapping[str, Sequence[tuple[Column, str]]]

SHORT, TOP = 3, 10  # letters up to which a value counts only in its own capitals; places of a ranking without a number
_COUNTS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_HIGH = "highest|most|largest|biggest|top|best|maximum|max|greatest|strongest"
_LOW = "lowest|least|smallest|fewest|bottom|worst|minimum|min|weakest"
_WAYS = {"total": SUM, "sum": SUM, "overall": SUM, "how much": SUM, "average": AVERAGE, "mean": AVERAGE, "avg": AVERAGE}
_STEPS = {"yearly": "year", "annual": "year", "quarterly": "quarter", "monthly": "month", "daily": "day"}
_ROWS = {stems(each) for each in ("rows", "records", "entries")}

_N = rf"(?:\d{{1,3}}|{'|'.join(_COUNTS)})"
_C, _V = r"\{c(\d+)\}", r"\{v(\d+)\}"
_PLACE = r"(?:in|for|of|from|at|with|to|by|on|about)"
_RATHER = ("best", "worst", "top", "bottom")
_JOIN = r"(?:,? and|,? or|,|,? &)"
_PLACED = re.compile(rf"(?:\b{_PLACE} (?:the )?[\"\u201c'(]?|\(|[\"\u201c]|{_V}{_JOIN} (?:the )?)$", re.IGNORECASE)
_NAMED = re.compile(rf"{_C}(?: is| are| =|:)? ?(?:the )?[\"\u201c']?$")
_JOINED = re.compile(rf"{_V}{_JOIN} (?:the |in |for )?(?={_V})", re.IGNORECASE)
_FILTER = re.compile(
    rf"(?:\b{_PLACE} )?(?:the )?[\"\u201c'(]?(?:{_C} (?:(?:is|are|=) )?)?{_V}(?:['\u2019]s|[)\"\u201d'])?(?: {_C})?",
    re.I,
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
_WHICH = re.compile(rf"\b(?:{_PLACE} )?(?:which|what) (?:(?P<n>{_N}) )?{_C}", re.IGNORECASE)
_RANK = re.compile(
    rf"\b(?:(?P<n>{_N}) )?(?P<way>(?P<high>{_HIGH})|{_LOW})\b(?: (?P<more>{_N})\b)?(?: {_C})?", re.IGNORECASE
)
_BY = r"\b(?:by|per|(?:for |in |of )?(?:each|every)|across|(?:grouped|split|broken down) by)"
_GROUP = re.compile(rf"{_BY} (?:the )?({_C}(?:{_JOIN}(?: by| per)? {_C})*)", re.IGNORECASE)
_FIGURE = re.compile(
    r"(?:\b(?P<many>how many|(?:total |overall )?(?:number|count) of)(?: (?:the|our|all|different|distinct|unique))* |"
    rf"\b(?P<way>{'|'.join(_WAYS)}) (?:of |number of )?)?(?:\b(?:the|our) )*{_C}",
    re.IGNORECASE,
)
_SAYS_NOTHING = re.compile(
    r"\b(?:what|is|are|was|were|the|our|a|an|do|does|did|we|you|i|us|me|have|has|had|there|please|show|give|tell|"
    r"list|of|altogether|overall|in total|(?:in|of) (?:the|our) (?:data|table|file)|the data)\b|[?.,;:!()]",
    re.IGNORECASE,
)
_SOLD = re.compile(r"\b(?:sell|sold|make|made|earn|earned|get|got)\b", re.IGNORECASE)
KNOWN = frozenset(
    f"{_HIGH}|{_LOW}|{'|'.join(_WAYS)}|{'|'.join(_COUNTS)}|{'|'.join(_STEPS)}|how|many|much|number|count|what|who|which|is|"
    "are|was|were|the|our|a|an|do|does|did|we|you|i|us|me|have|has|had|there|please|show|give|tell|list|of|in|for|from|"
    "at|with|to|by|on|about|per|each|every|all|different|distinct|unique|and|or|since|before|after|between|year|quarter|"
    "month|day".replace(" ", "|").split("|")
)


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
    """The question as one about the table of these columns; `values` are what it may name, by their lower case."""
    return _Reader(columns, values).read(re.sub(r"[{}]", " ", text))


class _Reader:
    """Replaces names of columns by `{c0}` and values by `{v0}`, then takes away one kind of phrase after another."""

    def __init__(self, columns: Sequence[Column], values: Values) -> None:
        self._columns, self._values = columns, values
        self._mentions: list[Mention] = []
        self._entries: list[list[tuple[Column, str]]] = []
        self._found = Reading(columns[0].table)
        self._way = ""

    def read(self, text: str) -> Reading:
        rest = self._filters(self._marked(text))
        rest, self._found.periods = periods.taken(rest)
        for step in (self._steps, self._which, self._rank, self._figure, self._groups, self._time):
            rest = step(rest)
        self._left(rest)
        self._found.names_table = any(each.is_rows for each in self._mentions)
        self._found.problems += [] if self._found.problems else self._doubts(text)
        return self._found

    def _marked(self, text: str) -> str:
        """The text with marks; the longest name or value comes first."""
        found = [*re.finditer(r"\w+", text)]
        out, done, at = "", 0, 0
        while at < len(found):
            start, before = found[at].start(), out + text[done : found[at].start()]
            for last in range(min(at + LONGEST_VALUE, len(found)) - 1, at - 1, -1):
                end = found[last].end()
                said, after = text[start:end], text[end:]
                if mark := self._value(before, said, after) or self._name(said, after):
                    out, done, at = before + mark, end, last + 1
                    break
            else:
                out, done, at = before + found[at].group(), found[at].end(), at + 1
        return out + text[done:]

    def _name(self, said: str, after: str) -> str:
        """A mark for what names columns, or the rows of the table."""
        named = self._named(said)
        following = re.match(r" (?:of )?(?:the |our )?(\w+)", after)
        is_word = said.lower() in KNOWN and following and self._named(following[1])  # "number of orders"
        if not named or is_word or re.fullmatch(rf"(?i:{_PLACE}|{_SAYS_NOTHING.pattern})", said):
            return ""
        self._mentions.append(named)
        return f"{{c{len(self._mentions) - 1}}}"

    def _named(self, said: str) -> Mention | None:
        own = stems(said)
        columns = [each for each in self._columns if each.is_named(own)]
        is_rows = own == stems(self._found.table) or own in _ROWS
        return Mention(said, columns, is_rows) if own and (columns or is_rows) else None

    def _value(self, before: str, said: str, after: str) -> str:
        """A mark for a value that stands beside its column's name, after a preposition, in quotes or in a list."""
        known = [each for each in self._values.get(said.lower(), []) if each[0] in self._columns]
        known = [each for each in known if each[1] == said or (len(said) > SHORT and said.lower() not in KNOWN)]
        named = _NAMED.search(before)
        following = [stems(each[0]) for each in (re.match(r" \w+(?: \w+)?", after), re.match(r" \w+", after)) if each]
        beside = self._mentions[int(named[1])].columns if named else []
        chosen = [each for each in known if each[0] in beside or any(map(each[0].is_named, following))]
        is_placed = _PLACED.search(before) or re.match(r"['\u2019]s\b", after)
        if not chosen and is_placed and not said.isdigit() and not self._named(said):
            chosen = known
        if not chosen:
            return ""
        if len(columns := {each.name for each, _ in chosen}) > 1:
            self._found.problems.append(f"'{said}' is in {' and in '.join(sorted(columns))}; say which")
        self._entries.append(chosen)
        return f"{{v{len(self._entries) - 1}}}"

    def _filters(self, text: str) -> str:
        def together(match: re.Match[str]) -> str:
            first, second = (self._entries[int(each)][0][0] for each in match.groups())
            if first != second:
                self._found.problems.append(f"'{first.name}' and '{second.name}' cannot be in one list")
            return f"{{v{match[1]}}} "

        def taken(match: re.Match[str]) -> str:
            entries = self._entries[int(match[2])]
            column = entries[0][0]
            if column in self._found.filters and not match[0].startswith("{v"):
                self._found.problems.append(f"{column.name} is told twice")
            self._found.filters.setdefault(column, []).extend(value for _, value in entries)
            others = [each for each in (match[1], match[3]) if each and column not in self._mentions[int(each)].columns]
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
        self._found.step = _STEPS[match["ly"].lower()] if match["ly"] else match["step"].lower()
        after = re.sub(rf"^{_JOIN} (?:by )?(?={_C})", " by ", text[match.end() :])
        return f"{text[: match.start()]} {after}"

    def _which(self, text: str) -> str:
        """`which customer`: what rows are grouped by."""
        match = _WHICH.search(text)
        if not match or not (mention := self._mentions[int(match[2])]).groups:
            return text
        self._found.groups, self._found.most = mention.groups, _places(match["n"], mention.said)
        return text.replace(match[0], " ", 1)

    def _rank(self, text: str) -> str:
        """`top 3 customers`, `the highest revenue` (of whichever is asked for, or of all rows), `most orders`."""
        match = _RANK.search(text)
        if not match:
            self._found.most = 0
            return text
        mention = self._mentions[int(match[5])] if match[5] else Mention("", [], is_rows=False)
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
            mention = self._mentions[int(match[3])]
            if match["many"] or mention.measures:
                way = _WAYS.get((match["way"] or "").lower(), "")
                figure = count(mention) if match["many"] else self._computed(mention, way)
                if isinstance(figure, str):
                    self._found.problems.append(figure)
                else:
                    self._found.figure = figure
                before = text[: match.start()]
                return (
                    (re.sub(r"\b(?:by|with) $", " ", before) if self._found.most else before)
                    + " "
                    + text[match.end() :]
                )
        return text

    def _computed(self, mention: Mention, way: str) -> Figure | str:
        """The highest of what is added up has the highest sum; of others, and of single rows, the highest value."""
        is_sum = bool(self._found.most) and any(each.is_added_up is not False for each in mention.measures)
        extreme = {"DESC": HIGHEST, "ASC": LOWEST}.get(self._found.order, "")
        return measure(mention, way or ("" if is_sum else extreme))

    def _groups(self, text: str) -> str:
        for match in [*_GROUP.finditer(text)]:
            mentions = [self._mentions[int(each)] for each in re.findall(_C, match[1])]
            if self._found.step and not any(each.groups or each.measures for each in mentions):
                continue  # "by month by order date"
            for each in mentions:
                columns = each.groups or list(each.columns)
                if not columns or (len(columns) > 1 and not each.groups):
                    self._found.problems.append(f"'{each.said}' is not one column")
                self._found.groups += [column for column in columns if column not in self._found.groups]
            text = text.replace(match[0], " ", 1)
        return text

    def _time(self, text: str) -> str:
        """Which column of time is meant, where the question has a period or a step of time."""
        if not (self._found.periods or self._found.step):
            return text
        times = [each for each in self._columns if each.is_time]
        named = {at: each.columns for at, each in enumerate(self._mentions) if {*each.columns} & {*times}}
        own = [each for each in times if any(each in columns for columns in named.values())] or times
        if len(own) != 1:
            names = ", ".join(each.name for each in own)
            self._found.problems.append(f"the time may be that of {names}; say which" if own else "no column is a time")
        else:
            self._found.time = own[0]
        for at in named:
            text = re.sub(rf"(?:\b(?:by|in|on) (?:the )?)?\{{c{at}\}}", " ", text)
        return text

    def _left(self, text: str) -> None:
        """What is left of the question."""
        for at, each in enumerate(self._mentions):
            if each.is_rows:
                text = re.sub(rf"\b(?:in|of|from) (?:the |our )?(?:table )?\{{c{at}\}}", " ", text)
        text = _SAYS_NOTHING.sub(" ", text)
        text = re.sub(r"\bwho\b", " ", text, flags=re.IGNORECASE) if self._found.most else text
        if self._found.figure and self._found.figure.column:
            text = re.sub(rf"\bin {self._found.figure.column.unit}\b", " ", _SOLD.sub(" ", text), flags=re.IGNORECASE)
        self._found.left = re.sub(_C, lambda match: self._mentions[int(match[1])].said, text).split()

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
