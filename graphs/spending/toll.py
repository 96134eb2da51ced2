"""The toll gate: reserves the worst-case cost of each model call before it, and accounts for it after.

One attempt is one reservation. It is settled at the price of the usage that the provider reports. Without usage (a
timeout, a cancellation, a broken connection, an answer that lacks it), the provider may have charged up to the worst
case, so the reserved amount is charged and flagged as estimated. An answer that is an error or not a completion is
billed only if it reports usage.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

import openai
from langchain_core.messages.ai import UsageMetadata

from graphs.answers.completion import ErrorInside
from graphs.clock import utc_now
from graphs.errors import DAYS, CircuitOpen, LedgerUnavailable, LimitReached
from graphs.redis.breaker import Breaker
from graphs.spending.faults import failure, is_outage, may_be_billed
from graphs.spending.ledger import Ledger
from graphs.spending.limits import LIMITS, Limits
from graphs.spending.money import MAX_MICRO_USD
from graphs.spending.parts import MODEL
from graphs.spending.spend import Account, Tokens
from graphs.spending.turnstile import Turnstile
from graphs.spending.waiting import when_free
from graphs.state import Json
from graphs.stop_reasons import StopReason
from graphs.telemetry import model_call, model_called

Emit = Callable[[Json], None]
Body = bytes
OF_A_DAY = [name for name, limit in LIMITS.items() if limit.scope in DAYS]
RESERVATION_GRACE_S = 30.0  # by which a reservation outlives its call's timeout, so that a slow settle still finds it

logger = logging.getLogger(__name__)


@runtime_checkable
class Prices(Protocol):
    """Prices of calls, in micro-dollars, rounded up. `at` is the moment that sets the price, by default now."""

    def __call__(self, model: str, usage: UsageMetadata, at: datetime | None = None) -> int:
        """The price of this usage. Raises ValueError for invalid usage."""

    def worst_case(self, model: str, input_tokens: int, output_tokens: int, at: datetime | None = None) -> int:
        """The most that this many tokens can cost."""

    def answer_tokens(self, model: str, input_tokens: int, micro_usd: int, at: datetime | None = None) -> int:
        """The most answer tokens whose worst case, beside this input, is within the amount; negative if the input
        alone is not."""

    def embedding(self, model: str, tokens: int, at: datetime | None = None) -> int:
        """The price of the embeddings of this many input tokens."""


@dataclass(frozen=True)
class Request:
    """A request before it is sent: its bytes, and upper bounds of the tokens it has and of those it allows for an
    answer, which may be lowered to `least_tokens` to fit what money is left."""

    model: str
    bytes: int
    input_tokens: int
    answer_tokens: int
    least_tokens: int


@dataclass
class Answer:
    """An attempt: `ticket` admits its one request, which allows for `tokens` in the answer; so many micro-dollars are
    `reserved` for it. Who sends it fills in the request as `sent`, the `body` of the answer, and its usage.

    It is priced as the requested model at the same moment, `at`, as the reservation, whatever model name the provider
    returns and whenever it answers. `began` is by the toll's clock, in seconds.
    """

    ticket: str
    model: str
    tokens: int
    at: datetime
    reserved: int
    bytes: int
    began: float
    usage: UsageMetadata | None = None
    sent: Json = field(default_factory=dict)
    body: Body = b""


@dataclass(frozen=True)
class Toll:
    """What the models of one provider share: ledger, prices, breaker, clock.

    Args:
        ledger: where cost is reserved and settled.
        prices: what calls cost.
        breaker: this provider's.
        turnstile: the one in the models' HTTP client.
        days: the deployment's limits, of which those of a day override those of every account.
        sleep: how to wait, in seconds.
        now: the time, in UTC.
        clock: a monotonic clock, in seconds.
    """

    ledger: Ledger
    prices: Prices
    breaker: Breaker
    turnstile: Turnstile
    days: Limits
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], datetime] = utc_now
    clock: Callable[[], float] = time.monotonic

    def seconds(self, account: Account) -> float:
        """Seconds that one call may take: its timeout, or what is left until the job's deadline. Raises
        LimitReached."""
        left = (account.deadline_at - self.now()).total_seconds()
        if left <= 0:
            raise LimitReached(StopReason.DEADLINE, "job")
        return min(left, account.limits.call_timeout_s)

    @contextlib.asynccontextmanager
    async def attempt(self, account: Account, request: Request, emit: Emit) -> AsyncIterator[Answer]:
        """Reserve, let the block make the call, settle in any case, and report the outcome to the breaker.

        Raises:
            CircuitOpen: the provider's circuit is open; nothing was sent.
            LimitReached: the worst case does not fit; nothing was sent.
            LedgerUnavailable: nothing may be spent; nothing was sent.
        """
        await self._admitted(request)
        at = self.now()
        try:
            call_id, reserved = await self._reserved(account, request, emit, at)
        except BaseException:
            await to_its_end(self.breaker.abandoned())
            raise
        tokens = self._paid_for(request, reserved, at)
        answer = Answer(call_id, request.model, tokens, at, reserved, request.bytes, self.clock())
        with model_call(account.job_id, account.agent, request.model, tokens):
            with self.turnstile.opened(call_id, request.bytes) as was_sent:
                try:
                    yield answer
                except BaseException as error:
                    await to_its_end(self._closed(answer, account, emit, error, sent=was_sent()))
                    raise
            await to_its_end(self._paid(answer, account, emit))

    async def _admitted(self, request: Request) -> None:
        if not await self.breaker.admits():
            raise CircuitOpen(
                f"the provider of {request.model} failed repeatedly; circuit open, it is not called for a while",
                await self.breaker.wait_s() or 0.0,
            )

    async def _reserved(self, account: Account, request: Request, emit: Emit, at: datetime) -> tuple[str, int]:
        """The id of the reservation, and its micro-dollars."""
        account = under(self.days, account)
        wanted, least = (self._worst(request, each, at) for each in (request.answer_tokens, request.least_tokens))
        wanted = max(least, min(wanted, account.limits.spend_per_minute_micro_usd))
        call_id = uuid.uuid4().hex

        async def reserve(patient: bool) -> int:
            how: Any = {"expires_in_s": self.seconds(account) + RESERVATION_GRACE_S, "item": MODEL + request.model}
            return await self.ledger.reserve(call_id, account, wanted, least=least, patient=patient, **how)

        clocks: Any = {"seconds": self.seconds(account), "clock": self.clock, "sleep": self.sleep}
        return call_id, await when_free(reserve, account, emit, **clocks)

    def _worst(self, request: Request, answer_tokens: int, at: datetime) -> int:
        return self.prices.worst_case(request.model, request.input_tokens, answer_tokens, at)

    def _paid_for(self, request: Request, granted: int, at: datetime) -> int:
        if granted >= self._worst(request, request.answer_tokens, at):
            return request.answer_tokens
        return self.prices.answer_tokens(request.model, request.input_tokens, granted, at)

    async def _paid(self, answer: Answer, account: Account, emit: Emit) -> None:
        await self._settle(account, answer, emit)
        await self.breaker.succeeded()

    async def _closed(self, answer: Answer, account: Account, emit: Emit, error: BaseException, *, sent: bool) -> None:
        """After a failed attempt: charge or release it, and tell the breaker whose fault it was."""
        charged = answer.usage is not None or (sent and may_be_billed(error))
        if charged:
            await self._settle(account, answer, emit)
        else:
            await self._release(answer.ticket)
        if kind := failure(error):
            seconds = round(self.clock() - answer.began, 3)
            told = {"agent": account.agent, "model": answer.model, "error": kind, "seconds": seconds}
            emit({"type": "model_failed", **told, "charged": charged})
        had_its_time = account.limits.call_timeout_s >= self.days.call_timeout_s  # a caller may set a shorter timeout
        if is_outage(error) and (had_its_time or not isinstance(error, TimeoutError)):
            await self.breaker.failed()
        elif answer.usage is not None or isinstance(error, openai.APIStatusError | ErrorInside):
            await self.breaker.succeeded()  # it is up and answers
        else:
            await self.breaker.abandoned()

    async def _settle(self, account: Account, answer: Answer, emit: Emit) -> None:
        cost, tokens = self._priced(answer)
        try:
            charged = await self.ledger.settle(answer.ticket, cost, tokens, self._saved(answer, cost, tokens))
        except LedgerUnavailable as error:  # the answer is paid for, so keep it
            logger.warning("a call could not be settled; it will be charged as reserved: %s", error)
            return
        event = {
            "type": "model_call",
            "agent": account.agent,
            "model": answer.model,
            "cost_micro_usd": charged,
            "reserved_micro_usd": answer.reserved,
            "estimated": cost is None,
            "seconds": round(self.clock() - answer.began, 3),
            "prompt_bytes": answer.bytes,
            **{f"{name}_tokens": amount for name, amount in tokens._asdict().items()},
        }
        model_called(event)
        emit(event)

    def _priced(self, answer: Answer) -> tuple[int | None, Tokens]:
        if answer.usage is None:
            return None, Tokens()
        cached = (answer.usage.get("input_token_details") or {}).get("cache_read") or 0
        tokens = Tokens(answer.usage["input_tokens"], cached, answer.usage["output_tokens"])
        try:
            cost = self.prices(answer.model, answer.usage, answer.at)
            if max(cost, *tokens) > MAX_MICRO_USD:
                raise ValueError(f"too large: {answer.usage}")
        except ValueError as error:
            logger.warning("the provider reported invalid usage (%s); charged as reserved", error)
            answer.usage = None  # nothing is learned from it
            return None, Tokens()
        return cost, tokens

    def _saved(self, answer: Answer, cost: int | None, tokens: Tokens) -> int:
        """What the call would have cost more without cached tokens."""
        if answer.usage is None or cost is None or not tokens.cached:
            return 0
        details: Any = {**answer.usage["input_token_details"], "cache_read": 0}
        return max(0, self.prices(answer.model, {**answer.usage, "input_token_details": details}, answer.at) - cost)

    async def _release(self, call_id: str) -> None:
        try:
            await self.ledger.release(call_id)
        except LedgerUnavailable as error:
            logger.warning("a reservation could not be released; it will be charged: %s", error)


def under(days: Limits, account: Account) -> Account:
    """The account, with the deployment's limits of a day."""
    update = {name: getattr(days, name) for name in OF_A_DAY}
    return replace(account, limits=account.limits.model_copy(update=update))


async def to_its_end(step: Coroutine[Any, Any, None]) -> None:
    """Finish this even if the task is cancelled meanwhile: reserved money must be settled."""
    task = asyncio.ensure_future(step)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
