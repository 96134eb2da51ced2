"""The ledger as a plain list of calls, of which every amount is a sum."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from graphs.spending.limits import Limits
from graphs.spending.spend import Account, Tokens
from graphs.stop_reasons import StopReason

NOTHING = "nothing"
START = datetime(2026, 2, 28, 23, 58, 30, tzinfo=UTC)


@dataclass
class Call:
    """One call, as a list of calls keeps it."""

    account: Account
    began: datetime
    reserved: int
    expires: datetime
    counted: str
    item: str
    state: str = "open"
    charged: int = 0
    minute: str = ""
    tokens: Tokens = field(default_factory=Tokens)
    saved: int = 0

    @property
    def day(self) -> str:
        return day(self.began)

    @property
    def slot(self) -> int:
        return (self.began.hour * 60 + self.began.minute) // 15

    @property
    def estimated(self) -> bool:
        return self.state in {"reaped", "estimated"}


@dataclass
class Grant:
    """What a job was given by its parent."""

    parent: str
    agent: str
    micro_usd: int
    returned: bool = False
    counts: bool = True  # as one of its parent's jobs: it made a call, or still may


@dataclass
class Books:
    """The model: all amounts are sums over the calls, and over what was given to other jobs."""

    calls: dict[str, Call] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    allowed: dict[tuple[str, str], int] = field(default_factory=dict)  # by day and tenant
    now: datetime = START

    def those(self, **which: str) -> Iterator[Call]:
        return (call for call in self.calls.values() if _is(call, which))

    def spent(self, **which: str) -> int:
        return sum(call.charged for call in self.those(**which))

    def reserved(self, **which: str) -> int:
        return sum(call.reserved for call in self.calls.values() if call.state == "open" and _is(call, which))

    def made(self, counted: str, **which: str) -> int:
        return sum(1 for call in self.calls.values() if call.counted == counted and _is(call, which))

    def spent_by(self, job: str, agent: str = "") -> int:
        """By the job, and by those who live on its money."""
        given = sum(self.spent_by(child) for child in self.children(job, agent))
        return given + self.spent(job=job, **({"agent": agent} if agent else {}))

    def reserved_by(self, job: str, agent: str = "") -> int:
        return self.given_by(job, agent) + self.reserved(job=job, **({"agent": agent} if agent else {}))

    def given_by(self, job: str, agent: str = "") -> int:
        """What a job keeps for its children: all that they have not spent, and of those that have given the rest back,
        what may still come."""
        return sum(self.held(child) for child in self.children(job, agent))

    def held(self, child: str) -> int:
        unspent = max(0, self.grants[child].micro_usd - self.spent_by(child))
        return min(unspent, self.reserved_by(child)) if self.grants[child].returned else unspent

    def children(self, job: str, agent: str = "") -> list[str]:
        found = self.grants.items()
        return [child for child, grant in found if grant.parent == job and agent in ("", grant.agent)]

    def depth(self, job: str) -> int:
        return 1 + self.depth(self.grants[job].parent) if job in self.grants else 0

    def reap(self) -> int:
        expired = [call for call in self.calls.values() if call.state == "open" and call.expires <= self.now]
        for call in expired:
            self.close(call, "reaped", call.reserved)
        return len(expired)

    def take_over(self, job: str) -> None:
        if not self.reserved(job=job):
            return
        for call in self.calls.values():
            if call.state == "open" and call.account.job_id == job:
                self.close(call, "reaped", call.reserved)

    def close(self, call: Call, state: str, charged: int) -> None:
        call.minute = call.minute or minute(self.now)
        call.state, call.charged = state, charged

    def budget(self, job: str, limits: Limits) -> int:
        grant = self.grants.get(job)
        if grant is None:
            return limits.budget_micro_usd
        return self.spent_by(job) if grant.returned else min(limits.budget_micro_usd, grant.micro_usd)

    def money(self, account: Account) -> dict[StopReason, tuple[int, int, int]]:
        """Spent, reserved and the most, of each budget: of the job and its agent, then of the day."""
        limits, job, agent = account.limits, account.job_id, account.agent
        budget = self.budget(job, limits)
        return {
            StopReason.BUDGET: (self.spent_by(job), self.reserved_by(job), budget - account.set_aside_micro_usd),
            StopReason.AGENT_BUDGET: (
                self.spent_by(job, agent),
                self.reserved_by(job, agent),
                budget * limits.agent_share_percent // 100,
            ),
        }

    def day_money(self, account: Account) -> dict[StopReason, tuple[int, int, int]]:
        limits, today = account.limits, {"day": day(self.now)}
        tenant = {**today, "tenant": account.tenant}
        most = self.allowed.get((today["day"], ""), limits.deployment_day_micro_usd)
        share = min(limits.tenant_day_micro_usd, most * limits.tenant_share_percent // 100)
        of_tenant = self.allowed.get((today["day"], account.tenant), share)
        return {
            StopReason.TENANT_DAY: (self.spent(**tenant), self.reserved(**tenant), of_tenant),
            StopReason.DEPLOYMENT_DAY: (self.spent(**today), self.reserved(**today), most),
        }

    def refusals(self, account: Account, wanted: int, counted: str | None) -> dict[StopReason, bool]:
        """Every reason to refuse, and whether it passes when what is reserved is settled."""
        limits, job = account.limits, {"job": account.job_id}
        agent = {**job, "agent": account.agent}
        found = self.missing(account, wanted)
        recent, rate = self.spent(**job, minute=minute(self.now)), limits.spend_per_minute_micro_usd
        if recent + self.reserved_by(account.job_id) + wanted > rate:
            found[StopReason.SPEND_RATE] = recent + wanted <= rate
        if counted is None:
            return found
        final = {
            f"{name}_limit": self.made(counted, **which) >= getattr(limits, f"{name}s")
            for name, which in ((counted[:-1], job), (f"agent_{counted[:-1]}", agent))
        }
        return found | {StopReason(reason): False for reason, refused in final.items() if refused}

    def missing(self, account: Account, wanted: int) -> dict[StopReason, bool]:
        """The budgets without room. What was given to other jobs does not pass soon."""
        found = exceeded(self.money(account) | self.day_money(account), wanted)
        for reason, agent in ((StopReason.BUDGET, ""), (StopReason.AGENT_BUDGET, account.agent)):
            if reason in found:
                spent, _, most = self.money(account)[reason]
                found[reason] = spent + self.given_by(account.job_id, agent) + wanted <= most
        return found


def exceeded(money: dict[StopReason, tuple[int, int, int]], wanted: int) -> dict[StopReason, bool]:
    return {
        reason: spent + wanted <= most
        for reason, (spent, reserved, most) in money.items()
        if spent + reserved + wanted > most
    }


def _is(call: Call, which: dict[str, str]) -> bool:
    facts = {
        "job": call.account.job_id,
        "agent": call.account.agent,
        "tenant": call.account.tenant,
        "day": call.day,
        "minute": call.minute,
    }
    return all(facts[name] == value for name, value in which.items())


def nobody(limits: Limits) -> Account:
    return Account("", "", "", limits, START)


def minute(now: datetime) -> str:
    return now.strftime("%H:%M")


def day(now: datetime) -> str:
    return now.date().isoformat()


def by(calls: list[Call], part: Callable[[Call], Any]) -> Counter[Any]:
    """What was charged for the calls, by a part of them."""
    found = Counter[Any]()
    for call in calls:
        found[part(call)] += call.charged
    return +found
