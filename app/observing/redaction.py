"""Removes secrets and personal data from logs, traces and events."""

import json
import math
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from graphs.untrusted.screening import masked

DEEPEST = 40
LONGEST = 64 * 1024  # characters of one text; nobody reads more in a log, and scanning takes time
SHORT, SHORT_ONES = 60, 4096  # characters of a text, such as a key, that comes again; how many are remembered
SECRET = "[secret]"  # noqa: S105  the mask
LEAST = 8  # characters of a secret known by value: shorter ones occur in ordinary words

_SECRET_NAME = re.compile(
    r"(?:^|[_\W])(?:password|passwd|pwd|secret|api[_-]?key|authorization|cookie|token|credentials?)$", re.IGNORECASE
)
# Patterns, what takes their place, and words one of which is in any text that they match: looking for those is faster.
_SECRETS = [
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL),
        SECRET,
        ("private key-----",),
    ),
    (re.compile(r"(://[^\s/:@]*:)[^\s/\"'<>]+@"), rf"\1{SECRET}@", ("://",)),
    (
        re.compile(r"([?&](?:sig|signature|key|token|code)=)[^\s&#\"'<>]+", re.IGNORECASE),
        rf"\1{SECRET}",
        ("sig=", "signature=", "key=", "token=", "code="),
    ),
    (re.compile(r"\b(Bearer|Basic) +[\w.~+/-]{8,}=*", re.IGNORECASE), rf"\1 {SECRET}", ("bearer ", "basic ")),
    (re.compile(r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), SECRET, ("eyj",)),  # a JWT
    (re.compile(r"\b(?:sk|pk|rk)-[\w-]{16,}"), SECRET, ("sk-", "pk-", "rk-")),  # OpenAI, Anthropic, compatible ones
    (
        re.compile(r"\b(?:tg|tvly|whsec|lsv2|sk_live|sk_test|gh[opsu]|github_pat|glpat|hf|xox[abp])[_-][\w+/=-]{16,}"),
        SECRET,
        (
            *("tg_", "tg-", "hf_", "hf-", "tvly", "whsec", "lsv2", "sk_live", "sk_test", "github_pat", "glpat"),
            *(f"{name}{end}" for name in ("gho", "ghp", "ghs", "ghu", "xoxa", "xoxb", "xoxp") for end in "_-"),
        ),
    ),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[\w-]{35}"), SECRET, ("akia", "asia", "aiza")),  # AWS, Google
    (
        re.compile(
            r"\b(password|passwd|pwd|secret|api[_-]?key|access[_-]?token)(\\?[\"']?\s*[=:]\s*\\?[\"']?)"
            r"[^\s\"'\\,;&]+",
            re.IGNORECASE,
        ),
        rf"\1\2{SECRET}",
        ("password", "passwd", "pwd", "secret", "api", "access"),
    ),
]
# Screening is made for questions: it expects short text, and collapses blanks.
_PIECE = re.compile(r"\S[^\n]{0,1999}(?<!\s)(?!\S)|\S[^\n]{0,1999}")
# In every text that screening masks something in; it takes ten times as long as this.
_PERSONAL = re.compile(r"[A-Z]{2}\d{2}|[-\s]\d{4}(?:-|[^\S\n]+)\d{4}")
_HARMLESS = re.compile(r"[\w-]{0,15}")  # too short for any pattern above without one of : = @ + or a blank
_CARD = re.compile(r"(?<![\w.])[2-6]\d{15}(?!\w|\.\d)")


def _folded(text: str) -> str:
    """The text without case, as patterns that ignore case see it."""
    return text.replace("\u0130", "i").replace("\u0131", "i").casefold()


class Redaction:
    """Makes JSON copies with secrets and personal data masked.

    Masked are providers' keys and ours, passwords in addresses, values under a secret's name, and what
    `graphs.untrusted.screening` masks. Numbers stay. What is not JSON (NaN included) becomes a string.

    Args:
        secrets: the configured ones (`Settings.secrets`), masked everywhere, also as encoded in URLs and JSON.
        longest: characters of a text after which the rest is left out.
    """

    def __init__(self, secrets: Iterable[str] = (), longest: int = LONGEST) -> None:
        self._longest = longest
        forms = {form for each in secrets if len(each) >= LEAST for form in _forms(each)}
        known = "|".join(map(re.escape, sorted(forms, key=len, reverse=True)))
        self._known = re.compile(known or r"(?!)", re.IGNORECASE)  # %2b is %2B
        self._words = tuple(map(_folded, forms))
        self._short = lru_cache(SHORT_ONES)(self._masked)

    def __call__(self, value: Any) -> Any:
        """The copy."""
        return self._copy(value, 0)

    def _copy(self, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
            return value
        if depth > DEEPEST:
            return "[nested too deep]"
        if isinstance(value, dict):
            return {self._text(str(name)): self._field(str(name), each, depth + 1) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._copy(each, depth + 1) for each in value]
        return self._text(str(value))

    def _field(self, name: str, value: Any, depth: int) -> Any:
        return SECRET if isinstance(value, str) and value and _SECRET_NAME.search(name) else self._copy(value, depth)

    def _text(self, text: str) -> str:
        return self._short(text) if len(text) <= SHORT else self._masked(text)

    def _masked(self, text: str) -> str:
        folded = _folded(text)
        if any(word in folded for word in self._words):
            text = self._known.sub(SECRET, text)
        return _patterns_masked(text, folded, self._longest)


redacted = Redaction()  # when no settings are known


def _forms(secret: str) -> set[str]:
    """The encodings of a secret."""
    in_urls = {unquote(secret), quote(secret), quote(secret, safe=""), quote_plus(secret)}
    return {secret, json.dumps(secret)[1:-1], *in_urls}


def _patterns_masked(text: str, folded: str, longest: int) -> str:
    if _HARMLESS.fullmatch(text):
        return text
    if len(text) > longest:
        text = f"{text[:longest]}…"
    for pattern, mask, words in _SECRETS:
        for word in words:
            if word in folded:
                text = pattern.sub(mask, text)
                break
    text = _CARD.sub(_card, text)
    if "@" in text or "+" in text or _PERSONAL.search(text):
        return _PIECE.sub(lambda piece: _screened(piece[0]), text)
    return text


def _screened(text: str) -> str:
    clean, _ = masked(text)
    return text if clean == " ".join(text.split()) else clean


def _card(match: re.Match[str]) -> str:
    """A card number written without blanks, which screening expects in groups of four."""
    grouped = " ".join(match[0][at : at + 4] for at in range(0, 16, 4))
    clean, _ = masked(grouped)
    return match[0] if clean == grouped else clean
