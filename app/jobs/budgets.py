"""Money that jobs get from another job, or from a budget that an outside agent was given.

A job may name a parent: a job of its tenant, or a budget without a job, whose id an outside agent holds like a token.
The job's whole budget is set aside there when it is submitted, and what it has not spent goes back when it has ended.
"""

import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import cast

from pydantic import BaseModel, ConfigDict
from redis.asyncio import Redis

from app.errors import BadInput, NoSuchJob
from app.jobs.records import Record, Records
from app.jobs.states import TERMINAL
from graphs.deps import Deps
from graphs.errors import LimitReached
from graphs.spending.limits import Limits
from graphs.spending.spend import Account, Spend

BUDGET_ID = r"budget-[0-9a-f]{32}"
CHILDREN = "children"  # the account of what a job has given away


class Budget(BaseModel):
    """A budget without a job."""

    model_config = ConfigDict(frozen=True)

    id: str
    tenant: str
    micro_usd: int


class Budgets:
    """Gives jobs their parents' money.

    Args:
        client: of the store.
        records: of the jobs.
        limits_of: the limits of a job now: a human may have raised them.
        deps: has the ledger.
        ttl_seconds: how long a budget without a job can be used.
    """

    def __init__(
        self,
        client: Redis,
        records: Records,
        limits_of: Callable[[Record], Awaitable[Limits]],
        deps: Deps,
        *,
        ttl_seconds: int,
    ) -> None:
        self._client = client
        self._records = records
        self._limits_of = limits_of
        self._deps = deps
        self._ttl = ttl_seconds

    async def create(self, tenant: str, micro_usd: int) -> Budget:
        """A new budget. Whoever has its id, and a key of the tenant, can spend it on jobs.

        Raises BadInput above the highest budget of a job."""
        limits = self._deps.limits.model_copy(update={"budget_micro_usd": micro_usd})
        if above := limits.above(self._deps.ceiling):
            raise BadInput(f"{above}; ask for less, or raise the maximum (.env.example lists the settings)")
        budget = Budget(id=f"budget-{secrets.token_hex(16)}", tenant=tenant, micro_usd=micro_usd)
        await self._client.set(_key(budget.id), budget.model_dump_json(), ex=self._ttl)
        return budget

    async def get(self, tenant: str, budget_id: str) -> tuple[Budget, Spend]:
        """The budget, and what its jobs have spent of it or set aside. Raises NoSuchJob."""
        stored = await cast("Awaitable[bytes | None]", self._client.get(_key(budget_id)))
        budget = Budget.model_validate_json(stored) if stored else None
        if budget is None or budget.tenant != tenant:
            raise NoSuchJob(budget_id)
        return budget, await self._deps.ledger.spend(budget_id)

    async def grant(self, record: Record, micro_usd: int) -> None:
        """Set this much aside for the job at its parent, or raise what is set aside. Nothing without a parent.

        Raises BadInput: there is no such parent, it has ended, or it has not that much left."""
        if record.parent is None:
            return
        try:
            await self._deps.ledger.grant(await self._parent(record), record.job_id, micro_usd)
        except LimitReached as refused:
            raise BadInput(f"the parent {record.parent} does not pay for this job: {refused}") from refused

    async def _parent(self, record: Record) -> Account:
        assert record.parent
        if record.parent.startswith("budget-"):
            budget, _ = await self.get(record.tenant, record.parent)
            own = {"budget_micro_usd": budget.micro_usd, "agent_share_percent": 100}
            limits = self._deps.limits.model_copy(update=own)
            deadline = self._deps.now() + timedelta(seconds=self._ttl)
            return Account(budget.id, budget.tenant, CHILDREN, limits, deadline)
        parent = await self._records.get(record.parent)
        if parent.tenant != record.tenant:
            raise NoSuchJob(record.parent)
        if parent.status in TERMINAL:
            raise BadInput(f"the parent {record.parent} has ended; its status is {parent.status}")
        limits = await self._limits_of(parent)
        state = {"job_id": parent.job_id, "tenant": parent.tenant, "limits": limits.model_dump()}
        return self._deps.account({**state, "deadline_at": self._deps.now().isoformat()}, CHILDREN, {})


def _key(budget_id: str) -> str:
    return f"tollgate:{{{budget_id}}}:budget"
