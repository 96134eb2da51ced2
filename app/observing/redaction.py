"""Removes secrets and personal data from logs, traces and events."""

import json
import math
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from graphs.untrusted.screening import masked

DEEPEST = 40
LONGEST = 64 * 1024  # characters of one text; nobody reads more in a log, and scanning takes time
SECRET = "[secret]"  # noqa: S105  the mask
LEAST = 8  # characters of a secret known by value: shorter ones occur in ordinary words

_SECRET_NAME = re.compile(
    r"(?:^|[_\W])(?:password|passwd|pwd|secret|api[_-]?key|authorization|cookie|token|credentials?)$", re.IGNORECASE
)
_SECRETS = [
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL), SECRET),
    (re.compile(r"(://[^\s/:@]*:)[^\s/\"'<>]+@"), rf"\1{SECRET}@"),
    (re.compile(r"([?&](?:sig|signature|key|token|code)=)[^\s&#\"'<>]+", re.IGNORECASE), rf"\1{SECRET}"),
    (re.compile(r"\b(Bearer|Basic) +[\w.~+/-]{8,}=*", re.IGNORECASE), rf"\1 {SECRET}"),
    (re.compile(r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), SECRET),  # a JWT
    (re.compile(r"\b(?:sk|pk|rk)-[\w-]{16,}"), SECRET),  # OpenAI, Anthropic and compatible ones
    (
        re.compile(r"\b(?:tg|tvly|whsec|lsv2|sk_live|sk_test|gh[opsu]|github_pat|glpat|hf|xox[abp])[_-][\w+/=-]{16,}"),
        SECRET,
    ),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[\w-]{35}"), SECRET),  # AWS, Google
    (
        re.compile(
            r"\b(password|passwd|pwd|secret|api[_-]?key|access[_-]?token)(\\?[\"']?\s*[=:]\s*\\?[\"']?)"
            r"[^\s\"'\\,;&]+",
            re.IGNORECASE,
        ),
        rf"\1\2{SECRET}",
    ),
]
# Screening is made for questions: it expects short text, and collapses blanks.
_PIECE = re.compile(r"\S[^\n]{0,1999}(?<!\s)(?!\S)|\S[^\n]{0,1999}")
_HARMLESS = re.compile(r"[\w-]{0,15}")  # too short for any pattern above without one of : = @ + or a blank
_CARD = re.compile(r"(?<![\w.])[2-6]\d{15}(?!\w|\.\d)")


class Redaction:
    """Makes JSON copies with secrets and personal data masked.

    Masked are providers' keys and ours, passwords in addresses, values under a secret's name, and what
    `graphs.untrusted.screening` masks. Numbers stay. What is not JSON (NaN included) becomes a string.

    Args:
        secrets: the configured ones (`Settings.secrets`), masked everywhere, also as encoded in URLs and JSON.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for each in secrets if len(each) >= LEAST for form in _forms(each)}
        known = "|".join(map(re.escape, sorted(forms, key=len, reverse=True)))
        self._known = re.compile(known or r"(?!)", re.IGNORECASE)  # %2b is %2B

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
        return _patterns_masked(self._known.sub(SECRET, text))


redacted = Redaction()  # when no settings are known


def _forms(secret: str) -> set[str]:
    """The encodings of a secret."""
    in_urls = {unquote(secret), quote(secret), quote(secret, safe=""), quote_plus(secret)}
    return {secret, json.dumps(secret)[1:-1], *in_urls}


def _patterns_masked(text: str) -> str:
    if _HARMLESS.fullmatch(text):
        return text
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}…"
    for pattern, mask in _SECRETS:
        text = pattern.sub(mask, text)
    text = _CARD.sub(_card, text)
    return _PIECE.sub(lambda piece: _screened(piece[0]), text)


def _screened(text: str) -> str:
    clean, _ = masked(text)
    return text if clean == " ".join(text.split()) else clean


def _card(match: re.Match[str]) -> str:
    """A card number written without blanks, which screening expects in groups of four."""
    grouped = " ".join(match[0][at : at + 4] for at in range(0, 16, 4))
    clean, _ = masked(grouped)
    return match[0] if clean == grouped else clean
