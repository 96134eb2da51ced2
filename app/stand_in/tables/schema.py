"""The columns that a tool describes, and a look into the data for the values that a question may name."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from app.stand_in.periods import starts_with_one
from app.stand_in.results import Result, number
from app.stand_in.words import stemmed, words

LONGEST_VALUE, WHOLE = 6, 700  # words of a value; characters up to which a list of values cannot have been cut
_FOUND = ("column_number", "entry")  # what a look gives
_ENDING = re.compile(r"(?<=[^\W_]{3})[esniy]{1,3}$")  # so that cities are of a city, and Kunden of a Kunde
_SAID = (("table", "table_name"), ("column", "column_name"), ("type", "data_type"))
_NUMERIC = re.compile(r"int|dec|num|float|double|real", re.IGNORECASE)
_KEY = re.compile(
    r"(?:^|_)(?:id|key|code|no|number|zip|plz)$|(?:nr|nummer|numero)$|^(?:id|num|no|nr|numero|code)_", re.IGNORECASE
)
_TAIL = frozenset(  # words of a column's name that people leave out
    """id no nr num number nummer key code name date datum day at am on time datetime timestamp eur usd gbp chf pct
    percent kg km cm mm kwh c f m g h l v""".split()  # noqa: SIM905
)
_ADDED_UP = re.compile(
    r"revenue|amount|sales|turnover|income|earning|cost|spend|expense|fee|paid|unit|quantity|qty|piece|volume|hours|"
    r"minutes|total|umsatz|betrag|menge|anzahl|stueck|stuck|summe|kosten|gebuehr|gebuhr|einnahme|ausgabe|montant|"
    r"quantite|visit|click|chiffre|importe|cantidad|ventas",
    re.IGNORECASE,
)
_NOT_ADDED_UP = re.compile(
    r"price|preis|prix|precio|(?:^|_)(?:unit|per|pro)_|rate|pct|percent|prozent|share|ratio|average|avg|score|age$|alter|"
    r"temperatur|level|margin|note|grade|rank|index|year|latitude|longitude|growth|change|cumul|running|stock|balance|"
    r"saldo|bestand|inventory|^total_(?!amount|price|cost|revenue|sales)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Column:
    """A column of a table. `values` are all that it holds, where they are few."""

    table: str
    name: str
    type: str
    description: str = ""
    values: str = ""

    @property
    def is_number(self) -> bool:
        return bool(_NUMERIC.search(self.type))

    @property
    def is_key(self) -> bool:
        return bool(_KEY.search(self.name))

    @property
    def is_measure(self) -> bool:
        return self.is_number and not self.is_key and not self.is_time

    @property
    def is_time(self) -> bool:
        return bool(re.search(r"date|timestamp", self.type, re.IGNORECASE)) or (self.is_number and self.name == "year")

    @property
    def is_added_up(self) -> bool | None:
        """Whether its sum means something; None where nobody can tell."""
        if _NOT_ADDED_UP.search(self.name):
            return False
        return True if _ADDED_UP.search(self.name) or self.currency or self.other_currency else None

    @property
    def currency(self) -> str:
        """The code of its only currency."""
        found = re.search(r"\bcurrency: ([A-Z]{3})\b", self.description)
        return found[1] if found else ""

    @property
    def unit(self) -> str:
        """Its currency, or the last part of its name, as in `revenue_eur`."""
        return self.currency or re.escape(_split(self.name)[-1])

    @property
    def other_currency(self) -> str:
        """The column that tells in which of several currencies an amount is."""
        found = re.search(r"\bcurrency: in ([^;]+)", self.description)
        return found[1].strip() if found else ""

    @cached_property
    def stems(self) -> frozenset[str]:
        return stems(self.name)

    def is_named(self, said: frozenset[str]) -> bool:
        """Whether these words are its name, which may lack an ending such as `id`, `date` or a unit."""
        core = stems(" ".join(each for each in _split(self.name) if each not in _TAIL)) or self.stems
        return core <= said <= self.stems


def columns_of(results: Iterable[Result]) -> list[Column]:
    """The columns that results describe."""
    rows = [row for result in results for row in result.table.rows]
    told = [[row.get(each) or row.get(other, "") for each, other in _SAID] for row in rows]
    return [
        Column(table, name, kind, row.get("description", ""), row.get("values", ""))
        for row, (table, name, kind) in zip(rows, told, strict=True)
        if table and name
    ]


def stems(text: str) -> frozenset[str]:
    """The stems of all words of a name."""
    return frozenset(_ENDING.sub("", stemmed(each)) for each in _split(text))


def _split(name: str) -> list[str]:
    return words(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))


def quoted(name: str) -> str:
    """The name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """The text as SQL."""
    return "'" + value.replace("'", "''") + "'"


def phrases(text: str, known: frozenset[str], columns: Sequence[Column]) -> list[str]:
    """What in a text may be a value, in lower case: some words with one that is neither known nor names a column."""
    found = [*re.finditer(r"\w+", text)]
    is_known: list[bool] = []
    for at, word in enumerate(each.group() for each in found):
        is_number_of = word.isdigit() and is_known[-1:] != [False]  # "top 3", but not "room 3"
        is_known.append(is_number_of or word == "s" or (word.lower() in known and (word.islower() or not at)))
    tables = {stems(each.table) for each in columns}
    names = [
        (own := stems(each.group())) in tables or any(column.is_named(own) for column in columns) for each in found
    ]
    spans = [
        (first, last)
        for first in range(len(found))
        for last in range(first, min(first + LONGEST_VALUE, len(found)))
        if not all(is_known[at] or names[at] for at in range(first, last + 1))
        and not is_known[last]
        and not (is_known[first] and is_known[first + 1])
    ]
    said = [
        text[found[first].start() : found[last].end()]
        for first, last in spans
        if not starts_with_one(text[found[first].start() :])
    ]
    return list(dict.fromkeys(each.lower() for each in said))


def _may_hold(column: Column, said: Sequence[str]) -> bool:
    """Whether a column may have one of these values: its list may be a range, or cut."""
    listed = column.values.lower()
    is_whole = listed and ".." not in listed and len(listed) < WHOLE
    return not is_whole or any(each in listed for each in said)


def is_look(columns: Sequence[str]) -> bool:
    """Whether a table with these columns is what a look gave."""
    return tuple(columns) == _FOUND


def look(said: Sequence[str], columns: Sequence[Column]) -> str:
    """A statement that gives the values of all columns that are one of these texts, or ""."""
    has_digits = any(each.isdigit() for each in said)
    texts = [
        each for each in columns if not each.is_time and (has_digits or not each.is_number) and not _is_quantity(each)
    ]
    arms = [
        f"SELECT DISTINCT {columns.index(each)} AS {_FOUND[0]}, {entry} AS {_FOUND[1]} FROM {quoted(each.table)} "  # noqa: S608
        f"WHERE rtrim(lower({entry}), '.') IN (SELECT word FROM said)"
        for each in texts
        if _may_hold(each, said) and (entry := f"CAST({quoted(each.name)} AS VARCHAR)")
    ]
    listed = ", ".join(f"({literal(each)})" for each in said)
    return f"WITH said(word) AS (VALUES {listed}) {' UNION ALL '.join(arms)}" if said and arms else ""


def looked_up(result: Result, columns: Sequence[Column]) -> Mapping[str, list[tuple[Column, str]]]:
    """The columns that hold a text, and how they spell it, by the text in lower case and without a last dot."""
    found: dict[str, list[tuple[Column, str]]] = {}
    for row in result.table.rows:
        at = number(row.get(_FOUND[0], ""))
        if at is not None and int(at) < len(columns):
            found.setdefault(row[_FOUND[1]].lower().rstrip("."), []).append((columns[int(at)], row[_FOUND[1]]))
    return found


def _is_quantity(column: Column) -> bool:
    return column.is_number and not re.search("int", column.type, re.IGNORECASE)
