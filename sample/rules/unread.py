"""What a question says that the rules cannot read. Each becomes a gap, so that no answer quietly leaves it out."""

import re
from dataclasses import dataclass

NOT_WHY = "The sales data tells how much was sold and when, not why."
NO_SHARE_OF_MARKET = (
    "No document or data at hand gives the company's share of a market: the sales data has its own revenue only."
)
LONGEST_QUOTE = 60

_NUMBER = r"(?!(?:19|20|21)\d\d\b(?![.,]\d))\d[\d.,]*\s?(?:%|per ?cent|[kmb]n?\b|million|billion|thousand)?"
_CURRENCY = r"(?:[$€£]|eur|usd|gbp|euros?)?"
_CONDITION = re.compile(
    r"(?:[<>≤≥]=?|\b(?:over|above|below|under|beyond|exceed(?:s|ed|ing)?|at least|at most|no more than|no less than|"
    r"(?:more|less|fewer|greater|higher|lower|larger|smaller|bigger) than))"
    rf"\s*{_CURRENCY}\s?{_NUMBER}(?![\d,.]*\s*(?:years?|quarters?|months?)\b)",
    re.IGNORECASE,
)
_EXCLUSION = re.compile(
    r"\b(?:exclud\w+|excl\b|except\w*|with the exception|without|apart from|other than|aside from|outside|besides|"
    r"leav(?:e|ing) out|ignor(?:e|ing)|omit\w*|(?:all|everything|anything|every \w+) but|with no|"
    r"(?<!or )(?<!why )not(?! only)|never|(?:did|does|do|has|have) ?n['’]t|non-\w+)\b(?:\s+[\w'’-]+){0,3}",  # noqa: RUF001
    re.IGNORECASE,
)
_BUYERS = r"(?:customers?|clients?|accounts?|buyers?)"
_CHANGED_SIDES = re.compile(
    rf"\b(?:stopped|no longer|churn\w*|lapsed|lost (?:\w+ )?{_BUYERS}|{_BUYERS} (?:\w+ ){{0,3}}(?:lost|left)|"
    rf"(?:new|repeat|returning|first-time|former|inactive|loyal) {_BUYERS})(?:\s+\w+)?",
    re.IGNORECASE,
)
_TAG = r"\b(?:is|was|are|were)(?:n['’]t| not)? (?:it|that)\b"  # noqa: RUF001
_REASON = re.compile(r"\bwhy\b|\bhow come\b|\bwhat (?:caused|drove|explains|led)\b|\breasons? (?:for|behind)\b", re.I)
_SHARE_OF_MARKET = re.compile(
    r"\bmarket[- ]shares?\b|\bshares? (?:of|in) (?:the |a )?(?:\w+ ){0,4}?market\b(?: share)?", re.IGNORECASE
)


@dataclass(frozen=True)
class Unread:
    """`fatal` gaps change what is counted, so no figure is given; `beside` gaps stand next to one."""

    fatal: list[str]
    beside: list[str]


def unread(text: str) -> Unread:
    """What no rule for the company's own figures reads."""
    fatal: list[str] = []
    beside: list[str] = []
    if match := _EXCLUSION.search(_without_tags(text)):
        fatal.append(
            f"The stand-in does not read exclusions such as '{_quoted(match)}', so no figure is given; "
            "ask for the values you want."
        )
    if match := _CHANGED_SIDES.search(text):
        fatal.append(f"The stand-in does not read '{_quoted(match)}', so no figure is given.")
    if match := _CONDITION.search(text):
        fatal.append(f"The condition '{_quoted(match)}' was not applied, so no figure is given.")
    if _REASON.search(text):
        beside.append(NOT_WHY)
    return Unread(fatal, beside)


def unread_of_sources(text: str) -> list[str]:
    """The same for what is asked of published sources, which are quoted as they are."""
    found = [match for match in (_EXCLUSION.search(_without_tags(text)), _CONDITION.search(text)) if match]
    return [f"The sources were searched without regard to '{_quoted(match)}'." for match in found]


def without_share_of_market(text: str) -> str:
    """The text with every mention of a share of the market blanked."""
    return _SHARE_OF_MARKET.sub(" ", text)


def _without_tags(text: str) -> str:
    """`isn't it` asks, and excludes nothing."""
    return re.sub(rf"{_TAG}|\bwhether or not\b", " ", text, flags=re.IGNORECASE)


def _quoted(match: re.Match[str]) -> str:
    return " ".join(match.group().split())[:LONGEST_QUOTE].rstrip(" .,")
