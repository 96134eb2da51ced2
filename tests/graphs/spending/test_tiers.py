"""What a call may be billed at: the service tier that was priced, at the moment it was priced."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest
from langchain_core.messages.ai import UsageMetadata
from openai import DefaultAsyncHttpxClient
from redis.asyncio import Redis

from app.config.models import Models
from app.config.prices import Pricer
from app.config.settings import Settings
from app.errors import BadInput
from graphs.errors import Unaccounted
from graphs.spending.bounds import refuse_what_has_no_bound
from graphs.spending.ledger import Ledger
from tests.billing_provider import MODEL, Provider, billing
from tests.graphs.gates import JOB, gate

PAYLOAD = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with billing(Provider()) as running:
        yield running


async def test_a_gateway_that_answers_at_priority_is_paid_for_that(provider: Provider, redis_client: Redis) -> None:
    provider.is_priority, provider.input_tokens = True, 360
    async with gate(provider, redis_client, openai_base_url=provider.url) as toll:
        await toll.charged().ainvoke("hello")
        first = await toll.ledger.spend(JOB)
        assert first.micro_usd == provider.billed_micro_usd == 360 * 0.45 + 40 * 3.6
        provider.behave = lambda _: "no_usage"
        await toll.charged().ainvoke("hello")  # charged as reserved
        spend = await toll.ledger.spend(JOB)
    assert spend.micro_usd >= provider.billed_micro_usd
    assert spend.estimated_micro_usd


@pytest.mark.parametrize(
    ("url", "tier"),
    [
        ("https://api.openai.com/v1", "default"),
        ("https://api.openai.com/v1/", "default"),
        ("https://eu.api.openai.com/v1", "default"),
        ("https://api.openai.com.example/v1", None),
        ("http://127.0.0.1:8000/v1", None),
    ],
)
async def test_openai_is_told_the_tier(url: str, tier: str | None, settings: Settings, redis_client: Redis) -> None:
    async with DefaultAsyncHttpxClient() as http:
        ledger, prices = Ledger(redis_client, ttl_seconds=60), Pricer({})
        model = Models(settings, url, ledger=ledger, prices=prices, client=redis_client, http=http).named(MODEL)
    assert model._get_request_payload("hello").get("service_tier") == tier


async def test_a_fallback_without_a_price_is_refused_at_start(provider: Provider, redis_client: Redis) -> None:
    fallback = {"fallback_model": MODEL, "fallback_base_url": "https://our.openai.azure.com/openai/v1"}
    with pytest.raises(BadInput, match=r"^TOLLGATE_FALLBACK_MODEL: the model gpt-5-mini has no known price"):
        async with gate(provider, redis_client, **fallback):
            pass


@pytest.mark.parametrize("asked", [None, "auto", "priority"])
def test_only_the_tier_that_was_priced_is_asked_for(asked: str | None) -> None:
    refuse_what_has_no_bound({**PAYLOAD, "service_tier": "default"}, MODEL, "default")
    with pytest.raises(Unaccounted, match="service tier"):
        refuse_what_has_no_bound({**PAYLOAD, "service_tier": asked}, MODEL, "default")


def test_a_cache_entry_with_a_lifetime_of_its_own_is_refused() -> None:
    def asking(**control: str) -> Any:
        part = {"type": "text", "text": "hello", "cache_control": {"type": "ephemeral", **control}}
        return {**PAYLOAD, "messages": [{"role": "user", "content": [part]}]}

    refuse_what_has_no_bound(asking(), MODEL, None)
    with pytest.raises(Unaccounted, match="ttl"):
        refuse_what_has_no_bound(asking(ttl="1h"), MODEL, None)


@dataclass
class Watched:
    """Prices that note the moments they are asked about."""

    prices: Pricer = field(default_factory=lambda: Pricer({}))
    reserved_at: list[datetime | None] = field(default_factory=list)
    settled_at: list[datetime | None] = field(default_factory=list)

    def __call__(self, model: str, usage: UsageMetadata, at: datetime | None = None) -> int:
        self.settled_at.append(at)
        return self.prices(model, usage, at)

    def worst_case(self, model: str, input_tokens: int, output_tokens: int, at: datetime | None = None) -> int:
        self.reserved_at.append(at)
        return self.prices.worst_case(model, input_tokens, output_tokens, at)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.prices, name)


async def test_a_call_is_settled_at_the_prices_of_its_reservation(provider: Provider, redis_client: Redis) -> None:
    watched: Any = Watched()
    async with gate(provider, redis_client) as toll:
        model = toll.charged()
        model = model.model_copy(update={"toll": replace(model.toll, prices=watched)})
        await model.ainvoke("hello")
        await model.ainvoke("hello")
    assert watched.settled_at == list(dict.fromkeys(watched.reserved_at))
    assert None not in watched.settled_at
    assert len(set(watched.settled_at)) == 2
