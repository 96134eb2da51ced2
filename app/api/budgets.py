"""Budgets without a job: money that an outside agent may spend on jobs."""

from typing import Annotated

from fastapi import APIRouter, Path

from app.api.auth import Reader, Submitter
from app.api.backend import BackendDep, RequestId
from app.api.jobs import COMMON, WITH_BODY
from app.api.models import BudgetDocument, BudgetRequest
from app.api.problems import documented
from app.jobs.budgets import BUDGET_ID, Budget
from graphs.spending.limits import MICRO
from graphs.spending.spend import Spend

BudgetId = Annotated[str, Path(pattern=f"^{BUDGET_ID}$")]


def router() -> APIRouter:
    """The routes of budgets."""
    routes = APIRouter(prefix="/v1/budgets", tags=["jobs"], responses=COMMON)

    @routes.post("", status_code=201, summary="Make a budget", responses={**WITH_BODY, **documented("invalid")})
    async def create(
        wanted: BudgetRequest, here: BackendDep, caller: Submitter, request_id: RequestId
    ) -> BudgetDocument:
        """Its id is what an outside agent gives as `parent` of its jobs: together they spend no more than this."""
        budget = await here.service.jobs.budgets.create(caller.tenant, round(wanted.budget_usd * MICRO))
        told = {"budget_usd": float(wanted.budget_usd)}
        await here.noted("budget", caller.id, caller.tenant, budget.id, told, request_id)
        return _document(budget, Spend())

    @routes.get("/{budget_id}", summary="Get a budget", responses=documented("no-such-job", "invalid"))
    async def one(budget_id: BudgetId, here: BackendDep, caller: Reader) -> BudgetDocument:
        return _document(*await here.service.jobs.budgets.get(caller.tenant, budget_id))

    return routes


def _document(budget: Budget, used: Spend) -> BudgetDocument:
    return BudgetDocument(
        id=budget.id,
        budget_usd=budget.micro_usd / MICRO,
        spent_usd=used.micro_usd / MICRO,
        reserved_usd=used.reserved_micro_usd / MICRO,
        jobs=used.children,
    )
