"""What a text says, by its words alone: stems, names, years, and the questions that it is made of."""

import re
from collections.abc import Iterable
from functools import lru_cache

FILLER = frozenset(
    """a about according after all also am an and any are as at be been before being between both but by can could did
    do does doing done down each find for from get give given gives had has have having how i if in into is it its
    itself just like list many me mean more most much my no not of off on one only or other our out over own per
    please published region said say says show so some source sources such tell than that the their them then there
    these they this those through to too under until up us use very was we were what when where which while who whom
    why will with would year years you your answer data question""".split()  # noqa: SIM905
)


_ENDINGS = ("ations", "ation", "ments", "ment", "ings", "ing", "ers", "ies", "ly", "ed", "er", "es", "s")
LETTERS = 4  # of a stem, at least


def stemmed(word: str) -> str:
    """The word without a common English ending; four letters stay."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= LETTERS:
            return word[: -len(ending)]
    return word.removesuffix("e") if len(word) > LETTERS else word


QUESTION_WORDS = (
    "how|what|which|who|whom|whose|when|where|why|did|do|does|is|are|was|were|has|have|will|can|could|forecast|predict|"
    "project|estimate|compare|plot|chart|graph|show|draw|give|list|tell|compute|calculate|explain|find|describe|say"
)
_CLAUSE = re.compile(
    rf"(?<=[?!;])\s+|(?<=[a-z0-9)]\.)\s+(?=[A-Z])|,?\s+(?:and|but|then)\s+(?:also\s+|then\s+)?"
    rf"(?=(?:{QUESTION_WORDS})\b)|,\s+(?=(?:{QUESTION_WORDS})\b)",
    re.IGNORECASE,
)
REFERS_BACK = re.compile(
    r"\b(?:there|it|its|they|their|them|that|those|these|same|both|the country|the region)\b", re.IGNORECASE
)
_SAY_NOTHING = FILLER - {"most", "region", "year", "years"}
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)?")
_YEAR = re.compile(r"(?<![\w.,-])(?:19|20|21)\d\d(?![\w,.]*\d|%)")
_PART = r"(?:[A-Z\u00c0-\u00de][\w&/-]*|[A-Za-z]*-?\d+[\w-]*)"
_NAME = re.compile(
    rf"[\"\u201c](?P<quoted>[^\"\u201d\n]{{2,60}})[\"\u201d]|(?<![\w'])(?P<name>[A-Z\u00c0-\u00de][\w&/-]*(?: {_PART})*"
    r"|[a-z]+-?\d[\w-]*)"
)
_FORMS = ("", "s", "es", "n", "an", "y")  # Romans are of a Roman; what goes on otherwise is another name
_NO_NAMES = {"i", "and", *QUESTION_WORDS.split("|")}
_START = re.compile(r"(?:^|[.?!;]\s+|\n)\W*$")
_JOINED = re.compile(r"\s*(?:,|,? and|,? or|&|versus|vs\.?|compared (?:to|with)|with|than)\s+(?:in |of |for |the )*")


def words(text: str) -> list[str]:
    """Lower case, without a genitive."""
    return [re.sub(r"['\u2019]s?$", "", each.lower()) for each in _WORD.findall(text.replace("_", " "))]


@lru_cache(4096)
def stems(text: str) -> frozenset[str]:
    """The stems of the words that carry the meaning; years and other numbers are none."""
    return frozenset(_singular(each) for each in words(text) if each not in _SAY_NOTHING and not each.isdecimal())


def clauses(question: str) -> list[str]:
    """The single questions of a question."""
    text = " ".join(question.split())
    return [clause.strip(" ,;") for clause in _CLAUSE.split(text) if clause and clause.strip(" ,;.?!")]


def to_look_up(question: str, computing: str) -> str:
    """The question without what is to be computed from its answer, in the steps of time that this needs."""
    done_later = stems(question) & stems(computing)
    rest = " ".join(each for each in question.split() if not stems(each) & done_later)
    rest = _YEAR.sub("", rest) if done_later & _AHEAD else rest  # no data tell of the years to come
    step = "month" if done_later & _BY_MONTH else "year" if done_later & _BY_YEAR else ""
    return f"{rest.rstrip(' ?.')} by {step}" if step and step not in rest else rest


def years(text: str) -> list[str]:
    """Each once, in their order."""
    return list(dict.fromkeys(_YEAR.findall(text)))


def names(text: str) -> list[list[str]]:
    """Names, codes and quoted words. Those that stand in one list ("A, B and C") are alternatives of one another."""
    groups: list[list[str]] = []
    end = -1
    for match in _NAME.finditer(text):
        name = match["quoted"] or _without_start(match["name"], text[: match.start()])
        if not name:
            continue
        if groups and _JOINED.fullmatch(text[end : match.start()]):
            groups[-1].append(name)
        else:
            groups.append([name])
        end = match.end()
    return groups


def is_name(cell: str) -> bool:
    """Whether a cell of a table names something, by the capitals of all its words: `Bolt M8`, `New York`."""
    return bool(re.fullmatch(r"[A-Z\u00c0-\u00de][\w&.-]*(?: [A-Z\u00c0-\u00de\d][\w&.-]*)*", cell))


def mentions(text: str, name: str) -> bool:
    """Whether the text has every word of the name, in any of its forms ("Roman" is in "Romans")."""
    known = {_singular(each) for each in words(text)}
    parts = [_singular(each) for each in words(name)]
    return all(any(f"{each}{ending}" in known for ending in _FORMS[: 1 if len(each) < 5 else None]) for each in parts)


def says_one(texts: Iterable[str], alternatives: Iterable[str]) -> bool:
    """Whether one of the texts mentions one of the alternatives."""
    whole = " ".join(texts)
    return any(mentions(whole, each) for each in alternatives)


@lru_cache(100_000)
def _singular(word: str) -> str:
    stem = stemmed(word)
    return stem.removesuffix("s") if len(stem) > 3 else stem


def _without_start(name: str, before: str) -> str:
    """A word is a name by its capital only where no sentence begins; a year is none."""
    parts = name.split()
    if _START.search(before) and not (parts[0][1:].isupper() or re.search(r"\d", parts[0])):
        parts = parts[1:]
    if len(parts) and parts[-1].isdecimal() and _YEAR.fullmatch(parts[-1]):
        parts = parts[:-1]
    return " ".join(each for each in parts if each.lower() not in _NO_NAMES)


_AHEAD = stems("forecast forecasts forecasting prediction")
_BY_MONTH = _AHEAD | stems("season seasons seasonality seasonal")
_BY_YEAR = stems("growth cagr")
