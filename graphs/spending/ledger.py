"""The ledger: what each call may cost is reserved before it is made, and settled after.

A call is charged to four scopes at once: its job, its agent in that job, its tenant's day and the deployment's day (the
UTC day it was reserved on). A reservation is made in all of them or in none. One that nobody settles in time, because
its worker died, is reaped: charged as reserved, and flagged as estimated.

All of it is in Redis, outside the state, so that neither a resume nor a fork starts a count anew. Every key has the
hash tag `{ledger}`, so that one atomic script spans the scopes on a cluster too:

    tollgate:{ledger}:job:<job id>    hash of counters; `<counter>:<agent>` is one agent's part
    tollgate:{ledger}:day:<date>      hash of counters of the deployment; `<counter>:<tenant>` is one tenant's part
    tollgate:{ledger}:minute:<n>      hash of what was settled in a minute, by job id
    tollgate:{ledger}:call:<call id>  hash, one call
    tollgate:{ledger}:open            sorted set of the open calls, by when they expire
"""

import asyncio
import contextlib
import json
import math
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis, RedisCluster

from graphs.clock import utc_now
from graphs.errors import Fenced, LedgerUnavailable, LimitReached
from graphs.redis.failures import STORE_FAILED, explained
from graphs.redis.script import Script
from graphs.spending.limits import LIMITS, MODEL_CALLS, TOOL_CALLS, dollars
from graphs.spending.spend import NO_TOKENS, Account, Amount, DaySpend, Spend, Tokens

DAY_TTL_SECONDS = 40 * 86_400
CLOSED_TTL_SECONDS = 3600  # a command that is sent again comes within a minute
REAPED_AT_ONCE = 100
MAX_MICRO_USD = 2**53 - 1  # Lua's numbers are exact up to here

FENCED = [0]

_PREFIX = "tollgate:{ledger}"
_KEYS = (f"{_PREFIX}:open",)
_SCRIPT = Script(Path(__file__).with_suffix(".lua"))


class Ledger:
    """Reserves, settles and counts. Each method takes one round trip, and raises LedgerUnavailable when Redis fails.

    The Redis client may send a command again when a connection breaks. What has a `call_id` still happens once, for as
    long as the call is remembered: an hour after it was closed. Counts may come out too high then, never too low.

    Args:
        client: a client that talks bytes.
        ttl_seconds: how long a job is remembered after its last change, and a reaped call can be corrected.
        day_ttl_seconds: how long a day is remembered after its last change: at least a day.
        now: the time, in UTC.
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        *,
        ttl_seconds: int,
        day_ttl_seconds: int = DAY_TTL_SECONDS,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        if client.get_encoder().decode_responses:
            raise ValueError("the ledger reads bytes: give it a Redis client with decode_responses=False")
        if ttl_seconds < 1:
            raise ValueError(f"ttl_seconds is {ttl_seconds}: give a positive number of seconds")
        if day_ttl_seconds < 86_400:
            raise ValueError(f"day_ttl_seconds is {day_ttl_seconds}: a day's budget must be remembered for that day")
        self._client = client
        self._lives = {"job_s": ttl_seconds, "day_s": day_ttl_seconds, "closed_s": CLOSED_TTL_SECONDS}
        self._now = now

    async def reserve(self, call_id: str, account: Account, micro_usd: int, *, expires_in_s: float) -> None:
        """Set aside the most that a call can cost, in every scope, or in none.

        It counts as a model call, also when it is released later. With a `call_id` that is known already, open or
        closed, nothing changes. First some of what has expired is reaped, whoever's it is.

        Args:
            call_id: one attempt's own.
            account: who pays, and the limits that hold.
            micro_usd: the worst case. The limits hold as far as it is an upper bound.
            expires_in_s: when the call is given up for lost. A settle that comes later still corrects it.

        Raises:
            LimitReached: it does not fit; nothing was reserved.
            Fenced: another process has taken over the job; nothing was reserved.
            LedgerUnavailable: no call may be made.
        """
        now = self._now()
        wanted = _exact(micro_usd)
        given = _payer(account) | {"tenant": account.tenant, "day": _day(now), "call": call_id, "wanted": wanted}
        expires = _ms(now) + math.ceil(expires_in_s * 1000)
        try:
            refusal = await self._run("reserve", now, **given, expires=expires)
        except (asyncio.CancelledError, LedgerUnavailable):  # it may have been carried out, or may be yet
            await asyncio.shield(self._take_back(call_id))
            raise
        _refuse(refusal, wanted)

    async def settle(self, call_id: str, micro_usd: int | None, tokens: Tokens = NO_TOKENS) -> int:
        """Charge what the call has cost, to the scopes and the day of its reservation. What it was charged.

        A cost above the reservation is charged too. A scope may pass its limit so, and its next `reserve` is refused.
        A call that was reaped is corrected. One that is settled or released already stays as it is. One that the ledger
        does not know, or no longer, is charged nothing, and 0 returned: it does not say who would pay. Without a cost,
        because nobody knows it, the call is charged as reserved, and flagged as estimated.
        """
        cost = {} if micro_usd is None else {"cost": _exact(micro_usd)}
        used = {f"{name}_tokens": _exact(amount) for name, amount in tokens._asdict().items()}
        charged: int = await self._run("settle", self._now(), call=call_id, tokens=used, **cost)
        return charged

    async def release(self, call_id: str) -> None:
        """Charge nothing: the provider did not bill the call. One that is settled or released is left as it is."""
        await self._run("release", self._now(), call=call_id)

    async def count(self, job_id: str, *, steps: int = 0, handoffs: int = 0, fence: int | None = None) -> None:
        """Add to what the job has done, whatever its limits. Raises Fenced when a newer token is known."""
        added = {"steps": _exact(steps), "handoffs": _exact(handoffs)}
        _refuse(await self._run("count", self._now(), job=job_id, added=added, **_fenced(fence)))

    async def count_tool_call(self, account: Account) -> None:
        """Count a tool call of the job and of the agent, or neither.

        Raises:
            LimitReached: there have been as many as may be; nothing was counted.
            LedgerUnavailable: no call may be made.
        """
        _refuse(await self._run("count_tool_call", self._now(), **_payer(account)))

    async def fence(self, job_id: str, token: int) -> None:
        """From now on, runs of this job with an older fencing token reserve and count nothing. Raises Fenced."""
        _refuse(await self._run("fence", self._now(), job=job_id, **_fenced(token)))

    async def spend(self, job_id: str) -> Spend:
        """What the job has used; zeros for a job that the ledger does not know."""
        with _available():
            found = await cast("Awaitable[dict[bytes, bytes]]", self._client.hgetall(f"{_PREFIX}:job:{job_id}"))
        job: dict[str, int] = {}
        agents: dict[str, dict[str, int]] = {}
        for field, value in found.items():
            counter, of_agent, agent = field.decode().partition(":")
            (agents.setdefault(agent, {}) if of_agent else job)[counter] = int(value)
        return Spend.model_validate({**job, "agents": agents})

    async def spent_today(self, tenant: str) -> DaySpend:
        """What the tenant and the deployment have used of this UTC day's budgets."""
        counters = ["micro_usd", "reserved_micro_usd"]
        fields = [*(f"{counter}:{tenant}" for counter in counters), *counters]
        with _available():
            key = f"{_PREFIX}:day:{_day(self._now())}"
            found = await cast("Awaitable[list[bytes | None]]", self._client.hmget(key, fields))
        spent, reserved, all_spent, all_reserved = (int(value or 0) for value in found)
        return DaySpend(
            tenant=Amount(micro_usd=spent, reserved_micro_usd=reserved),
            deployment=Amount(micro_usd=all_spent, reserved_micro_usd=all_reserved),
        )

    async def reap(self) -> int:
        """Charge every call that has expired as reserved, flagged as estimated. How many there were."""
        total, reaped, now = 0, REAPED_AT_ONCE, self._now()
        while reaped == REAPED_AT_ONCE:
            reaped = await self._run("reap", now, most=REAPED_AT_ONCE)
            total += reaped
        return total

    async def _take_back(self, call_id: str) -> None:
        with contextlib.suppress(LedgerUnavailable):  # then it is reaped
            await self.release(call_id)

    async def _run(self, operation: str, now: datetime, **given: Any) -> Any:
        # In one document: the client takes longer to pack twenty arguments than all else of a call.
        told = json.dumps({"operation": operation, "now": _ms(now), **self._lives, **given})
        with _available():
            return await _SCRIPT.run(self._client, _KEYS, told)


@contextlib.contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except STORE_FAILED as error:
        raise LedgerUnavailable(
            f"the ledger cannot be used, and without it nothing is spent: {explained(error)}, then resume"
        ) from error


def _refuse(refusal: list[Any], wanted: int = 1) -> None:
    """Raises LimitReached unless the script has nothing to refuse."""
    if refusal == []:
        return
    if refusal == FENCED:
        raise Fenced("another process has taken over this job; this one spends nothing more")
    name, used, reserved, most, passing = refusal
    limit = LIMITS[name.decode()]
    assert limit.reason
    if limit.unit in {MODEL_CALLS, TOOL_CALLS}:
        raise LimitReached(limit.reason, limit.scope, f"{used} of {most} {limit.unit.name} made", passing=bool(passing))
    named = {"spent": used, "reserved": reserved, "wanted": wanted, "limit": most}
    detail = ", ".join(f"{name} {dollars(amount)}" for name, amount in named.items())
    raise LimitReached(limit.reason, limit.scope, detail, passing=bool(passing), wanted_micro_usd=wanted)


def _payer(account: Account) -> dict[str, Any]:
    payer = {"job": account.job_id, "agent": account.agent, "limits": vars(account.limits)}
    return payer | _fenced(account.fence)


def _fenced(token: int | None) -> dict[str, int]:
    return {} if token is None else {"fence": token}


def _exact(amount: int) -> int:
    if not isinstance(amount, int) or not 0 <= amount <= MAX_MICRO_USD:
        raise ValueError(f"{amount} cannot be booked: give an integer from 0 to {MAX_MICRO_USD}")
    return amount


def _day(now: datetime) -> str:
    return now.astimezone(UTC).date().isoformat()


def _ms(now: datetime) -> int:
    return round(now.timestamp() * 1000)
