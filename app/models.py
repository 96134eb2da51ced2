"""The only place that builds a chat model, and the only place that knows prices."""

from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, Decimal

from genai_prices import Usage, calc_price
from langchain_core.language_models import BaseChatModel
from langchain_core.messages.ai import UsageMetadata
from langchain_openai import ChatOpenAI
from openai import DefaultAsyncHttpxClient
from pydantic import SecretStr

from app.errors import BadInput
from app.settings import Price, Settings
from graphs.governance.limits import MICRO

TIMEOUT_S = 90.0
NO_KEY = SecretStr("none")
STAND_IN_NOTICE = (
    "Written by the built-in stand-in model: rules, not a language model. Costs are what the configured model would "
    "charge at list price; nothing was charged."
)


def chat_model(
    name: str, settings: Settings, base_url: str, http: DefaultAsyncHttpxClient | None = None
) -> BaseChatModel:
    """A client for this model.

    Args:
        name: the model, as the provider calls it.
        settings: for the key.
        base_url: where the provider or the stand-in listens.
        http: connections that the caller closes. Without it, langchain-openai shares a pool between all clients of
            a process, which outlives event loops.
    """
    return ChatOpenAI(
        model=name,
        api_key=settings.openai_api_key or NO_KEY,
        base_url=base_url,
        http_async_client=http,
        timeout=TIMEOUT_S,
        max_retries=2,
        use_responses_api=False,
        stream_usage=True,
    )


def pricer(settings: Settings) -> Callable[[str, UsageMetadata], int]:
    """A function that prices a call in micro-dollars, rounded up.

    Raises:
        BadInput: a configured model has no price, neither known nor set.
    """
    for name in (settings.model, settings.supervisor_model):
        _price(name, UsageMetadata(input_tokens=1, output_tokens=1, total_tokens=2), settings.prices)
    configured = settings.model

    def price(model: str, usage: UsageMetadata) -> int:
        try:
            dollars = _price(model, usage, settings.prices)
        except BadInput:  # a server may answer under a name of its own
            dollars = _price(configured, usage, settings.prices)
        return int((dollars * MICRO).to_integral_value(ROUND_CEILING))

    return price


def _price(model: str, usage: UsageMetadata, own: Mapping[str, Price]) -> Decimal:
    if model in own:
        rate = own[model]
        tokens = usage["input_tokens"] * Decimal(str(rate.input)) + usage["output_tokens"] * Decimal(str(rate.output))
        return tokens / 1_000_000
    cached = (usage.get("input_token_details") or {}).get("cache_read") or 0
    counted = Usage(input_tokens=usage["input_tokens"], output_tokens=usage["output_tokens"], cache_read_tokens=cached)
    try:
        return Decimal(calc_price(counted, model_ref=model, provider_id="openai").total_price)
    except LookupError as error:
        example = f'{{"{model}": {{"input": 0.25, "output": 2.0}}}}'
        raise BadInput(
            f"the model {model} has no known price; set TOLLGATE_PRICES='{example}' (US dollars per million tokens)"
        ) from error
