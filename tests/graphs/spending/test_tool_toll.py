"""Calls of tools that cost money, against a server that keeps an invoice.

The ledger has what the invoice says, and no call is sent that a limit does not pay for.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.asyncio import Redis

from graphs.clock import utc_now
from graphs.errors import LedgerUnavailable, LimitReached, ServerUnavailable, ToolFailure, Unaccounted
from graphs.spending.ledger import Ledger
from graphs.spending.limits import Limits
from graphs.spending.parts import TOOL
from graphs.spending.tool_toll import Payer, ToolToll
from graphs.stop_reasons import StopReason
from graphs.tools.gateway import Asking, ToolGateway
from graphs.tools.limits import ToolLimits
from graphs.tools.tokens import Signer
from tests.graphs.gates import account
from tests.graphs.ledgers import AMPLE
from tests.graphs.selling_mcp import COSTS, PRICE, Selling

BUYER = Asking("buyer", ("unruly.*",))
DAYS = Limits(tenant_share_percent=100, tenant_day_micro_usd=AMPLE, deployment_day_micro_usd=AMPLE)
TTL = 600


@pytest.fixture
def shop() -> Iterator[Selling]:
    with Selling().running() as server:
        assert isinstance(server, Selling)
        yield server


@dataclass
class Market:
    """A gateway to the shop, the ledger, and the events of those who pay."""

    gateway: ToolGateway
    ledger: Ledger
    events: list[Any] = field(default_factory=list)

    async def call(self, tool: str, how: str, job: str = "job", number: int = 0, **limits: Any) -> Any:
        payer = Payer(account("buyer", job, **limits), self.events.append)
        arguments = {"buyer": job, "how": how, "number": number}
        with contextlib.suppress(ToolFailure):
            return await self.gateway.call(BUYER, "unruly", tool, arguments, tenant="local", payer=payer)

    async def spent(self, job: str = "job") -> tuple[int, int, int]:
        """What a job has spent, how much of it is an estimate, and what is still reserved."""
        spend = await self.ledger.spend(job)
        return spend.micro_usd, spend.estimated_micro_usd, spend.reserved_micro_usd


@contextlib.asynccontextmanager
async def market(
    shop: Selling, client: Redis, prices: dict[str, int] | None = None, days: Limits = DAYS, **limits: Any
) -> AsyncIterator[Market]:
    """By default the shop is somebody else's."""
    ledger, signer = Ledger(client, ttl_seconds=TTL), Signer(others={"unruly": None})
    toll = ToolToll(ledger, prices or {}, days)
    async with ToolGateway(shop.servers, signer=signer, limits=ToolLimits(**limits), toll=toll) as gateway:
        yield Market(gateway, ledger)


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_charged_is_the_invoice_whatever_becomes_of_the_calls(
    shop: Selling, redis_client: Redis, seed: int
) -> None:
    chance, hows = random.Random(seed), [*COSTS, "500", "dropped", "503"]
    async with market(shop, redis_client, cache_seconds=0) as here:
        calls = [
            here.call(chance.choice(["buy", "read"]), chance.choice(hows), f"job-{chance.randrange(4)}", number)
            for number in range(60)
        ]
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            assert outcome is None or not isinstance(outcome, Exception) or isinstance(outcome, ServerUnavailable)
        told = {each["cost_micro_usd"] for each in here.events}
        for job in map("job-{}".format, range(4)):
            spent, _, reserved = await here.spent(job)
            assert (spent, reserved) == (shop.owed[job], 0)
        today = await here.ledger.spent_today("local")
        parts = await here.ledger.parts(utc_now().date(), "local")
    assert today.tenant.micro_usd == today.deployment.micro_usd == shop.owed.total()
    assert sum(each.micro_usd for each in parts.of(TOOL).values()) == shop.owed.total()
    assert set(parts.of(TOOL)) == {"unruly.buy", "unruly.read"}
    assert sum(each["cost_micro_usd"] for each in here.events) == shop.owed.total()
    assert {"tool_cost"} == {each["type"] for each in here.events}
    assert {PRICE, 1_235, 20_000, 1} <= told


@pytest.mark.parametrize(
    ("how", "charged", "estimated"),
    [("told", PRICE, 0), ("cheap", 1_235, 0), ("unknown", PRICE, PRICE), ("500", PRICE, PRICE), ("hang", PRICE, PRICE)],
)
async def test_a_call_that_may_have_been_carried_out_is_charged_as_an_estimate(
    shop: Selling, redis_client: Redis, how: str, charged: int, estimated: int
) -> None:
    async with market(shop, redis_client, timeout_s=1.0) as here:
        with contextlib.suppress(ServerUnavailable):
            await here.call("buy", how)
        assert await here.spent() == (charged, estimated, 0)
    assert [(each["cost_micro_usd"], each["estimated"]) for each in here.events] == [(charged, estimated > 0)]


async def test_a_caller_that_goes_away_pays_for_what_it_sent(shop: Selling, redis_client: Redis) -> None:
    async with market(shop, redis_client) as here:
        call = asyncio.create_task(here.call("buy", "hang"))
        await asyncio.to_thread(shop.called.wait, 10)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await here.spent() == (PRICE, PRICE, 0)


async def test_calls_at_once_send_no_more_than_the_budget_pays_for(shop: Selling, redis_client: Redis) -> None:
    async with market(shop, redis_client) as here:
        budget = 3 * PRICE + PRICE // 2
        calls = [here.call("buy", "told", number=each, budget_micro_usd=budget) for each in range(10)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        refused = [each for each in outcomes if isinstance(each, LimitReached)]
        assert (len(refused), {each.reason for each in refused}) == (7, {StopReason.BUDGET})
        assert await here.spent() == (3 * PRICE, 0, 0)
    assert shop.attempts == 3


async def test_a_call_waits_for_money_that_comes_back(shop: Selling, redis_client: Redis) -> None:
    async with market(shop, redis_client) as here:
        calls = [here.call("buy", "cheap", number=each, budget_micro_usd=2 * PRICE) for each in range(5)]
        await asyncio.gather(*calls)
        assert await here.spent() == (5 * 1_235, 0, 0)
    assert "buyer waits" in next(each["message"] for each in here.events if "message" in each)


@pytest.mark.parametrize("days", [{"tenant_day_micro_usd": PRICE}, {"deployment_day_micro_usd": PRICE}])
async def test_a_day_that_is_used_up_pays_for_no_tool(shop: Selling, redis_client: Redis, days: dict[str, int]) -> None:
    async with market(shop, redis_client, days=DAYS.model_copy(update=days)) as here:
        await here.call("buy", "told", "one")
        with pytest.raises(LimitReached, match="today is used up"):
            await here.call("buy", "told", "other")
    assert shop.attempts == 1


async def test_a_cost_above_the_price_is_charged_and_stops_the_next_call(shop: Selling, redis_client: Redis) -> None:
    async with market(shop, redis_client) as here:
        await here.call("buy", "dear", budget_micro_usd=2 * PRICE)
        assert await here.spent() == (20_000, 0, 0)
        with pytest.raises(LimitReached):
            await here.call("buy", "tiny", budget_micro_usd=2 * PRICE)
    assert shop.attempts == 1


async def test_without_a_price_the_first_report_is_charged_and_the_highest_bounds_the_next(
    shop: Selling, redis_client: Redis
) -> None:
    async with market(shop, redis_client) as here:
        await here.call("unpriced", "untold")
        assert await here.spent() == (0, 0, 0)  # its server says nothing of money
        await here.call("unpriced", "dear")
        await here.call("unpriced", "cheap")
        assert await here.spent() == (21_235, 0, 0)
        with pytest.raises(LimitReached):
            await here.call("unpriced", "cheap", budget_micro_usd=21_235 + 19_999)
    assert shop.attempts == 3


async def test_the_operators_price_counts_before_the_servers(shop: Selling, redis_client: Redis) -> None:
    async with market(shop, redis_client, {"unruly.buy": 5_000}) as here:
        await here.call("buy", "untold")
        assert await here.spent() == (5_000, 0, 0)


async def test_answers_from_the_cache_and_of_others_calls_cost_nothing(shop: Selling, redis_client: Redis) -> None:
    async def read(here: Market, job: str, **limits: int) -> Any:
        payer = Payer(account("buyer", job, **limits), here.events.append)
        arguments = {"buyer": "who pays", "how": "untold"}
        return await here.gateway.call(BUYER, "unruly", "read", arguments, tenant="local", payer=payer)

    async with market(shop, redis_client) as here:
        # One call for three; the first job cannot pay for it, so the second does.
        calls = read(here, "poor", budget_micro_usd=10), read(here, "one"), read(here, "other")
        poor, one, other = list[Any](await asyncio.gather(*calls, return_exceptions=True))
        late = await read(here, "late")
        assert isinstance(poor, LimitReached)
        assert sorted(each.cached for each in (one, other, late)) == [False, True, True]
        spent = [(await here.spent(job))[0] for job in ("poor", "one", "other", "late")]
    assert sorted(spent) == [0, 0, 0, PRICE]
    assert (spent[0], spent[3]) == (0, 0)
    assert shop.attempts == 1


async def test_what_was_never_sent_is_free(redis_client: Redis) -> None:
    shop = Selling()
    with shop.running():
        async with market(shop, redis_client) as here:
            await here.gateway.tools(BUYER)
    async with market(shop, redis_client) as here:
        with pytest.raises(ServerUnavailable):
            await here.call("buy", "told")
    assert await here.spent() == (0, 0, 0)


async def test_without_a_ledger_or_a_payer_nothing_is_sent(shop: Selling, redis_client: Redis) -> None:
    async with market(shop, Redis(port=1)) as here:
        with pytest.raises(LedgerUnavailable):
            await here.call("buy", "told")
    async with market(shop, redis_client) as here:
        for tool in ("buy", "unpriced"):
            with pytest.raises(Unaccounted, match=f"unruly.{tool} may cost something"):
                await here.gateway.call(BUYER, "unruly", tool, {"buyer": "job", "how": "told"})
    assert shop.attempts == 0
