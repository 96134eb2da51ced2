"""What a model call costs, in micro-dollars: computed exactly, rounded up once per call."""

import contextlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from fractions import Fraction
from math import ceil, floor
from typing import Any, NoReturn

from langchain_core.messages.ai import UsageMetadata

from app.config.price_list import PriceList
from app.config.rates import INPUT_PARTS, OUTPUT_PARTS, Rates, Side, own_rates
from app.config.settings import OPENAI_URL, Price, Settings, variable
from app.errors import BadInput
from graphs.answers.completion import SERVICE_TIERS
from graphs.clock import utc_now

ANY_NUMBER = 10**9  # of tokens that cost nothing


class Pricer:
    """Prices calls of models at one address. See `pricer`.

    A call is priced at the moment it began, `at`, by default now. When a price changes within the hour, it is the
    dearest, because providers differ in which moment counts. So a call never costs more than its worst case.
    """

    def __init__(self, own: Mapping[str, Price], url: str = OPENAI_URL) -> None:
        self._own = {name: own_rates(price) for name, price in own.items()}
        self._list = PriceList(url)

    def __call__(self, model: str, usage: UsageMetadata, at: datetime | None = None) -> int:
        """The price of one call in micro-dollars, rounded up, at the service tier that answered.

        Raises:
            ValueError: the usage is invalid.
        """
        counted = _Counted(usage)
        return max(ceil(counted.price(*sides)) for sides in self._both(model, (counted.service_tier,), at))

    def worst_case(self, model: str, input_tokens: int, output_tokens: int, at: datetime | None = None) -> int:
        """The maximum price in micro-dollars of a call with at most so many tokens, whatever their parts, and whatever
        service tier answers.

        Raises:
            BadInput: no price is known.
        """
        return max(
            ceil(into.highest(input_tokens) * input_tokens + out.highest(input_tokens) * output_tokens)
            for into, out in self._both(model, self._list.tiers, at)
        )

    def answer_tokens(self, model: str, input_tokens: int, micro_usd: int, at: datetime | None = None) -> int:
        """The most answer tokens with which this call's worst case is within the amount.

        Negative if the amount does not even pay for the input."""
        return min(
            _affordable(micro_usd - into.highest(input_tokens) * input_tokens, out.highest(input_tokens))
            for into, out in self._both(model, self._list.tiers, at)
        )

    def dearest_call(self, model: str, request_tokens: int, answer_tokens: int) -> int:
        """The worst case of any call with so many tokens at most, and so many of them in the answer."""
        least = max(0, request_tokens - answer_tokens)
        starts = {start + 1 for into, out in self._both(model, self._list.tiers) for start in into.starts | out.starts}
        sizes = {least, request_tokens, *(start for start in starts if least < start < request_tokens)}
        return max(self.worst_case(model, size, request_tokens - size) for size in sizes)

    def embedding(self, model: str, tokens: int, at: datetime | None = None) -> int:
        """The price in micro-dollars of the embeddings of so many input tokens, rounded up. Only input is billed."""
        known = self._rates(model, (None,), at) or _refuse(model, '{"input": 0.02}')
        return max(ceil(rates.input.rest.highest(tokens) * tokens) for rates in known)

    def _both(self, model: str, tiers: tuple[str | None, ...], at: datetime | None = None) -> list[tuple[Side, Side]]:
        both = [(rates.input, rates.output) for rates in self._rates(model, tiers, at) if rates.output]
        return both or _refuse(model, '{"input": 0.25, "output": 2.0}')

    def _rates(self, model: str, tiers: tuple[str | None, ...], at: datetime | None) -> list[Rates]:
        if own := self._own.get(model):
            return [own]
        at = at or utc_now()
        return [rates for tier in tiers for rates in self._list.rates(model, tier, at)]


def pricer(settings: Settings) -> Pricer:
    """Prices the models at the main provider's address. What the stand-in does is priced as if OpenAI did it.

    Raises:
        BadInput: a configured model has no price, neither known nor set.
    """
    prices = Pricer(settings.prices, OPENAI_URL if settings.offline else str(settings.model_url))
    for field in ("model", "supervisor_model"):
        with _naming(field):
            prices.worst_case(getattr(settings, field), 0, 0)
    with _naming("embedding_model"):
        prices.embedding(settings.embedding_model, 0)
    return prices


def fallback_pricer(settings: Settings) -> Pricer:
    """The same for the fallback, which there must be, at its own address."""
    prices = Pricer(settings.prices, str(settings.fallback_base_url))
    with _naming("fallback_model"):
        prices.worst_case(str(settings.fallback_model), 0, 0)
    return prices


@contextlib.contextmanager
def _naming(field: str) -> Iterator[None]:
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{variable(field)}: {error}") from None


def _refuse(model: str, example: str) -> NoReturn:
    raise BadInput(
        f"the model {model} has no known price; "
        f"set TOLLGATE_PRICES='{{\"{model}\": {example}}}' (US dollars per million tokens)"
    )


def _affordable(micro_usd: Fraction, rate: Fraction) -> int:
    if rate == 0:
        return ANY_NUMBER if micro_usd >= 0 else -1
    return floor(micro_usd / rate)


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

    def price(self, into: Side, out: Side) -> Fraction:
        """In micro-dollars. Reasoning is output like any other."""
        return into.price(self.input, self._into, self.input) + out.price(self.output, self._out, self.input)


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
