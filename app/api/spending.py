"""A day's spend and limits, and an admin's change of them."""

from datetime import date
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field

from app.access.keys import TENANT, Scope
from app.api.auth import Admin, Reader
from app.api.backend import BackendDep, RequestId
from app.api.jobs import COMMON, WITH_BODY
from app.api.models import Sent, usd
from app.api.problems import Refused, documented
from app.work.spending import SpendDocument
from graphs.spending.limits import LIMITS, MICRO

Day = Annotated[date | None, Query(description="A day in UTC, of those that are kept; default: today.")]
Tenant = Annotated[
    str | None,
    Query(pattern=f"^{TENANT}$", description="Of which tenant; default: the key's. Others need the scope admin."),
]
UsdADay = Annotated[Decimal, *usd(LIMITS["deployment_day_micro_usd"].most // MICRO, ge=0)]


class DayLimitRequest(Sent):
    """Today's (UTC) budget of one tenant, or of the deployment, in place of the settings; tomorrow they apply again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"limit_usd": 10, "tenant": "acme"}]})

    limit_usd: UsdADay = Field(description="The day's budget, with what is spent of it already; 0 stops all work.")
    tenant: str | None = Field(
        None, pattern=f"^{TENANT}$", description="Default: the deployment, which is all tenants."
    )

    @property
    def micro_usd(self) -> int:
        """The budget, in micro-dollars."""
        return int(self.limit_usd * MICRO)


def router() -> APIRouter:
    """The routes of spending."""
    routes = APIRouter(prefix="/v1/spend", tags=["operations"], responses=COMMON)

    @routes.get("", summary="A day's spend and limits, and what it was spent on", responses=documented("invalid"))
    async def spend(here: BackendDep, caller: Reader, day: Day = None, tenant: Tenant = None) -> SpendDocument:
        is_admin = Scope.ADMIN in caller.scopes
        if tenant not in {None, caller.tenant} and not is_admin:
            raise Refused("forbidden", f"another tenant's spend needs a key with the scope {Scope.ADMIN}")
        return await here.service.spend(tenant or caller.tenant, day, everybody=is_admin)

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
        return await here.service.spend(tenant, everybody=True)

    return routes
