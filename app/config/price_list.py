"""List prices from genai-prices: of the provider at an address, for names that leave no doubt about the model."""

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ClauseEquals, ClauseOr, ModelInfo

from app.config.rates import Rates, rates_of
from graphs.answers.completion import SERVICE_TIERS

LONGEST_CALL = timedelta(hours=1)  # the most that TOLLGATE_CALL_TIMEOUT_S may be

# What follows a model's id in the name of a version of it.
VERSION = re.compile(r"(-(latest|preview|exp|[0-9]{2,8}))*")
# The same name has several prices there: a deployment's, a region's.
AMBIGUOUS = frozenset({"azure", "aws"})
# These bill more than tokens for a plain call.
SEARCHES = re.compile(r"\b(search|sonar|deep-research)\b")
FEES = ("requests_kcount", "output_reasoning_mtok", "output_citation_mtok")


def is_openai(url: str) -> bool:
    """Whether OpenAI itself answers there, in whatever region."""
    return f".{urlsplit(url).hostname or ''}".endswith(".api.openai.com")


class PriceList:
    """The list prices at an address. An address that genai-prices does not know is taken for a gateway to OpenAI.

    A gateway may belong to an OpenAI project whose default is the priority tier, and may refuse to be sent another, so
    that a call is bounded by the dearest of all tiers. OpenAI itself is sent the standard tier. Other providers use
    another tier only on request.
    """

    def __init__(self, url: str) -> None:
        host = urlsplit(url).hostname or ""
        try:
            self._provider: str | None = (
                get_snapshot().find_provider(None, None, f"https://{host}{urlsplit(url).path}").id
            )
            self.tiers: tuple[str | None, ...] = (None,)
        except LookupError:
            regional = is_openai(url)  # some models cost more there
            self._provider, self.tiers = (None, (None,)) if regional else ("openai", (None, *SERVICE_TIERS))

    def rates(self, name: str, tier: str | None, at: datetime) -> tuple[Rates, ...]:
        """What applies to a call that begins then, mostly one; none if the price is unknown or not certain."""
        if self._provider is None or self._provider in AMBIGUOUS:
            return ()
        return _listed(self._provider, name.lower().removeprefix("models/"), tier, at.replace(second=0, microsecond=0))


@lru_cache(maxsize=256)
def _listed(provider: str, name: str, tier: str | None, at: datetime) -> tuple[Rates, ...]:
    """The prices at that moment and after the longest call."""
    try:
        model = get_snapshot().find_provider_model(name, None, provider, None)[1]
    except LookupError:
        return ()
    context = {"service_tier": tier} if tier else None
    first, last = (model.get_prices(moment, context) for moment in (at, at + LONGEST_CALL))
    prices = [first] if first == last else [first, last]
    if not _is_named(model, name) or not all(is_of_tokens(name, price) for price in prices):
        return ()
    return tuple(map(rates_of, prices))


def is_of_tokens(name: str, price: Any) -> bool:
    """Whether nothing but tokens, at one price each for input and output, is billed for any call."""
    return price.input_mtok is not None and not SEARCHES.search(name) and not any(getattr(price, fee) for fee in FEES)


def _is_named(model: ModelInfo, name: str) -> bool:
    """Whether the name is the model's own, or that of a version of it. genai-prices takes an unknown model for a known
    one whose name begins alike."""
    if _equals(model.match, name):
        return True
    base, is_tuned = model.id.lower().rstrip("-"), name.startswith("ft:")
    if is_tuned:  # ft:<model>:<organisation>:<name>:<id>
        name = ":".join(name.split(":")[:2])
    rest = name.removeprefix(base)
    return is_tuned == base.startswith("ft:") and rest != name and VERSION.fullmatch(rest) is not None


def _equals(match: Any, name: str) -> bool:
    if isinstance(match, ClauseOr):
        return any(_equals(each, name) for each in match.or_)
    return isinstance(match, ClauseEquals) and match.is_match(name)
