"""What the ledger's script refuses, as errors."""

from typing import Any

from graphs.errors import DAYS, DayUsedUp, Fenced, LimitReached
from graphs.spending.limits import LIMITS, PERCENT, dollars
from graphs.stop_reasons import StopReason

FENCED = [0]


def granted(answer: Any, wanted: int = 0, set_aside: int = 0) -> int:
    """What was granted. Raises Fenced or LimitReached if the script refused."""
    if isinstance(answer, int):
        return answer
    if answer == FENCED:
        raise Fenced("another process has taken over this job; this one spends nothing more")
    name, used, reserved, most, passing = answer
    limit = LIMITS[name.decode()]
    assert limit.reason
    if limit.unit.scale == 1 and limit.unit is not PERCENT:
        raise LimitReached(limit.reason, limit.scope, f"{used} of {most} {limit.unit.name} made", passing=bool(passing))
    named = {"spent": used, "reserved": reserved, "wanted": wanted, "limit": most}
    detail = ", ".join(f"{name} {dollars(amount)}" for name, amount in named.items())
    if set_aside and limit.reason is StopReason.BUDGET:
        detail += f" beside {dollars(set_aside)} for the report"
    kind = DayUsedUp if limit.scope in DAYS else LimitReached
    raise kind(limit.reason, limit.scope, detail, passing=bool(passing), wanted_micro_usd=wanted)
