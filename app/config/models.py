"""The only place that builds a chat model."""

import dataclasses
from collections.abc import Callable
from datetime import datetime

import httpx2
from openai import DefaultAsyncHttpxClient
from pydantic import SecretStr
from redis.asyncio import Redis

from app.config.price_list import is_openai
from app.config.prices import Pricer, fallback_pricer
from app.config.settings import Settings
from graphs.answers.dialect import Dialect
from graphs.clock import utc_now
from graphs.errors import Unaccounted
from graphs.redis.breaker import Breaker
from graphs.spending.ledger import Ledger
from graphs.spending.model import GovernedChatOpenAI
from graphs.spending.toll import Toll
from graphs.spending.turnstile import Turnstile
from safe_http.shown import shown

NO_KEY = SecretStr("none")
STAND_IN_NOTICE = (
    "Written by the built-in stand-in model: rules, not a language model. Costs are what the configured model would "
    "charge at list price; nothing was charged."
)


class _NoSynchronousRequests(httpx2.BaseTransport):
    """A governed model makes its synchronous calls on the event loop of the run, so nothing comes this way."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        raise Unaccounted(f"a request to {request.url.host} bypassed the toll gate; call the governed model instead")


class Models:
    """Builds governed models that share a ledger, a price list and connections.

    Args:
        settings: keys, and the fallback.
        base_url: where the provider or the stand-in listens.
        ledger: reserves and settles every call.
        prices: the price list.
        client: the Redis that the breakers share.
        http: a client for these models only, closed by the caller; a turnstile is put into it. (By default,
            langchain-openai shares one pool per process, which outlives event loops.)
        now: the time, in UTC.
        toll: makes the toll.
    """

    def __init__(  # noqa: PLR0913  keyword-only but for the first
        self,
        settings: Settings,
        base_url: str,
        *,
        ledger: Ledger,
        prices: Pricer,
        client: Redis,
        http: DefaultAsyncHttpxClient,
        now: Callable[[], datetime] = utc_now,
        toll: Callable[..., Toll] = Toll,
    ) -> None:
        self._settings = settings
        turnstile = Turnstile()
        http.event_hooks = {"request": [turnstile.admit]}
        self._http = http
        self._synchronous = httpx2.Client(transport=_NoSynchronousRequests(), trust_env=False)
        breaker = Breaker(client, shown(base_url), now=now)
        self._toll = toll(ledger, prices, breaker, turnstile, settings.limits, now=now)
        self._base_url = base_url
        self._fallback = self._other_provider(Breaker(client, shown(str(settings.fallback_base_url)), now=now))

    def named(self, name: str) -> GovernedChatOpenAI:
        """The model of this name. It makes no calls until it is `charged_to` an account."""
        key = None if self._settings.offline else self._settings.openai_api_key
        return self._built(name, self._base_url, key or NO_KEY, self._toll, self._fallback)

    def _other_provider(self, breaker: Breaker) -> GovernedChatOpenAI | None:
        name, url = self._settings.fallback_model, self._settings.fallback_base_url
        if name is None or url is None:
            return None
        toll = dataclasses.replace(self._toll, breaker=breaker, prices=fallback_pricer(self._settings))
        return self._built(name, str(url), self._settings.fallback_api_key or NO_KEY, toll, None)

    def _built(
        self, name: str, url: str, key: SecretStr, toll: Toll, fallback: GovernedChatOpenAI | None
    ) -> GovernedChatOpenAI:
        return GovernedChatOpenAI(
            model=name,
            api_key=key,
            base_url=url,
            http_async_client=self._http,
            http_client=self._synchronous,
            timeout=self._settings.limits.call_timeout_s,
            max_retries=0,  # the gate retries: each attempt is reserved and settled on its own
            # Else a project's default applies, which may cost twice as much (see PriceList); others may not know it.
            service_tier="default" if is_openai(url) else None,
            use_responses_api=False,
            stream_usage=True,
            toll=toll,
            # The older name of the limit is the one that all others obey; some ignore the newer one, and any bound.
            dialect=Dialect(limit="max_completion_tokens" if is_openai(url) else "max_tokens"),
            fallback=fallback,
        )
