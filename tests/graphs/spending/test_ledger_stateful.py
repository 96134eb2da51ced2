"""The ledger does what plain sums over a list of calls say, whatever happens in whatever order.

One script is one atomic step on the server, so that any interleaving of workers is some order of these steps.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
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
from graphs.spending.ledger import Counted, Ledger
from graphs.spending.limits import Limits
from graphs.spending.spend import Account, Amount, Tokens
from graphs.stop_reasons import StopReason
from tests.examples import at_most
from tests.graphs.redis_servers import Client, Connect
from tests.graphs.spending.books import NOTHING, START, Books, Call, Grant, by, day, exceeded, nobody

TENANT_OF = {"job-a": "acme", "job-b": "acme", "job-c": "zenith"}
PARENT_OF = {"job-a1": "job-a", "job-a2": "job-a", "job-a11": "job-a1"}  # who may give to whom
TENANT_OF |= dict.fromkeys(PARENT_OF, TENANT_OF["job-a"])
AGENTS = ("sales", "analyst")
ITEMS = ("model:large", "model:small", "tool:web.search", "other:")
AMOUNTS = st.integers(0, 60)
PLACES = st.integers(0, 1000)
LIMITS = st.builds(
    Limits,
    budget_micro_usd=st.integers(60, 200),
    agent_share_percent=st.sampled_from([50, 80, 100]),
    tenant_day_micro_usd=st.integers(80, 250),
    deployment_day_micro_usd=st.integers(100, 300),
    tenant_share_percent=st.sampled_from([50, 90]),
    spend_per_minute_micro_usd=st.integers(40, 150),
    model_calls=st.integers(3, 9),
    agent_model_calls=st.integers(2, 6),
    tool_calls=st.integers(3, 9),
    agent_tool_calls=st.integers(2, 6),
    children=st.integers(0, 2),
    depth=st.integers(0, 2),
)
EXPIRES_IN_S = 50
EMBEDDED = "embedding:words"


class Machine(RuleBasedStateMachine):
    """Steps of workers that reserve, settle, die, come late and send things again."""

    def __init__(self, loop: asyncio.AbstractEventLoop, client: Client) -> None:
        super().__init__()
        self.loop, self.client = loop, client
        self.books = Books()
        self.ledger = Ledger(client, ttl_seconds=1000, now=lambda: self.books.now)
        self.runs = 0
        self.kept_to = True  # nobody was charged more than reserved
        self.wait(client.flushall())

    def wait(self, step: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(step)

    @initialize(limits=LIMITS)
    def limit(self, limits: Limits) -> None:
        self.limits = limits

    @rule(
        job=st.sampled_from(sorted(TENANT_OF)),
        agent=st.sampled_from(AGENTS),
        wanted=AMOUNTS,
        least=AMOUNTS,
        patient=st.booleans(),
        set_aside=st.sampled_from([0, 0, 20]),
        counted=st.sampled_from(["model_calls", "model_calls", "tool_calls", None]),
        item=st.sampled_from(ITEMS),
    )
    def reserve(  # noqa: PLR0917
        self,
        job: str,
        agent: str,
        wanted: int,
        least: int,
        patient: bool,
        set_aside: int,
        counted: Counted | None,
        item: str,
    ) -> None:
        account = Account(job, TENANT_OF[job], agent, self.limits, START, set_aside_micro_usd=set_aside)
        least = min(least, wanted)
        self.books.reap()
        room = min(
            most - used - held
            for used, held, most in (self.books.money(account) | self.books.day_money(account)).values()
        )
        granted = min(wanted, max(least, room))
        expected = self.books.refusals(account, granted, counted)
        if not expected and patient and granted < wanted:
            missing = self.books.missing(account, wanted)
            expected = missing if all(missing.values()) else {}
        call_id = f"call-{len(self.books.calls)}"
        options: dict[str, Any] = {"least": least, "patient": patient, "counted": counted, "item": item}
        reserve = self.ledger.reserve(call_id, account, wanted, expires_in_s=EXPIRES_IN_S, **options)
        if expected:
            with pytest.raises(LimitReached) as refused:
                self.wait(reserve)
            assert expected[refused.value.reason] is refused.value.passing is all(expected.values())
        else:
            assert self.wait(reserve) == granted
            expires = self.books.now + timedelta(seconds=EXPIRES_IN_S)
            self.books.calls[call_id] = Call(account, self.books.now, granted, expires, counted or NOTHING, item)

    @rule(wanted=AMOUNTS)
    def reserve_for_no_job(self, wanted: int) -> None:
        """As embeddings do that a server makes while it loads."""
        self.books.reap()
        spent, held, most = self.books.day_money(nobody(self.limits))[StopReason.DEPLOYMENT_DAY]
        call_id, limit = f"call-{len(self.books.calls)}", self.limits.deployment_day_micro_usd
        reserve = self.ledger.reserve_for_the_day(call_id, wanted, limit, expires_in_s=EXPIRES_IN_S, item=EMBEDDED)
        if spent + held + wanted > most:
            with pytest.raises(LimitReached):
                self.wait(reserve)
        else:
            self.wait(reserve)
            expires = self.books.now + timedelta(seconds=EXPIRES_IN_S)
            self.books.calls[call_id] = Call(nobody(self.limits), self.books.now, wanted, expires, NOTHING, EMBEDDED)

    @precondition(lambda self: self.books.calls)
    @rule(place=PLACES, wanted=AMOUNTS)
    def draw(self, place: int, wanted: int) -> None:
        """As the embeddings gate does, on the reservation of a tool call."""
        self.books.reap()
        ticket, call = self.some(place)
        call_id = f"call-{len(self.books.calls)}"
        enough = call.state == "open" and call.reserved >= wanted
        draw = self.ledger.draw(ticket, call_id, wanted, expires_in_s=EXPIRES_IN_S, item=EMBEDDED)
        assert self.wait(draw) is enough
        if enough:
            call.reserved -= wanted
            expires = self.books.now + timedelta(seconds=EXPIRES_IN_S)
            self.books.calls[call_id] = Call(call.account, call.began, wanted, expires, NOTHING, EMBEDDED)

    @rule(child=st.sampled_from(sorted(PARENT_OF)), agent=st.sampled_from(AGENTS), wanted=AMOUNTS)
    def grant(self, child: str, agent: str, wanted: int) -> None:
        books, parent = self.books, PARENT_OF[child]
        before = books.grants.get(child)
        agent = before.agent if before else agent
        account = Account(parent, TENANT_OF[parent], agent, self.limits, START)
        more = wanted - (before.micro_usd if before else 0)
        late = books.spent_by(child) > 0 or books.children(child)
        if more <= 0 and not (before and before.returned):
            self.wait(self.ledger.grant(account, child, wanted))
            return
        refused = bool(exceeded(books.money(account), more)) or bool(before and before.returned)
        if before is None:
            made = sum(books.grants[each].counts for each in books.children(parent))
            refused |= made >= self.limits.children or books.depth(parent) >= self.limits.depth
            if late:
                return  # a job gets its parent when it is submitted, not later
        if refused:
            with pytest.raises(LimitReached):
                self.wait(self.ledger.grant(account, child, wanted))
        else:
            self.wait(self.ledger.grant(account, child, wanted))
            books.grants[child] = Grant(parent, agent, wanted)

    @rule(job=st.sampled_from(sorted(PARENT_OF)))
    def give_back(self, job: str) -> None:
        grant = self.books.grants.get(job)
        if grant and not grant.returned:
            grant.returned = True
            grant.counts = any(self.books.made(counted, job=job) for counted in ("model_calls", "tool_calls"))
        self.wait(self.ledger.give_back(job))

    @rule(most=st.integers(100, 400), tenant=st.sampled_from(["", "acme", "zenith"]))
    def allow_today(self, most: int, tenant: str) -> None:
        """An admin may raise a day's budget, not take back what is spent."""
        today, account = day(self.books.now), Account("", tenant or "acme", "", self.limits, START)
        reason = StopReason.TENANT_DAY if tenant else StopReason.DEPLOYMENT_DAY
        most += self.books.day_money(account)[reason][2]
        self.books.allowed[today, tenant] = most
        self.wait(self.ledger.allow_today(most, tenant or None))

    @precondition(lambda self: self.books.calls)
    @rule(place=PLACES, wanted=AMOUNTS)
    def reserve_again(self, place: int, wanted: int) -> None:
        call_id, call = self.some(place)
        if not call.account.job_id:
            return
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
            call.tokens, call.saved = tokens, cost // 3
        assert self.wait(self.ledger.settle(call_id, cost, tokens, cost // 3)) == call.charged

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

    @rule(job=st.sampled_from(sorted(TENANT_OF)))
    def take_over(self, job: str) -> None:
        """Another process continues the job; the one before it may still settle its calls."""
        self.runs += 1
        self.books.take_over(job)
        self.wait(self.ledger.fence(job, self.runs))
        self.wait(self.ledger.fence(job, self.runs))

    @rule()
    def reap(self) -> None:
        assert self.wait(self.ledger.reap()) == self.books.reap()

    @invariant()
    def amounts_are_the_sums_of_the_calls(self) -> None:
        self.wait(self.compare())

    def teardown(self) -> None:
        for moment in (self.books.now, START):  # what was reserved before midnight is booked there, whenever settled
            self.books.now = moment
            self.wait(self.compare())
            for tenant in sorted(set(TENANT_OF.values())):
                self.wait(self.compare_parts(tenant))

    def some(self, place: int) -> tuple[str, Call]:
        """Some call, the newest ones most of the time: the others are closed."""
        call_id = list(self.books.calls)[-1 - place % min(5, len(self.books.calls))]
        return call_id, self.books.calls[call_id]

    async def compare(self) -> None:
        books = self.books
        for job in TENANT_OF:
            used = await self.ledger.spend(job)
            ours = [call for call in books.calls.values() if call.account.job_id == job]
            assert used.micro_usd == books.spent_by(job)
            assert used.reserved_micro_usd == books.reserved_by(job)
            assert used.estimated_micro_usd == sum(call.charged for call in ours if call.estimated)
            assert used.model_calls == books.made("model_calls", job=job)
            assert used.tool_calls == books.made("tool_calls", job=job)
            tokens = (used.input_tokens, used.cached_tokens, used.output_tokens)
            assert tokens == tuple(sum(call.tokens[place] for call in ours) for place in range(3))
            for agent, amount in used.agents.items():
                assert amount.micro_usd == books.spent_by(job, agent)
                assert amount.reserved_micro_usd == books.reserved_by(job, agent)
                assert amount.model_calls == books.made("model_calls", job=job, agent=agent)
                self.bound(amount.micro_usd + amount.reserved_micro_usd, self.limits.budget_micro_usd, self.share)
            self.bound(used.micro_usd + used.reserved_micro_usd, self.limits.budget_micro_usd)
        for tenant in sorted(set(TENANT_OF.values())):
            today = await self.ledger.spent_today(tenant)
            found = books.day_money(Account("", tenant, "", self.limits, START))
            spent, held, most = found[StopReason.DEPLOYMENT_DAY]
            assert today.deployment == Amount(micro_usd=spent, reserved_micro_usd=held)
            self.bound(spent + held, most)
            spent, held, most = found[StopReason.TENANT_DAY]
            assert today.tenant == Amount(micro_usd=spent, reserved_micro_usd=held)
            self.bound(spent + held, most)
        await self.compare_parts(None)

    async def compare_parts(self, tenant: str | None) -> None:
        """Every kind of part of a day adds up to its sum, and each part is the sum of its calls."""
        parts = await self.ledger.parts(self.books.now.date(), tenant)
        ours = list(self.books.those(day=day(self.books.now), **({"tenant": tenant} if tenant else {})))
        spend = parts.spend.tenant if tenant else parts.spend.deployment
        assert spend.micro_usd == sum(call.charged for call in ours)
        assert spend.reserved_micro_usd == sum(call.reserved for call in ours if call.state == "open")
        kinds: list[tuple[Mapping[Any, int], Callable[[Call], Any]]] = [
            (parts.agents, lambda call: call.account.agent),
            ({name: each.micro_usd for name, each in parts.items.items()}, lambda call: call.item),
            (parts.slots, lambda call: call.slot),
            (parts.dearest, lambda call: call.account.job_id if tenant else call.account.tenant),
        ]
        for kind, name in kinds:
            assert +Counter(kind) == by(ours, name)
            assert sum(kind.values()) == spend.micro_usd
        for item, used in parts.items.items():
            its = [call for call in ours if call.item == item]
            tokens = (used.input_tokens, used.cached_tokens, used.output_tokens, used.saved_micro_usd)
            assert tokens == tuple(
                sum(each) for each in zip(*((*call.tokens, call.saved) for call in its), strict=True)
            )

    @property
    def share(self) -> int:
        return self.limits.agent_share_percent

    def bound(self, used: int, limit: int, percent: int = 100) -> None:
        if self.kept_to:
            assert used <= limit * percent // 100


@pytest.mark.timeout(300)  # a machine may be slow, and no example is worth less for it
def test_the_ledger_is_the_sum_of_its_calls(valkey: Connect) -> None:
    with asyncio.Runner() as runner:
        client = valkey()

        class OnThisServer(Machine):
            def __init__(self) -> None:
                super().__init__(runner.get_loop(), client)

        given = settings(max_examples=at_most(500), stateful_step_count=15)
        run_state_machine_as_test(OnThisServer, settings=given)  # type: ignore[no-untyped-call]
        runner.run(client.aclose())
