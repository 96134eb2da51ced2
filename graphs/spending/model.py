"""The chat model that cannot be called without an account: every path of ChatOpenAI to its provider passes the toll.

`charged_to` binds a model to the account that pays. The binding is part of the object, not of a context or config, so
it holds in threads, in runs without config and with emptied callbacks. An unbound model makes no call.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Literal, Self, TypeVar

import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.tools import BaseTool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field, InstanceOf, PrivateAttr, model_validator

from graphs.answers.completion import ErrorInside, completion_in, tokens_of, whole
from graphs.answers.dialect import Dialect, room_beside
from graphs.answers.message import message_of
from graphs.answers.reading import read
from graphs.answers.schemas import offered, response_format
from graphs.errors import AnswerCut, CircuitOpen, LimitReached, NoCompletion, Unaccounted, UnusableAnswer
from graphs.spending.asking import Asking, as_sent
from graphs.spending.bounds import refuse_what_has_no_bound
from graphs.spending.retrying import patiently, refusal_of
from graphs.spending.sizes import MARGIN, MARK, Sizes, items_of, kind_of
from graphs.spending.spend import Account
from graphs.spending.toll import Answer, Emit, Request, Toll
from graphs.spending.turnstile import Turnstile
from graphs.state import Json
from graphs.stop_reasons import StopReason
from graphs.telemetry import exchanged

# Answers are not streamed. LangChain's name for the token limit is replaced by the one that is sized.
WITHOUT_STREAMS = frozenset({"stream", "stream_options", "stream_usage", "max_tokens"})
T = TypeVar("T")


class GovernedChatOpenAI(ChatOpenAI):
    """ChatOpenAI behind the toll gate, with the only retry layer.

    Every attempt reserves its worst-case cost and is settled on its own. Outages are waited out (`retrying.py`); while
    the provider's circuit is open, the fallback is called, if there is one. Requests are made in the model's dialect,
    and the result is a completion as OpenAI would have sent it, or an error.

    Raises:
        Unaccounted: the model has no account; call `charged_to` first.
        LimitReached: a limit refused the call before it was made.
        LedgerUnavailable: no ledger, no call.
        UnusableAnswer: the answer was cut, withheld, or is not what was requested.
        ModelRefused: the provider refused this request, or every request.
        ModelUnavailable: the provider gave no answer.
    """

    # An answer is read and normalised before anybody sees it, so a stream has it in one piece.
    disable_streaming: bool | Literal["tool_calling"] = True
    toll: InstanceOf[Toll] = Field(exclude=True, repr=False)
    dialect: InstanceOf[Dialect] = Field(default_factory=Dialect, exclude=True, repr=False)
    sizes: InstanceOf[Sizes] = Field(default_factory=Sizes, exclude=True, repr=False)
    fallback: "GovernedChatOpenAI | None" = Field(default=None, exclude=True, repr=False)
    account: InstanceOf[Account] | None = Field(default=None, exclude=True, repr=False)
    emit: Emit | None = Field(default=None, exclude=True, repr=False)
    home: InstanceOf[asyncio.AbstractEventLoop] | None = Field(default=None, exclude=True, repr=False)
    _priced_as: tuple[str, str | None] = PrivateAttr()

    @model_validator(mode="after")
    def validate_environment(self) -> Self:
        """Build the clients, with the turnstile in them, for a model without an account. Rebuilding a model that has
        one is refused; `model_copy` builds no clients."""
        hooks = self.http_async_client.event_hooks["request"] if self.http_async_client else []
        if self.account is not None or self.http_client is None or self.toll.turnstile.admit not in hooks:
            raise ValueError("app/config/models.py builds the models, and charged_to() puts one on an account")
        self._priced_as = self.model_name, self.service_tier
        built: Self = super().validate_environment()  # type: ignore[operator]  # pydantic leaves it a method
        return built

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """False, so that traces name the model but do not contain its account."""
        return False

    def charged_to(self, account: Account, emit: Emit) -> Self:
        """This model, paid for by the account. `emit` gets a `model_call` event per settled call."""
        return self.model_copy(update={"account": account, "emit": emit, "home": asyncio.get_running_loop()})

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        async def attempt(model: GovernedChatOpenAI) -> ChatResult:
            return await model._answered(messages, stop, kwargs)

        return await self._retried(attempt)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """Make the call from a thread, on the event loop of the thread's run."""
        return self._on_home_loop(self._agenerate(messages, stop, None, **kwargs))

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        """As `ChatOpenAI`, but each tool is described once, however often it is offered."""
        plain = not (kwargs.get("strict") or kwargs.get("response_format"))
        given = [offered(each) if plain and isinstance(each, BaseTool) else each for each in tools]
        return super().bind_tools(given, **kwargs)

    def with_structured_output(self, schema: Any = None, **kwargs: Any) -> Runnable[LanguageModelInput, Any]:
        """Answers of this pydantic class, read by `graphs.answers.reading`.

        The model's dialect decides how they are requested. `narrowed`, a class of the same name, provides the schema
        for the request if given.

        Raises:
            TypeError: `schema` is not a pydantic class.
            UnusableAnswer: the answer is not of this class.
        """
        if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
            raise TypeError(f"with_structured_output needs a pydantic class, not {schema!r}")

        def read_from(message: AIMessage) -> BaseModel:
            calls = [json.dumps(each["args"]) for each in message.tool_calls if each["name"] == schema.__name__]
            try:
                answer = read(calls[0] if calls else str(message.content), schema, "the JSON that was asked for")
            except UnusableAnswer:
                self.dialect.gives_up_on_schemas()
                raise
            self.dialect.has_fitted = True
            return answer

        return self.bind(response_format=response_format(kwargs.get("narrowed") or schema)) | RunnableLambda(read_from)

    async def _answered(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: dict[str, Any],
    ) -> ChatResult:
        """One answer: one attempt, and one more for each thing that the dialect learns from a refusal, or for an answer
        that was cut at less than it may have."""
        room: int | None = None
        least = 0
        while True:
            known = self.dialect.changes
            asking = self._request(messages, stop, kwargs, room, least)
            try:
                document, allowed, mark = await self._completed(asking)
            except (openai.APIStatusError, ErrorInside) as error:
                refusal, sent = refusal_of(error), {**asking.payload, asking.limit: asking.most}
                if refusal and (self.dialect.learns(refusal, sent) or self.dialect.changes > known):
                    continue
                if refusal and room is None and (room := room_beside(refusal)):
                    continue
                raise
            choice = document["choices"][0]
            # Some servers do not say that an answer was cut. One with all that is allowed is taken at its word.
            written = (document["usage"] or {"completion_tokens": 0})["completion_tokens"]
            is_full = allowed < asking.most and written >= allowed * asking.choices
            if is_full or choice.get("finish_reason") == "length":
                if allowed >= asking.most:
                    raise AnswerCut(f"the answer was cut at its token limit of {allowed}; answer more briefly")
                least = min(asking.most, 2 * allowed)  # the ledger refuses if there is no money for that
                continue
            message = message_of(choice, asking.offered)
            self.dialect.has_called |= bool(choice["message"].get("tool_calls"))
            result = self._create_chat_result({**document, "choices": [{**choice, "message": message}]})
            result.generations[0].message.response_metadata[MARK] = mark
            return result

    async def _completed(self, asking: Asking) -> tuple[Json, int, Json | None]:
        """The completion of one attempt, how many tokens it was allowed, and its mark by `sizes`. A job whose deadline
        passes meanwhile stops with that reason, which does not count against the provider."""
        account, request = asking.account, asking.request
        async with self.toll.attempt(account, request, asking.emit) as answer:
            seconds = self.toll.seconds(account)
            allowed = min(asking.most, max(asking.request.least_tokens, answer.tokens) // asking.choices)
            try:
                async with asyncio.timeout(seconds):
                    document = await self._sent({**asking.payload, asking.limit: allowed}, answer)
            except TimeoutError as error:
                if seconds < account.limits.call_timeout_s:
                    raise LimitReached(StopReason.DEADLINE, "job") from error
                raise
        if (used := answer.usage) is None:
            return document, allowed, None
        said, read = used["output_tokens"] // asking.choices, used["input_tokens"]
        return document, allowed, self.sizes.learn(asking.items, request.input_tokens, asking.kind, read, said)

    async def _sent(self, payload: Json, answer: Answer) -> Json:
        """The completion; `answer` gets its usage."""
        answer.sent = payload
        asked = as_sent(payload, {Turnstile.HEADER: answer.ticket, "accept-encoding": "gzip"})
        async with self.async_client.with_streaming_response.create(**asked) as raw:
            answer.body = await whole(raw.http_response)
        try:
            document = completion_in(answer.body, raw.headers)
        except (ErrorInside, NoCompletion) as error:
            answer.usage = error.usage
            raise
        answer.usage = tokens_of(document["usage"])
        exchanged(payload, document)
        return document

    def _request(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: dict[str, Any],
        room: int | None,
        least: int,
    ) -> Asking:
        """What is asked, with the bounds of its cost. `room` is how many tokens the answer may have beside these
        messages, if known; `least` is how many it must have, because it was cut before."""
        if self.account is None or self.emit is None:
            raise Unaccounted(f"{self.model_name} was called without an account; call charged_to() on it first")
        limits = self.account.limits
        wanted = [
            each
            for each in (kwargs.get("max_tokens"), kwargs.get("max_completion_tokens"), self.max_tokens)
            if each and each > 0  # for some servers -1 means unlimited
        ]
        most = min([*wanted, limits.answer_tokens, room or limits.answer_tokens])
        own = {key: value for key, value in kwargs.items() if key not in WITHOUT_STREAMS}
        given = self._get_request_payload(messages, stop=stop, **{**own, "max_completion_tokens": most})
        payload = self.dialect.spoken({key: value for key, value in given.items() if key not in WITHOUT_STREAMS})
        refuse_what_has_no_bound(payload, *self._priced_as)
        tools = payload.get("tools") or given.get("tools") or []
        limit, choices = self.dialect.limit, int(payload.get("n") or 1)
        most = int(payload.pop(limit))
        items, kind = items_of(payload, limit, most, self.openai_api_base), kind_of(self.account.agent, messages)
        floor = limits.answer_floor_tokens
        allowed = most if least or wanted else self.sizes.answer_limit(kind, floor, most)
        floor = min(allowed, max(least, floor))
        size = self.sizes.bound(items, messages)
        if size + allowed * choices > limits.request_tokens:
            detail = f"up to {size + allowed * choices} tokens, allowed are {limits.request_tokens}"
            raise LimitReached(StopReason.REQUEST_SIZE, "request", detail)
        return Asking(
            self.account,
            self.emit,
            payload,
            limit,
            Request(self.model_name, items.total + MARGIN, size, allowed * choices, floor * choices),
            items,
            kind,
            most,
            choices,
            [each["function"]["name"] for each in tools if each.get("function")],
        )

    async def _retried(self, attempt: Callable[["GovernedChatOpenAI"], Awaitable[ChatResult]]) -> ChatResult:
        """Run the attempts behind the one retry layer. While the provider's circuit is open, the fallback is called."""
        if self.account is not None and self.home is not asyncio.get_running_loop():  # connections belong to a loop
            raise Unaccounted(f"{self.model_name} was called on an event loop of its own; call invoke in a thread")

        async def once() -> ChatResult:
            try:
                return await attempt(self)
            except CircuitOpen:
                if self.fallback is None:
                    raise
                payer = {"account": self.account, "emit": self.emit, "home": self.home}
                return await attempt(self.fallback.model_copy(update=payer))

        if self.account is None or self.emit is None:
            return await once()
        return await patiently(once, self.toll, self.account, self.emit)

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
