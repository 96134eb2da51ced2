"""Reads numbers as people write them: `1,234.50`, `1.234,50`, `-$20.50`, `(12)`, `5 %`, `1e-20`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_servers.sales.plain import literal

COMMON = {"eur", "usd", "gbp", "chf"}
CODES = {
    *("USD", "EUR", "GBP", "CHF", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "RON", "JPY", "CNY", "INR", "BRL", "CAD"),
    *("AUD", "NZD", "ZAR", "RUB", "TRY", "MXN", "KRW", "SGD", "HKD", "TWD", "THB", "IDR", "AED", "SAR", "ILS", "EGP"),
}
# A symbol of several currencies ($, ¥, kr) stays as it is.
CURRENCIES = {
    "US$": "USD",
    "R$": "BRL",
    "€": "EUR",
    "£": "GBP",
    "₹": "INR",
    "₽": "RUB",
    "₩": "KRW",
    "₺": "TRY",
    "zł": "PLN",
    "Kč": "CZK",
    "$": "$",
    "¥": "¥",
    "kr": "kr",
    **{code: code for code in sorted(CODES)},
}
PERCENT = "%"
UNIT = "|".join(map(re.escape, [*CURRENCIES, PERCENT]))
MINUS = "\u2212"
GROUPS = " \u00a0\u202f'\u2019"  # between thousands, in any country
# No leading zeros and at most 18 digits: postcodes and long identifiers stay text. Nor is +49170... a number.
DIGITS = r"0|[1-9]\d{0,17}"
WHOLE = rf"[+-]?(?:{DIGITS})"
PHONE = re.compile(r"\+\d[\d ]{6,}")
POWER = r"(?:e[+-]?|E[+-])\d{1,3}"  # 10E4 may be a code
LONG, MOST_DIGITS = 18, 38  # of a decimal that is fast, and of any
CENTS, EXACT = 4, 15  # digits after the point of an exact decimal; digits that a double keeps
POINT, COMMA = ".", ","


@dataclass(frozen=True)
class Number:
    """One way to read a column of numbers. SQL on the column.

    Attributes:
        text: the SQL expression of the column.
        choice: its decimal sign; empty for whole numbers only.
        grouped: whether thousands may be apart.
        powers: whether there may be powers of ten.
        dressed: whether there may be a unit, or a minus anywhere but in front.
    """

    text: str
    choice: str
    grouped: bool = False
    powers: bool = False
    dressed: bool = False

    @property
    def pattern(self) -> str:
        """The notation, as a regular expression of Python and RE2 alike; group 1 is the digits."""
        if not self.choice:
            return WHOLE
        group = f"[{COMMA if self.choice == POINT else POINT}{GROUPS}]"
        grouped = rf"[1-9]\d{{0,2}}(?:{group}\d{{3}})+|" if self.grouped else ""
        power = rf"(?:{POWER})?" if self.powers else ""
        number = rf"((?:{grouped}{DIGITS})(?:\{self.choice}\d+)?{power}|\{self.choice}\d+)"
        if not self.dressed:
            return f"[+-]?{number}"
        sign = rf"[+{MINUS}-]"
        before = rf"(?:{sign}\s*(?:{UNIT})?|(?:{UNIT})\s*{sign}?)?"
        return rf"\(?{before}\s*{number}\s*(?:{UNIT})?\s*-?\)?"

    @property
    def read(self) -> str:
        """The number as text that can be cast; null if it does not fit."""
        fits = f"regexp_full_match({self.text}, {literal(self.pattern)})"
        if self.dressed:
            fits += f" AND starts_with({self.text}, '(') = ends_with({self.text}, ')')"
        return f"CASE WHEN {fits} THEN {self._bare} END"

    def fits(self, value: str) -> bool:
        """Whether the value is written so."""
        return bool(re.fullmatch(self.pattern, value)) and value.startswith("(") == value.endswith(")")

    @property
    def _bare(self) -> str:
        bare = f"regexp_extract({self.text}, {literal(f'^{self.pattern}$')}, 1)" if self.dressed else self.text
        if self.grouped:
            dropped, kept = (COMMA + GROUPS, "") if self.choice == POINT else (COMMA + POINT + GROUPS, POINT)
            bare = f"translate({bare}, {literal(dropped)}, {literal(kept)})"
        elif self.choice == COMMA:
            bare = f"replace({bare}, ',', '.')"
        if self.dressed:
            return f"concat(CASE WHEN regexp_matches({self.text}, '[({MINUS}]|^\\D*-|-$') THEN '-' END, {bare})"
        return bare

    def compared(self, read: str) -> str:
        """What differs if two ways read the same text differently."""
        return f"TRY_CAST({read} AS DOUBLE)"

    def measures(self, read: str) -> Mapping[str, str]:
        """What has to be known of all values to choose a type. `read`: the column that has them."""
        if not self.choice:
            return {}
        return {
            "length": f"max(length({read}))",
            "whole": f"max(CASE WHEN contains({read}, '.') THEN strpos({read}, '.') - 1 ELSE length({read}) END)",
            "scale": f"max(length({read}) - strpos({read}, '.')) FILTER (contains({read}, '.'))",
            **({"units": f"list(DISTINCT {self.unit}) FILTER ({read} IS NOT NULL)"} if self.dressed else {}),
        }

    @property
    def unit(self) -> str:
        """The currency or percent sign, empty if there is none."""
        return f"regexp_extract({self.text}, {literal(UNIT)})"

    @property
    def currency(self) -> str:
        """The code of the currency; null where there is none."""
        cases = " ".join(f"WHEN {literal(unit)} THEN {literal(code)}" for unit, code in CURRENCIES.items())
        return f"CASE {self.unit} {cases} END"

    def typed(self, told: Mapping[str, Any]) -> tuple[str, list[str]]:
        """The expression with its type, by the measures, and notes.

        Exact where it can be: money stays exact, and a measurement keeps all the digits that a double has.
        """
        length, whole, scale = (told.get(each) or 0 for each in ("length", "whole", "scale"))  # whole: with its sign
        notes = [f"numbers written as {'1,234.50' if self.choice == POINT else '1.234,50'}"] if self.is_marked else []
        kind = "DOUBLE"
        if not self.powers and not scale and length <= LONG + 1:
            kind = "BIGINT"
        elif not self.powers and scale <= CENTS and whole + scale <= MOST_DIGITS:
            kind = f"DECIMAL({LONG if whole + scale <= LONG else MOST_DIGITS}, {scale})"
        elif length > EXACT + 2 or whole > EXACT:  # a zero and the point, or a sign
            notes.append(f"long numbers, of which the first {EXACT} digits are exact")
        if told["all fit"]:  # without looking at each value again
            return f"TRY_CAST({self._bare} AS {kind})", notes
        return f"CAST({self.read} AS {kind})", notes

    @property
    def is_marked(self) -> bool:
        return self.grouped or self.choice == COMMA


def fits(value: str) -> bool:
    """Whether the text is a number in some notation."""
    return any(way.fits(value) for way in _ANY) and not PHONE.match(value)


def ways(text: str, values: Sequence[str]) -> Iterator[Number]:
    """The ways to read all these values; `text`: the SQL expression of the column."""
    if all(re.fullmatch(WHOLE, value) for value in values):
        yield Number(text, "")
        return
    powers = any(re.search(rf"\d{POWER}", value) for value in values)
    dressed = any(re.search(rf"[^\d.,{GROUPS}eE+-]|.-\D|-$", value) for value in values)
    for way in _ANY:
        choice = way.choice
        if all(way.fits(value) for value in values):
            grouped = any(re.search(rf"\d[{COMMA if choice == POINT else POINT}{GROUPS}]\d", value) for value in values)
            yield Number(text, choice, grouped, powers, dressed)


AMOUNT = re.compile(
    r"amount|revenue|turnover|price|cost|total|sales|betrag|umsatz|preis|summe|kosten|montant|prix|chiffre|importe|precio",
    re.IGNORECASE,
)


def currency_in(name: str) -> str:
    """The currency that the name of a column says: `Umsatz (€)`, `price_usd`; empty if there is none."""
    found = [code for unit, code in CURRENCIES.items() if not unit.isalpha() and unit in name]
    found += [word.upper() for word in re.split(r"[^A-Za-z]+", name) if word in CODES or word.lower() in COMMON]
    return found[0] if found else ""


_ANY = [Number("", choice, grouped=True, powers=choice == POINT, dressed=True) for choice in (POINT, COMMA)]
