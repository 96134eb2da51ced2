"""How much of a day's budget is used. Pure; `measures_of_day` in `ledger.lua` enforces the same limits."""

from datetime import datetime

from graphs.spending.limits import Limits
from graphs.spending.spend import Amount, DaySpend
from graphs.stop_reasons import EXPLAINED, StopReason

ALL = 100


def deployment_limit(today: DaySpend, limits: Limits) -> int:
    """The deployment's budget of this day."""
    allowed = today.deployment_allowed_micro_usd
    return limits.deployment_day_micro_usd if allowed is None else allowed


def tenant_limit(today: DaySpend, limits: Limits) -> int:
    """The tenant's budget of this day: what an admin allowed, or its own limit within its share of the deployment's."""
    share = deployment_limit(today, limits) * limits.tenant_share_percent // 100
    allowed = today.tenant_allowed_micro_usd
    return min(limits.tenant_day_micro_usd, share) if allowed is None else allowed


def used_up(today: DaySpend, limits: Limits) -> StopReason | None:
    """Which budget of this day is used up: nothing is left, or no more than when a call was refused."""
    if deployment_percent(today, limits) == ALL:
        return StopReason.DEPLOYMENT_DAY
    if tenant_percent(today, limits) == ALL:
        return StopReason.TENANT_DAY
    return None


def deployment_percent(today: DaySpend, limits: Limits) -> int:
    """Percent of the deployment's budget that are spent; 100 when it is used up."""
    return _percent(today.deployment, deployment_limit(today, limits), today.deployment_refused_micro_usd)


def tenant_percent(today: DaySpend, limits: Limits) -> int:
    """Percent of the tenant's budget that are spent; 100 when it is used up."""
    return _percent(today.tenant, tenant_limit(today, limits), today.tenant_refused_micro_usd)


def _percent(amount: Amount, limit: int, refused: int | None) -> int:
    left = limit - amount.micro_usd
    return ALL if left <= (refused or 0) else ALL * amount.micro_usd // limit


def told(reason: StopReason, ends: datetime) -> str:
    """Whose budget is used up, and when it begins anew, for people."""
    return f"{EXPLAINED[reason]}; it begins anew at {ends:%Y-%m-%d %H:%M} UTC"
