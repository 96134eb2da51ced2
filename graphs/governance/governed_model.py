"""The chat model that cannot be called without paying: every generate and stream path of ChatOpenAI passes the toll.

A model is bound to the account that pays with `charged_to`. The binding is part of the object, not of a context or a
config, so it holds in threads, in runs without config, with emptied callbacks. An unbound model makes no call.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, Self, TypeVar

import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from pydantic import Field, InstanceOf, PrivateAttr, model_validator
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from graphs.errors import AnswerCut, LeftAlone, LimitReached, ModelRefused, ModelUnavailable, Unaccounted
from graphs.governance.account import Account
from graphs.governance.bounds import bytes_of, refuse_what_has_no_bound
from graphs.governance.limits import StopReason
from graphs.governance.toll import Answer, Emit, Request, Toll, Turnstile, is_outage

ATTEMPTS = 4
LONGEST_WAIT_S = 20.0
RETRIED = frozenset({408, 409, 429})
SIZED = "tollgate_sized"
USAGE_TOO: dict[str, Any] = {"stream_options": {"include_usage": True}}

T = TypeVar("T")


class GovernedChatOpenAI(ChatOpenAI):
    """ChatOpenAI behind a toll gate, with the one retry layer there is.

    Every attempt reserves its worst cost and settles its own. Answers with status 408, 409, 429 or 5xx, timeouts and
    broken connections are tried again, with exponential backoff and jitter, or when the provider says. While the
    breaker of the provider is open, the fallback is asked, if there is one.

    Raises:
        Unaccounted: nobody pays for the call: `charged_to` comes first.
        LimitReached: a limit refused it before it was made.
        LedgerUnavailable: no ledger, no call.
        AnswerCut: the answer ended at its token limit.
        ModelRefused: the provider refused the request.
        ModelUnavailable: the provider gave no answer.
    """

    toll: InstanceOf[Toll] = Field(exclude=True, repr=False)
    fallback: "GovernedChatOpenAI | None" = Field(default=None, exclude=True, repr=False)
    account: InstanceOf[Account] | None = Field(default=None, exclude=True, repr=False)
    emit: Emit | None = Field(default=None, exclude=True, repr=False)
    home: InstanceOf[asyncio.AbstractEventLoop] | None = Field(default=None, exclude=True, repr=False)
    _priced_as: str = PrivateAttr()

    @model_validator(mode="after")
    def validate_environment(self) -> Self:
        """Here the clients are made: with the turnstile in them, for a model that is on nobody's account yet. So what
        is built out of a model that has one, by other values, is refused; `model_copy` makes no clients."""
        hooks = self.http_async_client.event_hooks["request"] if self.http_async_client else []
        if self.account is not None or self.http_client is None or self.toll.turnstile.admit not in hooks:
            raise ValueError("app/config/models.py builds the models, and charged_to() puts one on an account")
        self._priced_as = self.model_name
        built: Self = super().validate_environment()  # type: ignore[operator]  # pydantic leaves it a method
        return built

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Traces name the model; they do not hold its account."""
        return False

    def charged_to(self, account: Account, emit: Emit) -> Self:
        """This model, paid for by the account. `emit` gets a `model_call` event per settled call."""
        update = {"account": account, "emit": emit, "home": asyncio.get_running_loop()}
        return self.model_copy(update=update)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        async def attempt(model: GovernedChatOpenAI) -> ChatResult:
            return await model._answered(messages, stop, run_manager, kwargs)

        return await self._retried(attempt)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        """A stream is tried again only until its first chunk: after that its reader has seen a part of it."""

        async def attempt(
            model: GovernedChatOpenAI,
        ) -> tuple[ChatGenerationChunk | None, AsyncGenerator[ChatGenerationChunk]]:
            chunks = model._streamed(messages, stop, run_manager, kwargs)
            return await anext(chunks, None), chunks

        first, rest = await self._retried(attempt)
        async with contextlib.aclosing(rest):
            if first is not None:
                yield first
            try:
                async for chunk in rest:
                    yield chunk
            except (openai.APIError, TimeoutError) as error:
                raise _translated(error) from error

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """From a thread: the call is made on the event loop of the run that the thread belongs to."""
        return self._on_home_loop(self._agenerate(messages, stop, None, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        """As `_generate`; the chunks come when the answer is complete."""

        async def collected() -> list[ChatGenerationChunk]:
            return [chunk async for chunk in self._astream(messages, stop, None, **kwargs)]

        yield from self._on_home_loop(collected())

    async def _answered(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        run_manager: AsyncCallbackManagerForLLMRun | None,
        kwargs: dict[str, Any],
    ) -> ChatResult:
        """One attempt."""
        account, emit, request, payload = self._request(messages, stop, kwargs)
        async with self.toll.attempt(account, request, emit) as answer, asyncio.timeout(self.toll.seconds(account)):
            result = await super()._agenerate(messages, stop, run_manager, **_as_sized(payload, answer))
            _read(answer, result.generations[0].message)
        if (result.generations[0].generation_info or {}).get("finish_reason") == "length":
            raise _cut(request)
        return result

    async def _streamed(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        run_manager: AsyncCallbackManagerForLLMRun | None,
        kwargs: dict[str, Any],
    ) -> AsyncGenerator[ChatGenerationChunk]:
        """One attempt. Its time is checked at each chunk, and includes what its reader takes between them."""
        account, emit, request, payload = self._request(messages, stop, kwargs | {"stream": True, **USAGE_TOO})
        finish = None
        async with self.toll.attempt(account, request, emit) as answer:
            until = asyncio.get_running_loop().time() + self.toll.seconds(account)
            chunks = super()._astream(messages, stop, run_manager, **_as_sized(payload, answer))
            while True:
                async with asyncio.timeout_at(until):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    break
                _read(answer, chunk.message)
                finish = (chunk.generation_info or {}).get("finish_reason") or finish
                yield chunk
        if finish == "length":
            raise _cut(request)

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> tuple[Account, Emit, Request, dict[str, Any]]:
        """Who pays, what it may cost at most, and the payload that is sized here and sent as it is."""
        if self.account is None or self.emit is None:
            raise Unaccounted(f"{self.model_name} was called without an account; call charged_to() on the model first")
        limits = self.account.limits
        asked = (kwargs.get("max_tokens"), kwargs.get("max_completion_tokens"), self.max_tokens, limits.answer_tokens)
        most = min(each for each in asked if each and each > 0)  # to some servers -1 means without end
        own = {key: value for key, value in kwargs.items() if key not in {"max_tokens", "stream_usage", SIZED}}
        payload = self._get_request_payload(messages, stop=stop, **{**own, "max_completion_tokens": most})
        refuse_what_has_no_bound(payload, self._priced_as)
        size = bytes_of(payload)
        request = Request(self.model_name, size, most * int(payload.get("n") or 1))
        if request.input_tokens + request.output_tokens > limits.request_tokens:
            detail = f"up to {request.input_tokens + request.output_tokens} tokens, allowed are {limits.request_tokens}"
            raise LimitReached(StopReason.REQUEST_SIZE, "request", detail)
        return self.account, self.emit, request, payload

    def _get_request_payload(self, input_: Any, *, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        """The payload that was sized, where there is one: making it takes a part of what the gate may cost."""
        sized: dict[str, Any] | None = kwargs.pop(SIZED, None)
        return sized if sized is not None else super()._get_request_payload(input_, stop=stop, **kwargs)

    async def _retried(self, attempt: Callable[["GovernedChatOpenAI"], Awaitable[T]]) -> T:
        """The one retry layer. Errors that remain are translated to who must act."""
        if self.account is not None and self.home is not asyncio.get_running_loop():  # connections belong to a loop
            raise Unaccounted(f"{self.model_name} was called on an event loop of its own; call invoke in a thread")

        async def once() -> T:
            try:
                return await attempt(self)
            except LeftAlone:
                if self.fallback is None:
                    raise
                payer = {"account": self.account, "emit": self.emit, "home": self.home}
                return await attempt(self.fallback.model_copy(update=payer))

        try:
            return await once()
        except Exception as error:
            failures = [error]

        async def again() -> T:
            """The first attempt is known: nearly all calls need no more, and are spared the machinery."""
            if failures:
                raise failures.pop()
            return await once()

        retrying = AsyncRetrying(
            retry=retry_if_exception(_worth_retrying),
            stop=stop_after_attempt(ATTEMPTS),
            wait=_wait,
            sleep=self.toll.sleep,
            reraise=True,
        )
        try:
            return await retrying(again)
        except openai.LengthFinishReasonError as error:
            raise AnswerCut("the answer ended at its token limit; answer more briefly") from error
        except (openai.APIError, TimeoutError) as error:
            raise _translated(error) from error

    def _on_home_loop(self, call: Coroutine[Any, Any, T]) -> T:
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if self.home is None or self.home.is_closed() or running is not None:
            call.close()
            raise Unaccounted(
                f"{self.model_name} was called synchronously where no run waits for it; use ainvoke or astream"
            )
        return asyncio.run_coroutine_threadsafe(call, self.home).result()


def _translated(error: openai.APIError | TimeoutError) -> ModelUnavailable | ModelRefused:
    if isinstance(error, openai.APIStatusError):
        kind = ModelUnavailable if _worth_retrying(error) else ModelRefused
        return kind(f"the model provider answered with status {error.status_code}: {error.message}")
    if isinstance(error, TimeoutError | openai.APITimeoutError):
        return ModelUnavailable("the model provider gave no answer in time")
    return ModelUnavailable(f"the connection to the model provider broke: {error.message}")


def _worth_retrying(error: BaseException) -> bool:
    return is_outage(error) or getattr(error, "status_code", 0) in RETRIED


_backoff = wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT_S)


def _wait(state: RetryCallState) -> float:
    """As long as the provider says, within reason; else exponential with full jitter."""
    error = state.outcome.exception() if state.outcome else None
    response = getattr(error, "response", None)
    said = response.headers.get("retry-after") if response is not None else None
    try:
        return min(max(0.0, float(said)), LONGEST_WAIT_S) if said is not None else _backoff(state)
    except ValueError:  # a date: rare, and a backoff does as well
        return _backoff(state)


def _as_sized(payload: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """The arguments that have this payload sent, with the ticket that admits it."""
    return {SIZED: {**payload, "extra_headers": {**payload.get("extra_headers", {}), Turnstile.HEADER: answer.ticket}}}


def _read(answer: Answer, message: BaseMessage) -> None:
    if isinstance(message, AIMessage) and message.usage_metadata:
        answer.usage = message.usage_metadata


def _cut(request: Request) -> AnswerCut:
    return AnswerCut(f"the answer was cut at its limit of {request.output_tokens} tokens; answer more briefly")
