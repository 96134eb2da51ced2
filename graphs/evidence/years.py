"""Finds the years in a text: a bare 1990 to 2040, if the context says so. In doubt it counts as a quantity.

The text directly before and after decides. Joined years (2024 and 2025, 2023 to 2025) are judged together, by what
precedes the first and follows the last.
"""

import re
from collections.abc import Iterator

CURRENCIES = "EUR|USD|GBP|NOK|SEK|CHF|DKK"
_SIGNS = "$\u20ac\u00a3\u00a5"
_SEEN = 80  # characters of context on either side
YEAR = r"(?:199\d|20[0-3]\d|2040)"
UNTIL = r"\s{0,3}(?:[-\u2013\u2014]|\b(?:to|through|until|till)\b)\s{0,3}"
_JOIN = rf"(?:{UNTIL}|\s{{0,3}}(?:/|,? ?\b(?:and|or|vs\.?|versus)(?=\s)|,)\s{{0,3}})"
_CHAIN = re.compile(rf"(?<![\w.,]){YEAR}(?:{_JOIN}{YEAR})*(?P<of>s|['\u2019]s)?(?!\w|[.,]\d)")
_RANGE = re.compile(rf"(?=({YEAR}){UNTIL}({YEAR}))")
_BLANKS = re.compile(r"\s+")
_EMPHASIS = re.compile(r"[*\"\u201c\u201d]")
APOSTROPHE = "['\u2019]"
MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)"
)
_PART = r"(?:end|start|beginning|middle|course|rest|half|quarter|months?|season|spring|summer|autumn|winter)"

# Before a year: money; words that only years follow; that years may follow; that quantities follow; the start; a name.
_PAID = re.compile(rf"(?:[{_SIGNS}]|\b(?:{CURRENCIES}))\s?$")
_DATED = re.compile(
    rf"(?:\b(?:[Ii]n|[Ss]ince|[Dd]uring|[Ee]arly|[Ll]ate|mid|fiscal|calendar|FY|[Yy]ears?|{_PART}(?: of)?|[Aa]s of"
    rf"|Q[1-4]|H[12])|\b{MONTH}\.?(?: \d\d?,)?)\s$"
)
_TIMED = re.compile(
    r"(?:%\s(?:above|below|over)|(?:^|[\s(])(?:from|to|through|until|till|between|by|before|after|for|with|against|on"
    r"|than|vs\.?|versus|both|of|the|our|its|their|this|that|an?|[^\s(]+['\u2019]s?))\s$",
    re.IGNORECASE,
)
_CHANGED = re.compile(
    r"\b(?:(?:more|less|fewer) than|(?:total|sum|number|count|average|increase|rise|growth|decrease|decline|fall|drop"
    r"|gain|loss|peak|record) of|(?:r[io]ses?|gr[eo]ws?|f[ae]lls?|(?:ris|grow|fall)ing|dropped|climbed|jumped|c[ao]mes?"
    r"|amount(?:s|ed)|(?:increas|decreas|declin)(?:es?|ed|ing)) (?:\w+ )?(?:to|by))\s$",
    re.IGNORECASE,
)
_BEGINS = re.compile(r"(?:^[\s>|+-]*(?:\d+[.)]\s)?|[.!?]\s|\()$")
_NAMED = re.compile(r"(?:^\s?#.*|\b[A-Z][\w'\u2019-]*,?)\s$")
_WORD_BEFORE = re.compile(r"[^\W\d_]+(?=\s$)")

# After a year: a sign, an end, or up to three words.
_SIGN = re.compile(rf"\s?[%\u2030{_SIGNS}]|\s(?:per\s?cent|thousand|million|billion|mn|bn|{CURRENCIES})\b")
_ENDS = re.compile(r"\s?(?:[.,:;!?)\]|]|$)")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_WORDS = re.compile(rf"(?:[\s-]{_WORD.pattern}){{0,3}}")
_COUNTED = re.compile(r"[kMGT]?Wh?|kg|km|t|pp|people|staff|[a-z][\w-]+[^\Wsui]s")
_OF_A_YEAR = re.compile(  # `2026 forecast`, `sales 2024`
    r"(?:sale|revenue|turnover|profit|margin|result|figure|number|data|estimate|projection|forecast|outlook|target|goal"
    r"|plan|budget|price|cost|level|value|total|average|share|growth|demand|market|report|edition|survey|study|season"
    r"|period|quarter|baseline|deadline|registration|statistic|rate|tariff|regulation|directive|model|version)s?",
    re.IGNORECASE,
)
_NOT_COUNTED = re.compile(  # no counted thing starts with these
    r"is|was|has|had|will|would|does|did|see[ns]|saw|brought|marks|shows|remains|rose|fell|grew|hit|beat|led|stood|\w+ed"
    r"|and|or|but|as|at|in|on|to|by|for|from|with|than|across|versus|against|per|over|under|between|after|before"
    r"|until|the|an?|its?|this|when|while|where|which|who|so|not|no",
    re.IGNORECASE,
)


def years(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each year in the text, or of several joined ones."""
    plain = _EMPHASIS.sub(" ", text)
    for chain in _CHAIN.finditer(plain):
        start, end = chain.span()
        before = _BLANKS.sub(" ", plain[max(0, start - _SEEN) : start].rpartition("\n")[2])
        after = _BLANKS.sub(" ", plain[end : end + _SEEN].partition("\n")[0])
        several = len(re.findall(YEAR, chain[0])) > 1
        if chain["of"] or (_rises(chain[0]) and _is_time(before, after, several=several)):
            yield start, end


def _rises(chain: str) -> bool:
    """A range of years begins with the earlier one."""
    return all(first < last for first, last in _RANGE.findall(chain))


def _is_time(before: str, after: str, *, several: bool) -> bool:
    if _PAID.search(before) or _SIGN.match(after):
        return False
    if _DATED.search(before):
        return True
    words = _WORD.findall((_WORDS.match(after) or [""])[0])
    if _counts(words) or _CHANGED.search(before):
        return False
    word_before = _WORD_BEFORE.search(before)
    return bool(
        several
        or _TIMED.search(before)
        or _BEGINS.search(before)
        or (word_before and _OF_A_YEAR.fullmatch(word_before[0]))
        or any(_OF_A_YEAR.fullmatch(word) for word in words)
        or (_NAMED.search(before) and _ENDS.match(after))
    )


def _counts(words: list[str]) -> bool:
    """Whether the words begin with a counted thing: `units`, `new customers`."""
    if words[:1] == ["of"]:
        return True
    for word in words:
        if _NOT_COUNTED.fullmatch(word) or _OF_A_YEAR.fullmatch(word):
            return False
        if _COUNTED.fullmatch(word):
            return True
    return False
