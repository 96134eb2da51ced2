"""What a token of a model costs, in micro-dollars: exact, by kind of token and by the size of the call.

One US dollar per million tokens is one micro-dollar per token, so prices multiply with counts as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from genai_prices.types import Tier, TieredPrices

from app.config.settings import Price

# Parts of the two totals that may have a price of their own: LangChain's name of the count, genai-prices' of the price.
INPUT_PARTS = {"cache_read": "cache_read_mtok", "cache_creation": "cache_write_mtok", "audio": "input_audio_mtok"}
OUTPUT_PARTS = {"audio": "output_audio_mtok"}
ZERO = Fraction(0)


@dataclass(frozen=True)
class Rate:
    """Micro-dollars per token, in tiers by the call's input tokens: each applies above its start, the last one wins."""

    steps: tuple[tuple[int, Fraction], ...]

    @classmethod
    def of(cls, price: Decimal | TieredPrices) -> "Rate":
        if isinstance(price, TieredPrices):
            return cls(((-1, Fraction(price.base)), *((tier.start, Fraction(tier.price)) for tier in price.tiers)))
        return cls(((-1, Fraction(price)),))

    def at(self, input_tokens: int) -> Fraction:
        """The rate of a call of that size: also for the tokens below the last start."""
        return self._reached(input_tokens)[-1]

    def highest(self, input_tokens: int) -> Fraction:
        """The highest rate of any call up to that size, in micro-dollars per token."""
        return max(self._reached(input_tokens))

    def plus(self, other: "Rate") -> "Rate":
        starts = sorted({start for start, _ in (*self.steps, *other.steps)})
        return Rate(tuple((start, self.at(start + 1) + other.at(start + 1)) for start in starts))

    def _reached(self, input_tokens: int) -> list[Fraction]:
        return [rate for start, rate in self.steps if start < input_tokens]


@dataclass(frozen=True)
class Side:
    """The rates of input or of output: of the parts that have their own, and of all the rest."""

    rest: Rate
    parts: Mapping[str, Rate] = field(default_factory=dict)

    @classmethod
    def of(cls, price: Any, rest: str, parts: Mapping[str, str]) -> "Side":
        """From the named attributes of genai-prices' price."""
        own = {name: Rate.of(getattr(price, key)) for name, key in parts.items() if getattr(price, key) is not None}
        return cls(Rate.of(getattr(price, rest)), own)

    def price(self, tokens: int, counts: Mapping[str, int], input_tokens: int) -> Fraction:
        """The parts are taken out of the total, so that no token is priced twice."""
        apart = sum((rate.at(input_tokens) * counts[name] for name, rate in self.parts.items()), ZERO)
        return apart + self.rest.at(input_tokens) * (tokens - sum(counts[name] for name in self.parts))

    def highest(self, input_tokens: int) -> Fraction:
        """The highest rate of any token, in micro-dollars per token."""
        return max(rate.highest(input_tokens) for rate in (self.rest, *self.parts.values()))

    @property
    def starts(self) -> set[int]:
        """Input tokens above which a rate changes."""
        return {start for rate in (self.rest, *self.parts.values()) for start, _ in rate.steps}


@dataclass(frozen=True)
class Rates:
    """The rates of one model. An embedding model has none for output."""

    input: Side
    output: Side | None


def rates_of(price: Any) -> Rates:
    """From genai-prices' price of a model.

    Where writing to the cache seems cheaper than plain input, it is the price of storage, which is added to that."""
    whole = Side.of(price, "input_mtok", INPUT_PARTS)
    written = whole.parts.get("cache_creation")
    if written and written.at(0) < whole.rest.at(0):
        whole = Side(whole.rest, {**whole.parts, "cache_creation": written.plus(whole.rest)})
    return Rates(whole, Side.of(price, "output_mtok", OUTPUT_PARTS) if price.output_mtok else None)


def own_rates(price: Price) -> Rates:
    """From a price in the settings. Cached and written tokens without a price cost what other input does."""
    long = price.long_context

    def rate(base: float, above: float | None) -> Rate:
        tiers = [Tier(long.above, _exact(base if above is None else above))] if long else []
        return Rate.of(TieredPrices(_exact(base), tiers))

    def part(name: str) -> Rate:
        base, above = getattr(price, name), getattr(long, name, None)
        whole = long.input if long else None
        return rate(price.input if base is None else base, whole if above is None else above)

    parts = {"cache_read": part("cached"), "cache_creation": part("cache_write")}
    output = None if price.output is None else Side(rate(price.output, long.output if long else None))
    return Rates(Side(part("input"), parts), output)


def _exact(dollars: float) -> Decimal:
    return Decimal(str(dollars))
