"""What a model call costs, in micro-dollars: computed exactly, rounded up once per call.

One US dollar per million tokens is one micro-dollar per token, so prices multiply with counts as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor
from typing import Any

from genai_prices import Usage, calc_price
from genai_prices.types import TieredPrices
from langchain_core.messages.ai import UsageMetadata

from app.config.settings import Price, Settings
from app.errors import BadInput

# Parts of the two totals that may have a price of their own: LangChain's name of the count, genai-prices' of the price.
INPUT_PARTS = {"cache_read": "cache_read_mtok", "cache_creation": "cache_write_mtok", "audio": "input_audio_mtok"}
OUTPUT_PARTS = {"audio": "output_audio_mtok"}
SERVICE_TIERS = ("priority", "flex")
ZERO = Fraction(0)
ANY_NUMBER = 10**9  # of tokens that cost nothing


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

    def _reached(self, input_tokens: int) -> list[Fraction]:
        return [rate for start, rate in self.steps if start < input_tokens]


@dataclass(frozen=True)
class Side:
    """The rates of input or of output: of the parts that have their own, and of all the rest."""

    rest: Rate
    parts: Mapping[str, Rate] = field(default_factory=dict)

    def price(self, tokens: int, counts: Mapping[str, int], input_tokens: int) -> Fraction:
        """The parts are taken out of the total, so that no token is priced twice."""
        apart = sum((rate.at(input_tokens) * counts[name] for name, rate in self.parts.items()), ZERO)
        return apart + self.rest.at(input_tokens) * (tokens - sum(counts[name] for name in self.parts))

    def highest(self, input_tokens: int) -> Fraction:
        """The highest rate of any token, in micro-dollars per token."""
        return max(rate.highest(input_tokens) for rate in (self.rest, *self.parts.values()))


@dataclass(frozen=True)
class Rates:
    """The rates of one model."""

    input: Side
    output: Side


class Pricer:
    """Prices calls of the configured models. See `pricer`."""

    def __init__(self, own: Mapping[str, Price], configured: tuple[str, ...], embedding: str | None = None) -> None:
        self._own = {name: _own(price) for name, price in own.items()}
        self._configured = configured
        for name in configured:
            if self._known(name, None) is None:
                example = f'{{"{name}": {{"input": 0.25, "output": 2.0}}}}'
                raise BadInput(
                    f"the model {name} has no known price; "
                    f"set TOLLGATE_PRICES='{example}' (US dollars per million tokens)"
                )
        if embedding:
            self.embedding(embedding, 0)

    def __call__(self, model: str, usage: UsageMetadata) -> int:
        """The price of one call in micro-dollars, rounded up.

        An unknown model, because a server answers under its own name, costs as much as the most expensive configured
        one.

        Raises:
            ValueError: the usage is invalid.
        """
        counted = _Counted(usage)
        return max(ceil(counted.price(rates)) for rates in self._candidates(model, counted.service_tier))

    def worst_case(self, model: str, input_tokens: int, output_tokens: int) -> int:
        """The maximum price in micro-dollars of a call with at most so many tokens, whatever their parts.

        Valid for the provider's standard service tier, not for `priority`.
        """
        return max(
            ceil(rates.input.highest(input_tokens) * input_tokens + rates.output.highest(input_tokens) * output_tokens)
            for rates in self._candidates(model, None)
        )

    def answer_tokens(self, model: str, input_tokens: int, micro_usd: int) -> int:
        """The most answer tokens with which this call's worst case is within the amount.

        Negative if the amount does not even pay for the input."""
        left = micro_usd - max(
            rates.input.highest(input_tokens) * input_tokens for rates in self._candidates(model, None)
        )
        dearest = max(rates.output.highest(input_tokens) for rates in self._candidates(model, None))
        return floor(left / dearest) if dearest else ANY_NUMBER if left >= 0 else -1

    def embedding(self, model: str, tokens: int) -> int:
        """The price in micro-dollars of the embeddings of so many input tokens, rounded up.

        Raises:
            BadInput: no price is known.
        """
        own = self._own.get(model)
        rate = own.input.rest if own else _embedding_rate(model, datetime.now(UTC).date())
        if rate is None:
            raise BadInput(
                f"the embedding model {model} has no known price; set "
                f'TOLLGATE_PRICES=\'{{"{model}": {{"input": 0.02, "output": 0}}}}\' (US dollars per million tokens)'
            )
        return ceil(rate.at(tokens) * tokens)

    def _candidates(self, model: str, service_tier: str | None) -> list[Rates]:
        if (known := self._known(model, service_tier)) is not None:
            return [known]
        return [rates for name in self._configured if (rates := self._known(name, service_tier)) is not None]

    def _known(self, model: str, service_tier: str | None) -> Rates | None:
        return self._own.get(model) or _listed(model, service_tier, datetime.now(UTC).date())


def pricer(settings: Settings) -> Pricer:
    """A function that prices a call in micro-dollars, rounded up; `worst_case` bounds it before the call.

    Raises:
        BadInput: a configured model has no price, neither known nor set.
    """
    named = (settings.model, settings.supervisor_model, settings.fallback_model)
    ours = "knowledge_base" not in settings.mcp
    embedding = settings.embedding_model if ours else None
    return Pricer(settings.prices, tuple(name for name in named if name), embedding)


class _Counted:
    """Token counts that were checked: none negative, no part larger than its whole."""

    def __init__(self, usage: UsageMetadata) -> None:
        given: Mapping[str, Any] = _mapping(usage)
        self.input, self.output = _count(given, "input_tokens"), _count(given, "output_tokens")
        into, out = _mapping(given.get("input_token_details")), _mapping(given.get("output_token_details"))
        # LangChain tells the service tier by a prefix on the names of the counts.
        self.service_tier = next((tier for tier in SERVICE_TIERS if tier in into), None)
        prefix = f"{self.service_tier}_" if self.service_tier else ""
        self._into = {name: _part(into, name, prefix) for name in INPUT_PARTS}
        self._out = {name: _part(out, name, prefix) for name in OUTPUT_PARTS}
        hidden = _part(given, "total_tokens", "") > self.input + self.output
        if self.input == 0 or hidden:
            raise ValueError(f"not all tokens are reported: {given}")
        if (
            sum(self._into.values()) > self.input
            or max(sum(self._out.values()), _part(out, "reasoning", prefix)) > self.output
        ):
            raise ValueError(f"more tokens in the parts than in total: {given}")

    def price(self, rates: Rates) -> Fraction:
        """In micro-dollars. Reasoning is output like any other."""
        into = rates.input.price(self.input, self._into, self.input)
        return into + rates.output.price(self.output, self._out, self.input)


def _mapping(given: Any) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ValueError(f"no usage: {given!r}")
    return given


def _count(given: Mapping[str, Any], name: str) -> int:
    value = given.get(name)
    if type(value) is not int or value < 0:
        raise ValueError(f"{name} is {value!r}")
    return value


def _part(given: Mapping[str, Any], name: str, prefix: str) -> int:
    name = name if given.get(prefix + name) is None else prefix + name
    return 0 if given.get(name) is None else _count(given, name)


def _own(price: Price) -> Rates:
    def rate(dollars: float) -> Rate:
        return Rate.of(Decimal(str(dollars)))

    parts = {} if price.cached is None else {"cache_read": rate(price.cached)}
    return Rates(Side(rate(price.input), parts), Side(rate(price.output)))


@lru_cache(maxsize=256)
def _listed(model: str, service_tier: str | None, on: date) -> Rates | None:
    """The list price of that day; None if it is unknown or not per input and output token."""
    price = _price(model, service_tier, on)
    if price is None or price.input_mtok is None or price.output_mtok is None:
        return None
    return Rates(_side(price, "input_mtok", INPUT_PARTS), _side(price, "output_mtok", OUTPUT_PARTS))


@lru_cache(maxsize=16)
def _embedding_rate(model: str, on: date) -> Rate | None:
    """The list price of that day; None if it is unknown or not that of an embedding model."""
    price = _price(model, None, on)
    if price is None or price.input_mtok is None or price.output_mtok:
        return None
    return Rate.of(price.input_mtok)


def _price(model: str, service_tier: str | None, on: date) -> Any:
    context = {"service_tier": service_tier} if service_tier else None
    when = datetime.combine(on, time(), UTC)
    try:
        return calc_price(
            Usage(), model, provider_id="openai", genai_request_timestamp=when, price_context=context
        ).model_price
    except LookupError:
        return None


def _side(price: Any, rest: str, parts: Mapping[str, str]) -> Side:
    own = {name: Rate.of(getattr(price, key)) for name, key in parts.items() if getattr(price, key) is not None}
    return Side(Rate.of(getattr(price, rest)), own)
