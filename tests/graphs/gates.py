"""A governed model over a billing provider, and the accounts that pay for it."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from openai import DefaultAsyncHttpxClient
from redis.asyncio import Redis

from app.config.models import Models
from app.config.prices import pricer
from app.config.settings import Settings
from graphs.spending.ledger import Ledger
from graphs.spending.limits import Limits
from graphs.spending.model import GovernedChatOpenAI
from graphs.spending.spend import Account
from tests.billing_provider import MODEL, Provider

JOB = "job-gate"


@dataclass
class Gate:
    """One governed model, its ledger, and the events it emitted."""

    model: GovernedChatOpenAI
    ledger: Ledger
    events: list[Any] = field(default_factory=list)

    def charged(self, agent: str = "sales", job: str = JOB, **limits: Any) -> GovernedChatOpenAI:
        """The model on the account of an agent, with an hour to go and generous limits but for those given."""
        return self.model.charged_to(account(agent, job, **limits), self.events.append)


def account(agent: str = "sales", job: str = JOB, fence: int | None = None, **limits: Any) -> Account:
    generous: dict[str, Any] = {
        "budget_micro_usd": 50_000_000,
        "tenant_day_micro_usd": 10**12,
        "deployment_day_micro_usd": 10**12,
        "spend_per_minute_micro_usd": 10**12,
        "agent_share_percent": 100,
        "model_calls": 10_000,
        "agent_model_calls": 10_000,
        "answer_tokens": 1000,
        "outage_s": 1,
    }
    return Account(job, "local", agent, Limits(**{**generous, **limits}), datetime.now(UTC) + timedelta(hours=1), fence)


@contextlib.asynccontextmanager
async def gate(provider: Provider, client: Redis, **settings: Any) -> AsyncIterator[Gate]:
    configured = Settings(_env_file=None, model=MODEL, supervisor_model=MODEL, **settings)
    ledger = Ledger(client, ttl_seconds=600)
    async with DefaultAsyncHttpxClient() as http:
        models = Models(configured, provider.url, ledger=ledger, prices=pricer(configured), client=client, http=http)
        yield Gate(models.named(MODEL), ledger)
