"""The toll gate: no model call without its worst cost reserved first, none unaccounted after.

One attempt is one reservation. It is settled at the price of the usage that the provider reports. Where there is none
(a timeout, a cancellation, a broken connection, an answer without usage), the provider may have charged anything up
to the worst case, so the reserved amount is charged and flagged as estimated. An answer that is an error, or no
completion, is billed only where it tells a usage.
"""

import asyncio
import contextlib
import logging
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

import httpx2
import openai
from langchain_core.messages.ai import UsageMetadata

from graphs.answers.completion import ErrorInside
from graphs.clock import utc_now
from graphs.errors import CircuitOpen, LedgerUnavailable, LimitReached, NoCompletion, Unaccounted
from graphs.redis.breaker import Breaker
from graphs.spending.ledger import MAX_MICRO_USD, Ledger
from graphs.spending.limits import Limits
from graphs.spending.spend import Account, Tokens
from graphs.state import Json
from graphs.stop_reasons import StopReason

Emit = Callable[[Json], None]
SERVER_ERROR = 500
RESERVATION_GRACE_S = 30.0  # a reservation outlives its call's timeout by this, so that a slow settle still finds it
NOT_BILLED = (openai.APIStatusError, ErrorInside, httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)

logger = logging.getLogger(__name__)


@runtime_checkable
class Prices(Protocol):
    """What calls cost, in micro-dollars, rounded up."""

    def __call__(self, model: str, usage: UsageMetadata) -> int:
        """The price of this usage. Raises ValueError for usage that makes no sense."""

    def worst_case(self, model: str, input_tokens: int, output_tokens: int) -> int:
        """The most that so many tokens can cost."""


@dataclass(frozen=True)
class Request:
    """One request before it is made. `input_tokens` and `output_tokens` are upper bounds, the first in bytes."""

    model: str
    input_tokens: int
    output_tokens: int


@dataclass
class Answer:
    """What an attempt learns of its cost, filled in by whoever reads the answer. `ticket` admits its one request.

    It is priced as the model that was asked for, as it was reserved, whatever name the provider answers under.
    """

    ticket: str
    model: str
    usage: UsageMetadata | None = None


class Turnstile:
    """Lets one HTTP request pass for each reservation that is open, and no other.

    It stands in the HTTP client of the models. Whoever takes the client out of a model, or makes it retry by itself,
    gets no further than here.
    """

    HEADER = "x-tollgate-ticket"

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    @contextlib.contextmanager
    def opened(self, ticket: str, most_bytes: int) -> Iterator[Callable[[], bool]]:
        """For as long as the block runs, or until a request of at most so many bytes has used it; yields whether one
        has."""
        self._open[ticket] = most_bytes
        try:
            yield lambda: ticket not in self._open
        finally:
            self._open.pop(ticket, None)

    async def admit(self, request: httpx2.Request) -> None:
        """A request hook of httpx. Raises Unaccounted for a request without a ticket; the ticket stays here."""
        ticket = request.headers.pop(self.HEADER, "")
        most = self._open.pop(ticket, -1)
        if int(request.headers.get("content-length", 0)) > most:
            raise Unaccounted("a request to the provider came past the toll gate; call the governed model instead")


@dataclass(frozen=True)
class Toll:
    """What the models of one provider share: ledger, prices, breaker, clock.

    Args:
        ledger: where cost is reserved and settled.
        prices: what calls cost.
        breaker: of this provider.
        turnstile: in the HTTP client that the models use.
        days: the limits whose two day budgets hold for every account: the deployment's, whatever an account says.
        sleep: how to wait, in seconds.
        now: the time, in UTC.
        clock: seconds that only ever grow.
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
        """What one call may take: its own timeout, or what is left of the job's time. Raises LimitReached."""
        left = (account.deadline_at - self.now()).total_seconds()
        if left <= 0:
            raise LimitReached(StopReason.DEADLINE, "job")
        return min(left, account.limits.call_timeout_s)

    @contextlib.asynccontextmanager
    async def attempt(self, account: Account, request: Request, emit: Emit) -> AsyncIterator[Answer]:
        """Reserve, let the block make the call, and settle, whatever happens in it. The breaker is told how it went.

        Raises:
            CircuitOpen: the breaker of the provider is open; nothing was sent.
            LimitReached: the worst case does not fit; nothing was sent.
            LedgerUnavailable: nothing may be spent; nothing was sent.
        """
        if not await self.breaker.admits():
            raise CircuitOpen(
                f"the provider of {request.model} failed several times in a row and is left alone for a while",
                await self.breaker.wait_s() or 0.0,
            )
        try:
            call_id = await self._reserved(account, request, emit)
        except BaseException:
            await _to_its_end(self.breaker.abandoned())
            raise
        answer = Answer(ticket=call_id, model=request.model)
        with self.turnstile.opened(call_id, request.input_tokens) as was_sent:
            try:
                yield answer
            except BaseException as error:
                await _to_its_end(self._closed(answer, account, emit, error, sent=was_sent()))
                raise
        await _to_its_end(self._paid(answer, account, emit))

    async def _reserved(self, account: Account, request: Request, emit: Emit) -> str:
        """The id of the reservation. Waits while it is only a matter of time: most calls settle far below their worst
        case, and a minute passes."""
        days = {name: getattr(self.days, name) for name in ("tenant_day_micro_usd", "deployment_day_micro_usd")}
        account = replace(account, limits=account.limits.model_copy(update=days))
        micro_usd = self.prices.worst_case(request.model, request.input_tokens, request.output_tokens)
        call_id = uuid.uuid4().hex
        until, told = self.clock() + self.seconds(account), False
        while True:
            try:
                expires = self.seconds(account) + RESERVATION_GRACE_S
                await self.ledger.reserve(call_id, account, micro_usd, expires_in_s=expires)
                return call_id
            except LimitReached as refused:
                if not _passes(refused, account) or self.clock() >= until:
                    raise
                if not told:
                    emit({"type": "warning", "message": f"{account.agent} waits: {refused}"})
                told = True
            await self.sleep(random.uniform(0.02, 0.2))  # noqa: S311  jitter, not a secret

    async def _paid(self, answer: Answer, account: Account, emit: Emit) -> None:
        await self._settle(account, answer, emit)
        await self.breaker.succeeded()

    async def _closed(self, answer: Answer, account: Account, emit: Emit, error: BaseException, *, sent: bool) -> None:
        """After an attempt that failed: charge or release it, and tell the breaker whose fault it was."""
        if answer.usage is None and not (sent and may_be_billed(error)):
            await self._release(answer.ticket)
        else:
            await self._settle(account, answer, emit)
        had_its_time = account.limits.call_timeout_s >= self.days.call_timeout_s  # a caller may allow less
        if is_outage(error) and (had_its_time or not isinstance(error, TimeoutError)):
            await self.breaker.failed()
        elif answer.usage is not None or isinstance(error, openai.APIStatusError | ErrorInside):
            await self.breaker.succeeded()  # it is there, and answers
        else:
            await self.breaker.abandoned()

    async def _settle(self, account: Account, answer: Answer, emit: Emit) -> None:
        cost, tokens = self._priced(answer)
        try:
            charged = await self.ledger.settle(answer.ticket, cost, tokens)
        except LedgerUnavailable as error:  # the answer is paid for: better late than lost
            logger.warning("a call could not be settled; it will be at its reserved amount: %s", error)
            return
        emit(
            {
                "type": "model_call",
                "agent": account.agent,
                "model": answer.model,
                "cost_micro_usd": charged,
                "estimated": cost is None,
                **{f"{name}_tokens": amount for name, amount in tokens._asdict().items()},
            }
        )

    def _priced(self, answer: Answer) -> tuple[int | None, Tokens]:
        if answer.usage is None:
            return None, Tokens()
        cached = (answer.usage.get("input_token_details") or {}).get("cache_read") or 0
        tokens = Tokens(answer.usage["input_tokens"], cached, answer.usage["output_tokens"])
        try:
            cost = self.prices(answer.model, answer.usage)
            if max(cost, *tokens) > MAX_MICRO_USD:
                raise ValueError(f"too large: {answer.usage}")
        except ValueError as error:
            logger.warning("the provider's usage makes no sense (%s); charged as reserved", error)
            return None, Tokens()
        return cost, tokens

    async def _release(self, call_id: str) -> None:
        try:
            await self.ledger.release(call_id)
        except LedgerUnavailable as error:
            logger.warning("a reservation could not be released; it will be charged: %s", error)


def is_outage(error: BaseException) -> bool:
    """Whether the provider itself is in trouble, and not the request. Waiting for a connection of ours is none."""
    if isinstance(error.__cause__, httpx2.PoolTimeout):
        return False
    if isinstance(error, ErrorInside):
        return error.refusal.kind == "outage"
    status = getattr(error, "status_code", 0)
    return status >= SERVER_ERROR or isinstance(error, TimeoutError | openai.APIConnectionError | NoCompletion)


def _passes(refused: LimitReached, account: Account) -> bool:
    """Reservations settle, and a minute ends, unless one call alone is more than a minute's worth."""
    if refused.reason is StopReason.SPEND_RATE:
        return refused.wanted_micro_usd <= account.limits.spend_per_minute_micro_usd
    return refused.passing


def may_be_billed(error: BaseException) -> bool:
    """Not when the provider answered with an error or with no completion, unless that tells a usage, nor when the
    request never left."""
    if isinstance(error, ErrorInside | NoCompletion) and error.usage:
        return True
    chain = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    if any(isinstance(each, NoCompletion) and not each.may_be_billed for each in chain):
        return False
    return not any(isinstance(each, NOT_BILLED) for each in chain)


async def _to_its_end(step: Coroutine[Any, Any, None]) -> None:
    """Finish this even when the task is cancelled meanwhile: money that was reserved must be settled."""
    task = asyncio.ensure_future(step)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
