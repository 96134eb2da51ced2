"""The toll gate of tools that cost money: reserves the most that a call can cost before it is sent, and accounts for it
after.

Like a model call, one attempt is one reservation. It is settled at what the tool's result reports as `cost_usd` in its
`_meta`; without a report, at the tool's price. A call that may have been carried out, but was not answered, is charged
as reserved and flagged as estimated. One that was refused or never sent is free.

A tool of ours that has its arguments embedded says so by `embeds` in its `_meta`. What that can cost is reserved as
well, and the call carries the reservation's id as a ticket. The embeddings gate (`app/embeddings`) draws on it; what is
left is released.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from graphs.errors import LedgerUnavailable, LimitReached, Unaccounted
from graphs.spending.ledger import Ledger
from graphs.spending.limits import Limits, dollars
from graphs.spending.money import micro_usd
from graphs.spending.parts import TOOL
from graphs.spending.spend import Account
from graphs.spending.toll import RESERVATION_GRACE_S, Emit, to_its_end, under
from graphs.spending.waiting import PATIENCE_S, when_free
from graphs.state import Json

EMBEDS = "embeds"  # in the `_meta` of a tool of ours: its arguments may be embedded
COST = "cost_usd"  # in the `_meta` of a result: what the call cost; in that of a tool: what a call costs at most

Payment = Callable[[float], contextlib.AbstractAsyncContextManager["Charge"]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Payer:
    """Who pays for a tool call, and who is told what it cost."""

    account: Account
    emit: Emit


@dataclass
class Charge:
    """One attempt at a call.

    Attributes:
        may_be_done: whether it was sent, so that it may have been carried out; set by the caller.
        answered: whether it was answered; set by the caller.
        meta: the `_meta` of the answer; set by the caller.
        ticket: pays for embeddings, if there may be any.
    """

    ticket: str | None = None
    may_be_done: bool = False
    answered: bool = False
    meta: Any = None


@contextlib.asynccontextmanager
async def unpaid(_until_s: float) -> AsyncIterator[Charge]:
    """The payment of a call that costs nothing."""
    yield Charge()


@dataclass
class ToolToll:
    """What tools cost, and the ledger that their calls are charged to.

    A tool's price is what the operator says, else the higher of what its server says in the tool's `_meta` and of the
    highest cost that it has reported to this process. A tool of a third party may report a cost without having any: a
    micro-dollar is reserved for it, so that this can be charged.

    Attributes:
        ledger: where cost is reserved and settled.
        prices: micro-dollars of a call, by `server.tool`; what operators set.
        days: the deployment's limits, whose day budgets override those of every account.
        embedding: what embedding so many tokens costs; None: nothing.
        clock: a monotonic clock, in seconds.
    """

    ledger: Ledger
    prices: Mapping[str, int]
    days: Limits
    embedding: Callable[[int], int] | None = None
    clock: Callable[[], float] = time.monotonic
    _reported: dict[str, int] = field(default_factory=dict)

    def payment(self, payer: Payer | None, name: str, meta: Any, arguments: Json, *, is_ours: bool) -> Payment:
        """How the attempts at one call of a tool are paid, `unpaid` if it is known to be free.

        Args:
            payer: who pays.
            name: `server.tool`.
            meta: the tool's `_meta`.
            arguments: of the call.
            is_ours: whether its server is one of ours, which never report a cost without a price.

        Raises Unaccounted if nobody pays for what may cost something.
        """
        price, words = self._price(name, meta), self._words(meta, arguments) if is_ours else 0
        if is_ours and not price + words:
            return unpaid
        if payer is None:
            raise Unaccounted(f"{name} may cost something; pass the account that pays for it to `ToolGateway.call`")
        paid = payer

        @contextlib.asynccontextmanager
        async def attempt(seconds: float) -> AsyncIterator[Charge]:
            waits = min(seconds, PATIENCE_S) if price else 0.0  # a search can do without embeddings
            try:
                call_id = await self._reserved(paid, name, max(price + words, 1), waits, seconds)
            except LimitReached:
                if price or not words:
                    raise
                call_id = ""  # without a ticket nothing is embedded, and a search is by words
            charge = Charge(ticket=call_id if words else None)
            try:
                yield charge
            finally:
                if call_id:
                    await to_its_end(self._closed(call_id, charge, paid, name, price))

        return attempt

    def _price(self, name: str, meta: Any) -> int:
        if (configured := self.prices.get(name)) is not None:
            return configured
        return max(_told(name, meta) or 0, self._reported.get(name, 0))

    def _words(self, meta: Any, arguments: Json) -> int:
        """The most that embedding the arguments can cost: a token is at least one byte."""
        if self.embedding is None or not isinstance(meta, dict) or meta.get(EMBEDS) is not True:
            return 0
        return self.embedding(len(orjson.dumps(arguments, default=str)))

    async def _reserved(self, payer: Payer, name: str, micro_usd: int, waits: float, seconds: float) -> str:
        """The id of the reservation, for a call that may take so many seconds. Waits while that helps."""
        account, call_id, until = under(self.days, payer.account), uuid.uuid4().hex, self.clock() + seconds

        async def reserve(_: bool) -> int:
            left = max(until - self.clock(), 0) + RESERVATION_GRACE_S
            return await self.ledger.reserve(
                call_id, account, micro_usd, expires_in_s=left, counted=None, item=TOOL + name
            )

        await when_free(reserve, account, payer.emit, seconds=waits, clock=self.clock, sleep=asyncio.sleep)
        return call_id

    async def _closed(self, call_id: str, charge: Charge, payer: Payer, name: str, price: int) -> None:
        cost = self._cost(charge, name, price, payer.account.limits.budget_micro_usd)
        try:
            if cost == 0:
                await self.ledger.release(call_id)
                return
            charged = await self.ledger.settle(call_id, cost)
        except LedgerUnavailable as error:  # what it brought is paid for, so keep it
            logger.warning("a call of %s could not be settled; it will be charged as reserved: %s", name, error)
            return
        told = {"type": "tool_cost", "agent": payer.account.agent, "tool": name}
        payer.emit({**told, "cost_micro_usd": charged, "estimated": cost is None})

    def _cost(self, charge: Charge, name: str, price: int, budget: int) -> int | None:
        """What the call cost; None if nobody knows. By a report out of the blue a server may take a job's budget, not
        everybody's day."""
        if not charge.answered:
            return None if charge.may_be_done and price else 0
        try:
            cost = reported(charge.meta)
        except ValueError as error:
            logger.warning("%s reported an invalid cost (%s); charged as reserved", name, error)
            return None
        if cost is not None and not price and cost > budget:
            logger.warning("%s reported a cost of %s; charged are %s", name, dollars(cost), dollars(budget))
            cost = budget
        if cost is not None:
            self._reported[name] = max(cost, self._reported.get(name, 0))
        return price if cost is None else cost


def reported(meta: Any) -> int | None:
    """The cost in a `_meta`, in micro-dollars, rounded up; None if there is none. Raises ValueError."""
    given = meta.get(COST) if isinstance(meta, dict) else None
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise ValueError(f"{str(given)[:40]!r} is not an amount of money")
    return micro_usd(str(given))  # a float by its shortest decimal form, which is what was sent


def _told(name: str, meta: Any) -> int | None:
    """The price that a server states of its tool."""
    try:
        return reported(meta)
    except ValueError as error:
        logger.warning("%s states an invalid price (%s), which is ignored", name, error)
        return None
