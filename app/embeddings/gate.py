"""Pays for embeddings: reserves the most that a request can cost before it is sent, and settles it after.

A request with a ticket belongs to a tool call of a job, whose reservation it draws on. A request without one is the
knowledge base's own, for its passages, and is charged to the deployment's day. Nothing is sent that is not paid for.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from graphs.errors import LedgerUnavailable, LimitReached
from graphs.spending.ledger import Ledger
from graphs.spending.money import MAX_MICRO_USD
from graphs.spending.parts import EMBEDDING
from graphs.spending.toll import RESERVATION_GRACE_S, to_its_end
from safe_http.bodies import body

TIMEOUT_S = 15.0  # below what the knowledge base waits
ATTEMPTS = 3  # at a request that is refused for now, or does not reach the provider: neither is billed
MOST_ANSWER_BYTES = 64 * 1024 * 1024
MOST_TEXTS = 2048  # OpenAI's limit
SAID_BYTES = 500
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
BUSY = 429
SERVER_ERROR = 500

logger = logging.getLogger(__name__)


class Refused(Exception):
    """The request was not answered; the status and the message are for the caller."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _NotNow(Refused):
    """Another attempt may succeed, and this one was not billed."""


class Request(BaseModel):
    """What is passed on: texts only, because only they bound the tokens."""

    model_config = ConfigDict(extra="forbid")

    model: str
    input: Annotated[str, Field(min_length=1)] | Annotated[list[str], Field(min_length=1, max_length=MOST_TEXTS)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None

    @property
    def most_tokens(self) -> int:
        """An upper bound: a token is at least one byte, and the quotes of each text stand for what frames it."""
        return len(orjson.dumps([self.input]))


@dataclass(frozen=True)
class Gate:
    """The gate to one endpoint.

    Attributes:
        ledger: where cost is reserved and settled.
        http: a client with the provider's key.
        url: the endpoint.
        model: the only model that is passed on.
        price: what so many tokens cost, in micro-dollars.
        day_micro_usd: the deployment's budget of a day.
    """

    ledger: Ledger
    http: httpx.AsyncClient
    url: str
    model: str
    price: Callable[[int], int]
    day_micro_usd: int

    async def answer(self, asked: bytes, ticket: str | None) -> bytes:
        """The provider's answer. Raises Refused."""
        request = self._read(asked)
        micro_usd = self.price(request.most_tokens)
        if not micro_usd:
            return (await self._sent(request))[0]
        call_id = await self._reserved(micro_usd, ticket)
        try:
            answer, tokens = await self._sent(request)
        except Refused:
            await self._settled(call_id, 0)
            raise
        except (httpx.HTTPError, TimeoutError) as error:  # it may have been answered, and billed
            await self._settled(call_id, None)
            logger.warning("the embeddings endpoint broke off: %r", error)
            raise Refused(504, "the embeddings endpoint did not answer") from error
        except BaseException:
            await to_its_end(self._settled(call_id, None))
            raise
        await self._settled(call_id, None if tokens is None else self.price(tokens))
        return answer

    def _read(self, asked: bytes) -> Request:
        try:
            request = Request.model_validate_json(asked)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise Refused(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        if request.model != self.model:
            raise Refused(400, f"this gate is for {self.model}; set TOLLGATE_EMBEDDING_MODEL for another")
        return request

    async def _reserved(self, micro_usd: int, ticket: str | None) -> str:
        """The id of the reservation. Raises Refused."""
        call_id, ledger = uuid.uuid4().hex, self.ledger
        how: Any = {"expires_in_s": TIMEOUT_S + RESERVATION_GRACE_S, "item": EMBEDDING + self.model}
        try:
            if ticket is None:
                await ledger.reserve_for_the_day(call_id, micro_usd, self.day_micro_usd, **how)
            elif not await ledger.draw(ticket, call_id, micro_usd, **how):
                raise Refused(402, "no open reservation pays for this; send the ticket of a tool call")
        except LimitReached as error:
            raise Refused(402, str(error)) from error
        except LedgerUnavailable as error:
            logger.warning("%s", error)
            raise Refused(503, "the ledger is unavailable, so nothing may be spent") from error
        return call_id

    async def _settled(self, call_id: str, micro_usd: int | None) -> None:
        try:
            await self.ledger.settle(call_id, micro_usd)
        except LedgerUnavailable as error:
            logger.warning("embeddings could not be settled; they will be charged as reserved: %s", error)

    async def _sent(self, request: Request) -> tuple[bytes, int | None]:
        """The answer, and the tokens that it reports. Raises Refused if nothing was billed; httpx errors and
        TimeoutError if it may have been."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_NotNow),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.2, max=2),
            reraise=True,
        )
        async with asyncio.timeout(TIMEOUT_S):
            return await retrying(self._once, request.model_dump_json(exclude_none=True))

    async def _once(self, asked: str) -> tuple[bytes, int | None]:
        sending = self.http.build_request("POST", self.url, content=asked, headers={"Content-Type": "application/json"})
        try:
            response = await self.http.send(sending, stream=True)
        except NOT_SENT as error:
            logger.warning("the embeddings endpoint cannot be reached: %r", error)
            raise _NotNow(502, "the embeddings endpoint cannot be reached") from error
        try:
            if not response.is_success:
                said = (await body(response, MOST_ANSWER_BYTES))[:SAID_BYTES].decode(errors="replace")
                logger.warning("the embeddings endpoint answered %d: %s", response.status_code, " ".join(said.split()))
                passes = response.status_code == BUSY or response.status_code >= SERVER_ERROR
                kind = _NotNow if passes else Refused
                raise kind(response.status_code, f"the embeddings endpoint answered {response.status_code}")
            answer = await body(response, MOST_ANSWER_BYTES)
        finally:
            await response.aclose()
        return answer, _tokens(answer)


def _tokens(answer: bytes) -> int | None:
    """The tokens that an answer reports; None if it does not."""
    try:
        usage = orjson.loads(answer)["usage"]
        counts = [usage[name] for name in ("prompt_tokens", "total_tokens") if name in usage]
    except (ValueError, KeyError, TypeError):
        return None
    if any(type(each) is not int or not 0 < each <= MAX_MICRO_USD for each in counts):
        return None
    return max(counts, default=None)
