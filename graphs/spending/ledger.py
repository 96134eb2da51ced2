"""The ledger: reserves what each call may cost before it is made, and settles it after.

A call is charged to four scopes at once: its job, its agent in that job, its tenant's day and the deployment's day (the
UTC day it was reserved on). A reservation is made in all of them or in none. One that nobody settles in time, because
its worker died, is reaped: charged as reserved, and flagged as estimated.

Everything is in Redis, outside the state, so that no resume or fork restarts a count. Every key has the hash tag
`{ledger}`, so that one atomic script spans the scopes on a cluster too:

    tollgate:{ledger}:job:<job id>    hash of counters; `<counter>:<agent>` is one agent's part
    tollgate:{ledger}:day:<date>      hash of counters of the deployment; `<counter>:<tenant>` is one tenant's part
    tollgate:{ledger}:parts:<date>    hash of what the deployment spent, by agent, by item and by quarter of an hour
    tollgate:{ledger}:dearest:<date>  sorted set of its tenants, by what they spent
    ...:<date>:<tenant>               the same two of one tenant, whose sorted set has its jobs
    tollgate:{ledger}:minute:<n>      hash of what was settled in that minute, by job id
    tollgate:{ledger}:call:<call id>  hash, one call
    tollgate:{ledger}:open            sorted set of the open calls, by expiry
"""

import asyncio
import contextlib
import json
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal, cast

from redis.asyncio import Redis, RedisCluster

from graphs.clock import utc_now
from graphs.errors import LedgerUnavailable
from graphs.redis.failures import STORE_FAILED, explained
from graphs.redis.script import Script
from graphs.spending.money import exact
from graphs.spending.parts import DEAREST, LONGEST_ITEM, OTHER, DayParts
from graphs.spending.refusals import granted
from graphs.spending.spend import NO_TOKENS, Account, DaySpend, Spend, Tokens

DAY_TTL_SECONDS = 40 * 86_400
ENTERED_S = 600  # by which a job is accepted, after its parent gave it money
CLOSED_TTL_SECONDS = 3600  # a resent command comes within a minute
REAPED_AT_ONCE = 100

Counted = Literal["model_calls", "tool_calls"]

_PREFIX = "tollgate:{ledger}"
_KEYS = (f"{_PREFIX}:open",)
_SCRIPT = Script(Path(__file__).with_suffix(".lua"))


class Ledger:
    """Reserves, settles and counts. Each method takes one round trip, and raises LedgerUnavailable when Redis fails.

    The Redis client may resend a command when a connection breaks. Operations with a `call_id` still take effect once,
    for as long as the call is remembered: an hour after it was closed. Counts may then be too high, never too low.

    Args:
        client: with `decode_responses=False`.
        ttl_seconds: how long a job is remembered after its last change, and a reaped call can be corrected; at least 1.
        day_ttl_seconds: how long a day is remembered after its last change; at least a day.
        now: the time, in UTC.

    Raises:
        ValueError: the client decodes responses, or a time is too short.

    Example:
        ledger = Ledger(Redis.from_url("redis://127.0.0.1:6379"), ttl_seconds=7 * 86_400)
        deadline = datetime.now(UTC) + timedelta(minutes=10)
        account = Account("job-1", "acme", "researcher", Limits(budget_micro_usd=250_000), deadline)
        await ledger.reserve("call-1", account, 4_000, expires_in_s=60)  # at most USD 0.004, or LimitReached
        await ledger.settle("call-1", 1_250)  # it cost USD 0.00125
        used = await ledger.spend("job-1")  # used.micro_usd == 1_250
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

    async def reserve(  # noqa: PLR0913
        self,
        call_id: str,
        account: Account,
        micro_usd: int,
        *,
        expires_in_s: float,
        least: int | None = None,
        patient: bool = False,
        counted: Counted | None = "model_calls",
        item: str = OTHER,
    ) -> int:
        """Reserve the most that a call can cost, in every scope or in none, and return what was reserved.

        It stays counted even if it is released later. A known `call_id`, open or closed, changes nothing. Some expired
        calls, of any job, are reaped first.

        Args:
            call_id: unique to one attempt.
            account: who pays, and the limits that apply.
            micro_usd: the worst case, which must be an upper bound for the limits to hold.
            expires_in_s: seconds until the call counts as lost. A later settle still corrects it.
            least: reserve what is left, down to this, if not all fits; by default all or nothing.
            patient: rather refuse, as `passing`, while only other calls' reservations are in the way.
            counted: what the call counts as; None: it has been counted.
            item: what is paid for, as `MODEL + name`: see `graphs.spending.parts`.

        Raises:
            LimitReached: it does not fit; nothing was reserved.
            Fenced: another process has taken over the job; nothing was reserved.
            LedgerUnavailable: no call may be made.
        """
        wanted = exact(micro_usd)
        given = _payer(account) | {"tenant": account.tenant, "patient": patient}
        given |= {"counted": counted} if counted else {}
        given |= {"wanted": wanted, "least": wanted if least is None else min(exact(least), wanted)}
        given["item"] = item[:LONGEST_ITEM]
        return await self._reserved("reserve", call_id, wanted, expires_in_s, given)

    async def reserve_for_the_day(
        self, call_id: str, micro_usd: int, deployment_day_micro_usd: int, *, expires_in_s: float, item: str = OTHER
    ) -> None:
        """Reserve on the deployment's day alone, for what no job asked for. Raises like `reserve`."""
        limits = {"deployment_day_micro_usd": deployment_day_micro_usd}
        given = {"wanted": exact(micro_usd), "limits": limits, "item": item[:LONGEST_ITEM]}
        await self._reserved("reserve_for_the_day", call_id, micro_usd, expires_in_s, given)

    async def draw(self, ticket: str, call_id: str, micro_usd: int, *, expires_in_s: float, item: str = OTHER) -> bool:
        """Move a part of an open call's reservation to a new call, which is settled on its own. False if the first is
        not open, or too little is left of it."""
        given = {"ticket": ticket, "wanted": exact(micro_usd), "item": item[:LONGEST_ITEM]}
        return await self._reserved("draw", call_id, micro_usd, expires_in_s, given) == micro_usd

    async def _reserved(
        self, operation: str, call_id: str, wanted: int, expires_in_s: float, given: dict[str, Any]
    ) -> int:
        now = self._now()
        expires = _ms(now) + math.ceil(expires_in_s * 1000)
        try:
            answer = await self._run(operation, now, call=call_id, day=_day(now), expires=expires, **given)
        except (asyncio.CancelledError, LedgerUnavailable):  # it may have happened, or may still
            await asyncio.shield(self._take_back(call_id))
            raise
        return granted(answer, wanted, given.get("set_aside", 0))

    async def settle(
        self, call_id: str, micro_usd: int | None, tokens: Tokens = NO_TOKENS, saved_micro_usd: int = 0
    ) -> int:
        """Charge what the call cost to the scopes and the day of its reservation, and return the charge.

        Tokens, and what their caching saved, are counted beside it.

        If `micro_usd` is None (unknown), the reserved amount is charged and flagged as estimated. A cost above the
        reservation is charged too, which can take a scope past its limit; its next `reserve` is then refused. The
        charge of a reaped call is corrected. A settled or released call is left as it is. An unknown or forgotten one
        is charged 0, because its account is not known.
        """
        cost = {} if micro_usd is None else {"cost": exact(micro_usd)}
        counted = {f"{name}_tokens": amount for name, amount in tokens._asdict().items()}
        counted["saved_micro_usd"] = saved_micro_usd
        used = {name: exact(amount) for name, amount in counted.items() if amount}
        charged: int = await self._run("settle", self._now(), call=call_id, used=used, **cost)
        return charged

    async def release(self, call_id: str) -> None:
        """Charge nothing: the provider did not bill the call. A settled or released call is left as it is."""
        await self._run("release", self._now(), call=call_id)

    async def count(self, job_id: str, *, steps: int = 0, handoffs: int = 0, fence: int | None = None) -> None:
        """Add to a job's counts, regardless of its limits. Raises Fenced when a newer token is known."""
        added = {"steps": exact(steps), "handoffs": exact(handoffs)}
        granted(await self._run("count", self._now(), job=job_id, added=added, **_fenced(fence)))

    async def count_tool_call(self, account: Account) -> None:
        """Count a tool call that costs nothing for both the job and the agent, or for neither.

        Raises:
            LimitReached: a limit of tool calls is reached; nothing was counted.
            LedgerUnavailable: no call may be made.
        """
        granted(await self._run("count_tool_call", self._now(), **_payer(account)))

    async def grant(self, account: Account, child: str, micro_usd: int) -> None:
        """Give a part of a job's money to another job, or raise that part to this amount.

        It is reserved in the job and its agent until the child gives back what it did not spend. What the child spends
        is spent by its ancestors too, at once and to the micro-dollar; the day is charged once. A job that nobody
        `keep`s within ten minutes was not accepted: it gives back by itself.

        Raises:
            LimitReached: it does not fit, or a limit of depth or number is reached; nothing was given.
            LedgerUnavailable: nothing was given, or nobody knows: ask again.
        """
        wanted = exact(micro_usd)
        now = self._now()
        given = {"child": child, "wanted": wanted, "expires": _ms(now) + ENTERED_S * 1000}
        granted(await self._run("grant", now, **_payer(account), **given), wanted)

    async def keep(self, job_id: str) -> None:
        """Keep what a job was given for half the time that it is remembered, or until it gives back."""
        await self._run("keep", self._now(), job=job_id)

    async def give_back(self, job_id: str) -> None:
        """Return what a job has left to its parent, if it has one: from then on the job reserves nothing."""
        await self._run("give_back", self._now(), job=job_id)

    async def allow_today(self, micro_usd: int, tenant: str | None = None) -> None:
        """Set the deployment's budget for today (UTC), or a tenant's, in place of what the settings say."""
        now = self._now()
        of = {} if tenant is None else {"tenant": tenant}
        await self._run("allow_today", now, day=_day(now), most=exact(micro_usd), **of)

    async def fence(self, job_id: str, token: int) -> None:
        """From now on, refuse runs of this job with an older fencing token. Their open calls are charged as reserved,
        until they are settled. Raises Fenced if this token is older."""
        granted(await self._run("fence", self._now(), job=job_id, **_fenced(token)))

    async def spend(self, job_id: str, task: str = "") -> Spend:  # noqa: ARG002  recordings note it
        """What the job has used; zeros for an unknown job. `task` is that of the agent that asks."""
        with _available():
            found = await cast("Awaitable[dict[bytes, bytes]]", self._client.hgetall(f"{_PREFIX}:job:{job_id}"))
        return Spend.counted(found)

    async def spent_today(self, tenant: str) -> DaySpend:
        """What the tenant and the deployment have used of today's (UTC) budgets."""
        return (await self.spent_today_by([tenant]))[tenant]

    async def spent_today_by(self, tenants: Sequence[str]) -> dict[str, DaySpend]:
        """The same for each of these tenants."""
        fields = [each for tenant in tenants for each in DaySpend.fields(tenant)]
        key, wide = f"{_PREFIX}:day:{_day(self._now())}", len(DaySpend.fields(""))
        with _available():
            found = await cast("Awaitable[list[bytes | None]]", self._client.hmget(key, fields))
        return {tenant: DaySpend.counted(found[at * wide : (at + 1) * wide]) for at, tenant in enumerate(tenants)}

    async def parts(self, day: date, tenant: str | None = None, most: int = DEAREST) -> DayParts:
        """What the deployment, or the tenant, spent on this day (UTC), and on what; 0: all of its tenants, or jobs."""
        given = {"day": day.isoformat(), "fields": DaySpend.fields(tenant or ""), "most": most}
        given |= {} if tenant is None else {"tenant": tenant}
        return DayParts.counted(*await self._run("day", self._now(), **given))

    async def reap(self) -> int:
        """Charge every expired call as reserved, flagged as estimated; return how many there were."""
        total, reaped, now = 0, REAPED_AT_ONCE, self._now()
        while reaped == REAPED_AT_ONCE:
            reaped = await self._run("reap", now, most=REAPED_AT_ONCE)
            total += reaped
        return total

    async def _take_back(self, call_id: str) -> None:
        with contextlib.suppress(LedgerUnavailable):  # then it is reaped
            await self.release(call_id)

    async def _run(self, operation: str, now: datetime, **given: Any) -> Any:
        # One document, because the client takes longer to pack twenty arguments than for the rest of a call.
        told = json.dumps({"operation": operation, "now": _ms(now), **self._lives, **given})
        with _available():
            return await _SCRIPT.run(self._client, _KEYS, told)


@contextlib.contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except STORE_FAILED as error:
        raise LedgerUnavailable(
            f"the ledger is unavailable, so nothing may be spent: {explained(error)}, then resume"
        ) from error


def _payer(account: Account) -> dict[str, Any]:
    payer: dict[str, Any] = {"job": account.job_id, "agent": account.agent, "limits": vars(account.limits)}
    payer["set_aside"] = account.set_aside_micro_usd
    return payer | _fenced(account.fence)


def _fenced(token: int | None) -> dict[str, int]:
    return {} if token is None else {"fence": token}


def _day(now: datetime) -> str:
    return now.astimezone(UTC).date().isoformat()


def _ms(now: datetime) -> int:
    return round(now.timestamp() * 1000)
