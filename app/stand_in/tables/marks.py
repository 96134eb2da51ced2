"""A question with marks for what it names: `{c0}` for columns or the rows of a table, `{v0}` for values of the data."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from app.stand_in.tables.schema import LONGEST_VALUE, Column, stems

Values = Mapping[str, Sequence[tuple[Column, str]]]  # columns and spellings by the text in lower case

C, V = r"\{c(\d+)\}", r"\{v(\d+)\}"
PLACE = r"(?:in|for|of|from|at|with|to|by|on|about)"
JOIN = r"(?:,? and|,? or|,|,? &)"
FUNCTION = frozenset(  # words that name nothing
    """a about all an and are at by did different distinct do does each every for from give had has have how i in is
    list many me much of on or our per please show tell the there to unique us was we were what which who with
    you""".split()  # noqa: SIM905
)
SHORT = 3  # letters up to which a value counts only in its own capitals
_ROWS = {stems(each) for each in ("rows", "records", "entries")}
_PLACED = re.compile(rf"(?:\b{PLACE} (?:the )?[\"\u201c'(]?|[(\"\u201c]|{V}{JOIN} (?:the )?)$", re.IGNORECASE)
_NAMED = re.compile(rf"{C}(?: is| are| =|:)? ?(?:the )?[\"\u201c']?$")


class Mention(NamedTuple):
    """Words of a question that name columns, or the rows of the table."""

    said: str
    columns: Sequence[Column]
    is_rows: bool

    @property
    def measures(self) -> list[Column]:
        return [each for each in self.columns if each.is_measure]

    @property
    def groups(self) -> list[Column]:
        """What rows can be grouped by: the column that is called just so, else all that differ by `id` or `name`."""
        found = [each for each in self.columns if not each.is_measure and not each.is_time]
        exact = [each for each in found if len(each.stems) == min(len(other.stems) for other in found)]
        return exact if len(exact) == 1 else found


class Marks:
    """The marks of a question about the table of these columns. `unclear` are values that several columns hold."""

    def __init__(self, text: str, columns: Sequence[Column], values: Values, known: frozenset[str]) -> None:
        self._columns, self._values, self._known = columns, values, known
        self.mentions: list[Mention] = []
        self.entries: list[Sequence[tuple[Column, str]]] = []
        self.unclear: list[str] = []
        self.text = self._marked(re.sub(r"[{}]", " ", text))

    def _marked(self, text: str) -> str:
        """The longest name or value comes first."""
        found = [*re.finditer(r"\w+", text)]
        out, done, at = "", 0, 0
        while at < len(found):
            out += text[done : found[at].start()]
            for last in range(min(at + LONGEST_VALUE, len(found)) - 1, at - 1, -1):
                done = found[last].end()
                said, after = text[found[at].start() : done], text[done:]
                if mark := self._value(out, said, after) or self._name(said, after):
                    break
            out, at = out + (mark or said), last + 1
        return out + text[done:]

    def _name(self, said: str, after: str) -> str:
        """A mark for columns or rows. What stands before their names is none, as the number in "number of orders"."""
        named, following = self._named(said), re.match(r" (?:of )?(?:the |our )?(\w+)", after)
        is_before = said.lower() in self._known and following and self._named(following[1])
        if not named or is_before or said.lower() in FUNCTION:
            return ""
        self.mentions.append(named)
        return f"{{c{len(self.mentions) - 1}}}"

    def _named(self, said: str) -> Mention | None:
        own = stems(said)
        columns = [each for each in self._columns if each.is_named(own)]
        is_rows = own == stems(self._columns[0].table) or own in _ROWS
        return Mention(said, columns, is_rows) if columns or is_rows else None

    def _value(self, before: str, said: str, after: str) -> str:
        """A mark for a value beside its column's name, after a preposition, in quotes, in a list, or a genitive."""
        held = [each for each in self._values.get(said.lower(), []) if each[0] in self._columns]
        held = [each for each in held if each[1] == said or (len(said) > SHORT and said.lower() not in self._known)]
        named = _NAMED.search(before)
        beside = self.mentions[int(named[1])].columns if named else []
        next_words = [stems(each[0]) for each in (re.match(rf" \w+{more}", after) for more in ("", r" \w+")) if each]
        chosen = [each for each in held if each[0] in beside or any(map(each[0].is_named, next_words))]
        is_placed = _PLACED.search(before) or re.match(r"['\u2019]s\b", after)
        if is_placed and not said.isdigit() and not self._named(said):
            chosen = chosen or held
        if not chosen:
            return ""
        if len(columns := {each.name for each, _ in chosen}) > 1:
            self.unclear.append(f"'{said}' is in {' and in '.join(sorted(columns))}; say which")
        self.entries.append(chosen)
        return f"{{v{len(self.entries) - 1}}}"
