"""Accounts, reservations and a clock, for tests of the ledger."""

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from graphs.errors import LimitReached
from graphs.spending.ledger import Ledger
from graphs.spending.limits import Limits
from graphs.spending.spend import Account
from graphs.stop_reasons import StopReason
from tests.graphs.redis_servers import Client

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
AMPLE = 10**12
WIDE = Limits(
    budget_micro_usd=AMPLE,
    agent_share_percent=100,
    spend_per_minute_micro_usd=AMPLE,
    tenant_day_micro_usd=AMPLE,
    deployment_day_micro_usd=AMPLE,
    tenant_share_percent=100,
    model_calls=1000,
    agent_model_calls=1000,
)
TTL = 500
EXPIRES_IN_S = 60


class Clock:
    """The time is what the test says it is."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


def account(job: str = "job", agent: str = "sales", tenant: str = "acme", **limits: int) -> Account:
    """An account with the limits given, and no other that is narrow."""
    return Account(job, tenant, agent, WIDE.model_copy(update=limits), NOON)


def limited(limits: dict[str, int], agent: str = "sales") -> Account:
    """The same, with limits from a test's parameters."""
    return replace(account(agent=agent), limits=WIDE.model_copy(update=limits))


async def reserved(ledger: Ledger, payer: Account, micro_usd: int) -> str:
    """The id of a new reservation."""
    call_id = uuid.uuid4().hex
    await ledger.reserve(call_id, payer, micro_usd, expires_in_s=EXPIRES_IN_S)
    return call_id


async def spent(ledger: Ledger, payer: Account, micro_usd: int) -> str:
    """The id of a call that was made and settled."""
    call_id = await reserved(ledger, payer, micro_usd)
    await ledger.settle(call_id, micro_usd)
    return call_id


async def admitted(ledger: Ledger, payer: Account, micro_usd: int, attempts: int) -> int:
    """How many of so many reservations at once were made; the others must have been refused for the budget."""
    outcomes = await asyncio.gather(
        *(reserved(ledger, payer, micro_usd) for _ in range(attempts)), return_exceptions=True
    )
    refused = [each for each in outcomes if isinstance(each, LimitReached)]
    assert {each.reason for each in refused} <= {StopReason.BUDGET}
    return attempts - len(refused) - sum(not isinstance(each, str | LimitReached) for each in outcomes)


async def seconds_to_live(client: Client, *keys: str) -> list[int]:
    return [await client.ttl(f"tollgate:{{ledger}}:{key}") for key in keys]
