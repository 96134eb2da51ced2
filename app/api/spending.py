"""Today's spend and limits, and an admin's change of them."""

from datetime import UTC, date
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.access.keys import TENANT, Scope
from app.api.auth import Admin, Reader
from app.api.backend import Backend, BackendDep, RequestId
from app.api.jobs import COMMON, WITH_BODY
from app.api.models import Sent, usd
from app.api.problems import documented
from graphs.spending.days import deployment_limit, tenant_limit
from graphs.spending.limits import LIMITS, MICRO
from graphs.spending.spend import Amount

UsdADay = Annotated[Decimal, *usd(LIMITS["deployment_day_micro_usd"].most // MICRO, ge=0)]


class DayLimitRequest(Sent):
    """Today's (UTC) budget of one tenant, or of the deployment, in place of the settings; tomorrow they apply again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"limit_usd": 10, "tenant": "acme"}]})

    limit_usd: UsdADay = Field(description="The day's budget, with what is spent of it already; 0 stops all work.")
    tenant: str | None = Field(None, pattern=TENANT, description="Default: the deployment, which is all tenants.")

    @property
    def micro_usd(self) -> int:
        """The budget, in micro-dollars."""
        return int(self.limit_usd * MICRO)


class DayBudget(BaseModel):
    """Today's (UTC) spend, what calls in flight may cost on top, and the day's limit."""

    spent_usd: float
    reserved_usd: float
    limit_usd: float


class SpendDocument(BaseModel):
    """Today's spend. `deployment` is included for keys with the scope admin."""

    day: date
    tenant: DayBudget
    deployment: DayBudget | None


def router() -> APIRouter:
    """The routes of spending."""
    routes = APIRouter(prefix="/v1/spend", tags=["operations"], responses=COMMON)

    @routes.get("", summary="Today's spend and limits")
    async def spend(here: BackendDep, caller: Reader) -> SpendDocument:
        return await _spent(here, caller.tenant, everybody=Scope.ADMIN in caller.scopes)

    @routes.post(
        "/limits",
        summary="Set today's budget of the deployment, or of a tenant",
        responses={**WITH_BODY, **documented("invalid")},
    )
    async def allow(wanted: DayLimitRequest, here: BackendDep, caller: Admin, request_id: RequestId) -> SpendDocument:
        """Suspended jobs that can pay again go on within seconds."""
        await here.service.deps.ledger.allow_today(wanted.micro_usd, wanted.tenant)
        tenant, detail = wanted.tenant or caller.tenant, {"tenant": wanted.tenant, "limit_usd": float(wanted.limit_usd)}
        await here.noted("spend.limit", caller.id, tenant, None, detail, request_id)
        return await _spent(here, tenant, everybody=True)

    return routes


async def _spent(here: Backend, tenant: str, *, everybody: bool) -> SpendDocument:
    deps = here.service.deps
    today, limits = await deps.ledger.spent_today(tenant), deps.limits
    return SpendDocument(
        day=deps.now().astimezone(UTC).date(),
        tenant=_budget(today.tenant, tenant_limit(today, limits)),
        deployment=_budget(today.deployment, deployment_limit(today, limits)) if everybody else None,
    )


def _budget(amount: Amount, limit_micro_usd: int) -> DayBudget:
    return DayBudget(
        spent_usd=amount.micro_usd / MICRO,
        reserved_usd=amount.reserved_micro_usd / MICRO,
        limit_usd=limit_micro_usd / MICRO,
    )
