"""Alerts when half, four fifths and all of a day's budget are used: each once per day and budget, over all workers.

Every worker looks every few seconds. What another threshold is reached of gets a call in the queue of webhooks, in the
step that also marks it (`Queue.rise`): so it is told once, whatever dies. The call's name holds all that is told. A
budget that was raised or lowered is another one; only the highest of its thresholds that are reached is told.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from app.work.queue import Call
from graphs.spending.days import deployment_limit, deployment_percent, tenant_limit, tenant_percent
from graphs.spending.limits import MICRO, Limits, dollars
from graphs.spending.spend import DaySpend
from graphs.state import Json

PERCENTS = (100, 80, 50)
KIND = "budget.alert"
_NAME = "alert"  # begins the names of its calls; those of jobs begin with their id


@dataclass(frozen=True)
class Alert:
    """A share of a budget that is used.

    `tenant` is empty for the deployment; `at` is when it was noticed, in UTC; money is in micro-dollars. At 100 percent
    what is left pays for no more calls.
    """

    tenant: str
    at: datetime
    percent: int
    spent: int
    limit: int

    @property
    def mark(self) -> str:
        """The budget: of whom, for which day, and how much."""
        return f"{self.at.date()}:{self.limit}:{self.tenant}"

    @property
    def webhook_id(self) -> str:
        """The same for all attempts."""
        return f"{_NAME}/{self.mark}/{self.percent}"

    @property
    def data(self) -> Json:
        """The payload of its webhook; `tenant` is null for the deployment."""
        amounts = {"spent_usd": self.spent / MICRO, "limit_usd": self.limit / MICRO}
        return {"tenant": self.tenant or None, "day": str(self.at.date()), "percent": self.percent, **amounts}

    @property
    def told(self) -> str:
        """The line in the log."""
        whose = f"tenant {self.tenant}" if self.tenant else "the deployment"
        used = f"{self.percent} % used" if self.percent < PERCENTS[0] else "used up"
        return f"the budget of {whose} for {self.at.date()} is {used}: {dollars(self.spent)} of {dollars(self.limit)}"

    def call(self, attempt: int = 1) -> Call:
        """Its call in the queue."""
        at = self.at.isoformat(timespec="seconds")
        return Call(self.tenant, f"{_NAME}/{at}/{self.percent}/{self.spent}/{self.limit}/{attempt}")

    @classmethod
    def of(cls, call: Call) -> Self | None:
        """The alert of this call, if it is one's."""
        name, *facts = call.name.split("/")
        if name != _NAME:
            return None
        at, percent, spent, limit, _ = facts
        return cls(call.tenant, datetime.fromisoformat(at), int(percent), int(spent), int(limit))


def of_deployment(today: DaySpend, limits: Limits, at: datetime) -> Iterator[Alert]:
    """The alert about the deployment's budget, if a threshold is reached."""
    percent, limit = deployment_percent(today, limits), deployment_limit(today, limits)
    yield from (Alert("", at, each, today.deployment.micro_usd, limit) for each in _reached(percent))


def of_tenant(tenant: str, today: DaySpend, limits: Limits, at: datetime) -> Iterator[Alert]:
    """The alert about the tenant's budget, if a threshold is reached."""
    percent, limit = tenant_percent(today, limits), tenant_limit(today, limits)
    yield from (Alert(tenant, at, each, today.tenant.micro_usd, limit) for each in _reached(percent))


def _reached(percent: int) -> list[int]:
    """The highest threshold that is reached, if any."""
    return [each for each in PERCENTS if each <= percent][:1]
