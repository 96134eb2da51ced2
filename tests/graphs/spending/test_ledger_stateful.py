"""The ledger does what plain sums over a list of calls say, whatever happens in whatever order.

One script is one atomic step on the server, so that any interleaving of workers is some order of these steps.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from graphs.errors import LimitReached
from graphs.spending.ledger import Ledger
from graphs.spending.limits import Limits
from graphs.spending.spend import Account, Tokens
from graphs.stop_reasons import StopReason
from tests.examples import at_most
from tests.graphs.redis_servers import Client, Connect

TENANT_OF = {"job-a": "acme", "job-b": "acme", "job-c": "zenith"}
AGENTS = ("sales", "analyst")
AMOUNTS = st.integers(0, 60)
PLACES = st.integers(0, 1000)
LIMITS = st.builds(
    Limits,
    budget_micro_usd=st.integers(60, 200),
    agent_share_percent=st.sampled_from([50, 80, 100]),
    tenant_day_micro_usd=st.integers(80, 250),
    deployment_day_micro_usd=st.integers(100, 300),
    spend_per_minute_micro_usd=st.integers(40, 150),
    model_calls=st.integers(3, 9),
    agent_model_calls=st.integers(2, 6),
)
START = datetime(2026, 2, 28, 23, 58, 30, tzinfo=UTC)
EXPIRES_IN_S = 50


@dataclass
class Call:
    """One call, as a list of calls keeps it."""

    account: Account
    day: str
    reserved: int
    expires: datetime
    state: str = "open"
    charged: int = 0
    minute: str = ""
    tokens: Tokens = field(default_factory=Tokens)

    @property
    def estimated(self) -> bool:
        return self.state in {"reaped", "estimated"}


@dataclass
class Books:
    """The model: all amounts are sums over the calls."""

    calls: dict[str, Call] = field(default_factory=dict)
    now: datetime = START

    def spent(self, **which: str) -> int:
        return sum(call.charged for call in self.calls.values() if _is(call, which))

    def reserved(self, **which: str) -> int:
        return sum(call.reserved for call in self.calls.values() if call.state == "open" and _is(call, which))

    def made(self, **which: str) -> int:
        return sum(1 for call in self.calls.values() if _is(call, which))

    def reap(self) -> int:
        expired = [call for call in self.calls.values() if call.state == "open" and call.expires <= self.now]
        for call in expired:
            self.close(call, "reaped", call.reserved)
        return len(expired)

    def close(self, call: Call, state: str, charged: int) -> None:
        call.minute = call.minute or minute(self.now)
        call.state, call.charged = state, charged

    def refusals(self, account: Account, wanted: int) -> dict[StopReason, bool]:
        """Every reason to refuse, and whether it passes when what is reserved is settled."""
        limits, job = account.limits, {"job": account.job_id}
        agent = {**job, "agent": account.agent}
        today = {"day": day(self.now)}
        tenant = {**today, "tenant": account.tenant}
        scopes = {
            StopReason.BUDGET: (job, limits.budget_micro_usd),
            StopReason.AGENT_BUDGET: (agent, limits.budget_micro_usd * limits.agent_share_percent // 100),
            StopReason.TENANT_DAY: (tenant, limits.tenant_day_micro_usd),
            StopReason.DEPLOYMENT_DAY: (today, limits.deployment_day_micro_usd),
        }
        found = {
            reason: self.spent(**which) + wanted <= limit
            for reason, (which, limit) in scopes.items()
            if self.spent(**which) + self.reserved(**which) + wanted > limit
        }
        recent, rate = self.spent(**job, minute=minute(self.now)), limits.spend_per_minute_micro_usd
        if recent + self.reserved(**job) + wanted > rate:
            found[StopReason.SPEND_RATE] = recent + wanted <= rate
        final = {
            StopReason.MODEL_CALLS: self.made(**job) >= limits.model_calls,
            StopReason.AGENT_MODEL_CALLS: self.made(**agent) >= limits.agent_model_calls,
        }
        return found | {reason: False for reason, refused in final.items() if refused}


def _is(call: Call, which: dict[str, str]) -> bool:
    facts = {
        "job": call.account.job_id,
        "agent": call.account.agent,
        "tenant": call.account.tenant,
        "day": call.day,
        "minute": call.minute,
    }
    return all(facts[name] == value for name, value in which.items())


def minute(now: datetime) -> str:
    return now.strftime("%H:%M")


def day(now: datetime) -> str:
    return now.date().isoformat()


class Machine(RuleBasedStateMachine):
    """Steps of workers that reserve, settle, die, come late and send things again."""

    def __init__(self, loop: asyncio.AbstractEventLoop, client: Client) -> None:
        super().__init__()
        self.loop, self.client = loop, client
        self.books = Books()
        self.ledger = Ledger(client, ttl_seconds=1000, now=lambda: self.books.now)
        self.kept_to = True  # nobody was charged more than reserved
        self.wait(client.flushall())

    def wait(self, step: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(step)

    @initialize(limits=LIMITS)
    def limit(self, limits: Limits) -> None:
        self.limits = limits

    @rule(job=st.sampled_from(sorted(TENANT_OF)), agent=st.sampled_from(AGENTS), wanted=AMOUNTS)
    def reserve(self, job: str, agent: str, wanted: int) -> None:
        account = Account(job, TENANT_OF[job], agent, self.limits, START)
        self.books.reap()
        expected = self.books.refusals(account, wanted)
        call_id = f"call-{len(self.books.calls)}"
        reserve = self.ledger.reserve(call_id, account, wanted, expires_in_s=EXPIRES_IN_S)
        if expected:
            with pytest.raises(LimitReached) as refused:
                self.wait(reserve)
            assert expected[refused.value.reason] is refused.value.passing is all(expected.values())
        else:
            self.wait(reserve)
            expires = self.books.now + timedelta(seconds=EXPIRES_IN_S)
            self.books.calls[call_id] = Call(account, day(self.books.now), wanted, expires)

    @precondition(lambda self: self.books.calls)
    @rule(place=PLACES, wanted=AMOUNTS)
    def reserve_again(self, place: int, wanted: int) -> None:
        call_id, call = self.some(place)
        self.books.reap()
        self.wait(self.ledger.reserve(call_id, call.account, wanted, expires_in_s=EXPIRES_IN_S))

    @precondition(lambda self: self.books.calls)
    @rule(place=PLACES, percent=st.integers(0, 100))
    def settle(self, place: int, percent: int) -> None:
        call_id, call = self.some(place)
        self.settle_at(call_id, call, call.reserved * percent // 100)

    @precondition(lambda self: self.books.calls)
    @rule(place=PLACES, more=st.integers(1, 100))
    def settle_at_more_than_reserved(self, place: int, more: int) -> None:
        call_id, call = self.some(place)
        self.kept_to &= call.state not in {"open", "reaped"}
        self.settle_at(call_id, call, call.reserved + more)

    @precondition(lambda self: self.books.calls)
    @rule(place=PLACES)
    def settle_without_usage(self, place: int) -> None:
        call_id, call = self.some(place)
        if call.state in {"open", "reaped"}:
            self.books.close(call, "estimated", call.reserved)
        assert self.wait(self.ledger.settle(call_id, None)) == call.charged

    def settle_at(self, call_id: str, call: Call, cost: int) -> None:
        tokens = Tokens(input=cost, cached=cost // 2, output=1)
        if call.state in {"open", "reaped"}:
            self.books.close(call, "settled", cost)
            call.tokens = tokens
        assert self.wait(self.ledger.settle(call_id, cost, tokens)) == call.charged

    @precondition(lambda self: self.books.calls)
    @rule(place=PLACES)
    def release(self, place: int) -> None:
        call_id, call = self.some(place)
        if call.state in {"open", "reaped"}:
            self.books.close(call, "released", 0)
        self.wait(self.ledger.release(call_id))

    @rule(cost=AMOUNTS)
    def close_what_nobody_reserved(self, cost: int) -> None:
        assert self.wait(self.ledger.settle("unknown", cost, Tokens(1, 1, 1))) == 0
        self.wait(self.ledger.release("unknown"))

    @rule(seconds=st.sampled_from([1, 10, 30, 61]))
    def time_passes(self, seconds: int) -> None:
        self.books.now += timedelta(seconds=seconds)

    @rule()
    def reap(self) -> None:
        assert self.wait(self.ledger.reap()) == self.books.reap()

    @invariant()
    def amounts_are_the_sums_of_the_calls(self) -> None:
        self.wait(self.compare())

    def teardown(self) -> None:
        self.books.now = START  # what was reserved before midnight is booked there, whenever it was settled
        self.wait(self.compare())

    def some(self, place: int) -> tuple[str, Call]:
        """Some call, the newest ones most of the time: the others are closed."""
        call_id = list(self.books.calls)[-1 - place % min(5, len(self.books.calls))]
        return call_id, self.books.calls[call_id]

    async def compare(self) -> None:
        books = self.books
        for job in TENANT_OF:
            used = await self.ledger.spend(job)
            ours = [call for call in books.calls.values() if call.account.job_id == job]
            assert used.micro_usd == books.spent(job=job)
            assert used.reserved_micro_usd == books.reserved(job=job)
            assert used.estimated_micro_usd == sum(call.charged for call in ours if call.estimated)
            assert used.model_calls == len(ours)
            tokens = (used.input_tokens, used.cached_tokens, used.output_tokens)
            assert tokens == tuple(sum(call.tokens[place] for call in ours) for place in range(3))
            for agent, amount in used.agents.items():
                assert amount.micro_usd == books.spent(job=job, agent=agent)
                assert amount.reserved_micro_usd == books.reserved(job=job, agent=agent)
                assert amount.model_calls == books.made(job=job, agent=agent)
                self.bound(amount.micro_usd + amount.reserved_micro_usd, self.limits.budget_micro_usd, self.share)
            self.bound(used.micro_usd + used.reserved_micro_usd, self.limits.budget_micro_usd)
        for tenant in sorted(set(TENANT_OF.values())):
            today = await self.ledger.spent_today(tenant)
            which = {"day": day(books.now)}
            assert today.deployment.micro_usd == books.spent(**which)
            assert today.deployment.reserved_micro_usd == books.reserved(**which)
            assert today.tenant.micro_usd == books.spent(**which, tenant=tenant)
            assert today.tenant.reserved_micro_usd == books.reserved(**which, tenant=tenant)
            self.bound(today.tenant.micro_usd + today.tenant.reserved_micro_usd, self.limits.tenant_day_micro_usd)
            total = today.deployment.micro_usd + today.deployment.reserved_micro_usd
            self.bound(total, self.limits.deployment_day_micro_usd)

    @property
    def share(self) -> int:
        return self.limits.agent_share_percent

    def bound(self, used: int, limit: int, percent: int = 100) -> None:
        if self.kept_to:
            assert used <= limit * percent // 100


def test_the_ledger_is_the_sum_of_its_calls(valkey: Connect) -> None:
    with asyncio.Runner() as runner:
        client = valkey()

        class OnThisServer(Machine):
            def __init__(self) -> None:
                super().__init__(runner.get_loop(), client)

        given = settings(max_examples=at_most(300), stateful_step_count=15)
        run_state_machine_as_test(OnThisServer, settings=given)  # type: ignore[no-untyped-call]
        runner.run(client.aclose())
