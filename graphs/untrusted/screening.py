"""Checks a question before any model sees it."""

import re
from functools import partial
from typing import NamedTuple

from graphs.untrusted.injections import flags_of, visible

MAX_QUESTION = 2000

_PERSONAL = {
    # Possessive, without backtracking: if no @ follows, the search goes on behind these characters.
    "e-mail address": re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]++\.[\w.-]*\w"),
    "IBAN": re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"),
    "card number": re.compile(r"\b(?:\d{4}[ -]){3}\d{4}\b"),
    "phone number": re.compile(r"(?<!\w)\+\d{1,3}(?:[ /-]?\d{2,4}){3,5}\b"),
}
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")  # ECMA-48: colours, titles
_NEW_ROLE = re.compile(r"you are now (?:a|an|the)\b", re.IGNORECASE)  # a document may say so to its reader


class Screened(NamedTuple):
    """The question with personal data masked; `flags` says what was found."""

    question: str
    flags: list[str]


def refused(question: str) -> str | None:
    """Why this is not an acceptable question, or None."""
    if any("\ud800" <= each <= "\udfff" for each in question):
        return "the question is not valid text; send it as UTF-8"
    length = len(question.strip())
    if len(_shown(question)) < 3:
        return "the question is empty; ask in a full sentence"
    if length > MAX_QUESTION:
        return f"the question has {length} characters, the limit is {MAX_QUESTION}; shorten it"
    return None


def _shown(text: str) -> str:
    """One line of what people see of it."""
    return " ".join(visible(_TERMINAL.sub("", text)).split())


def _mask(kind: str, match: re.Match[str]) -> str:
    """Mask a match. Four years in a row look like a card number, but fail its check digit (Luhn, ISO/IEC 7812)."""
    digits = [int(each) for each in reversed(match[0]) if each.isdigit()]
    doubled = [sum(divmod(2 * each, 10)) if at % 2 else each for at, each in enumerate(digits)]
    return match[0] if kind == "card number" and sum(doubled) % 10 else f"[{kind}]"


def masked(text: str) -> tuple[str, list[str]]:
    """The text on one line with personal data masked, and the kinds of masked data.

    What nobody sees is left out: it is pasted along from terminals and web pages, and would part words.
    """
    text, kinds = _shown(text), []
    for kind, pattern in _PERSONAL.items():
        clean = pattern.sub(partial(_mask, kind), text)
        if clean != text:
            text = clean
            kinds.append(kind)
    return text, kinds


def screened(question: str) -> Screened:
    """Mask personal data, which no answer needs, and flag text that reads like instructions to the system."""
    text, kinds = masked(question)
    flags = [f"the question held a {kind}, which was masked before any model saw it" for kind in kinds]
    if _NEW_ROLE.search(text) or flags_of(question):
        flags.append("the question reads like instructions to the system; it was treated as a question only")
    return Screened(text, flags)
