"""Whether a day's budget is used up. Pure; `measures_of_day` in `ledger.lua` enforces the same limits."""

from datetime import datetime

from graphs.spending.limits import Limits
from graphs.spending.spend import DaySpend
from graphs.stop_reasons import EXPLAINED, StopReason


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
    if deployment_limit(today, limits) - today.deployment.micro_usd <= (today.deployment_refused_micro_usd or 0):
        return StopReason.DEPLOYMENT_DAY
    if tenant_limit(today, limits) - today.tenant.micro_usd <= (today.tenant_refused_micro_usd or 0):
        return StopReason.TENANT_DAY
    return None


def told(reason: StopReason, ends: datetime) -> str:
    """Whose budget is used up, and when it begins anew, for people."""
    return f"{EXPLAINED[reason]}; it begins anew at {ends:%Y-%m-%d %H:%M} UTC"
