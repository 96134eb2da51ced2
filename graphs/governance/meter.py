"""Counts the model calls of one node: how many, how many tokens, at what price."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, LLMResult

from graphs.state import Counters, Json

Price = Callable[[str, UsageMetadata], int]
Emit = Callable[[Json], None]
CHARS_PER_TOKEN = 4


class Meter(BaseCallbackHandler):
    """A callback handler that lives for one node. It counts outside the state, so a failing node is counted too.

    Args:
        agent: name that the emitted events carry.
        price: micro-dollars of a call by model name and usage.
        emit: receives a `model_call` event per call.
    """

    run_inline = True  # in the node's own task, not in a thread: the event writer belongs to it

    def __init__(self, agent: str, *, price: Price, emit: Emit) -> None:
        self._agent = agent
        self._price = price
        self._emit = emit
        self._asked: dict[UUID, int] = {}
        self.counters = Counters(model_calls=0, tool_calls=0, input_tokens=0, output_tokens=0, cost_micro_usd=0)

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],  # noqa: ARG002
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        **_: Any,
    ) -> None:
        """Keep the size of the request, for a call that comes back without usage."""
        self._asked[run_id] = sum(len(str(each.content)) for batch in messages for each in batch) // CHARS_PER_TOKEN

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """Count one finished call. Without usage its tokens are estimated from its characters."""
        generation = response.generations[0][0]
        message = generation.message if isinstance(generation, ChatGeneration) else AIMessage(generation.text)
        usage = message.usage_metadata if isinstance(message, AIMessage) else None
        asked = self._asked.pop(run_id, 0)
        written = len(str(message.content)) // CHARS_PER_TOKEN
        estimate = UsageMetadata(input_tokens=asked, output_tokens=written, total_tokens=asked + written)
        self._count(str(message.response_metadata.get("model_name", "")), usage or estimate)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:  # noqa: ARG002
        """Count a call that failed: the provider may have charged for reading it."""
        asked = self._asked.pop(run_id, 0)
        self._count("", UsageMetadata(input_tokens=asked, output_tokens=0, total_tokens=asked))

    def tool_called(self) -> None:
        """Count one tool call."""
        self._add("tool_calls", 1)

    def _count(self, model: str, usage: UsageMetadata) -> None:
        cost = self._price(model, usage)
        self._add("model_calls", 1)
        self._add("input_tokens", usage["input_tokens"])
        self._add("output_tokens", usage["output_tokens"])
        self._add("cost_micro_usd", cost)
        self._emit({"type": "model_call", "agent": self._agent, "model": model, "cost_micro_usd": cost})

    def _add(self, name: str, amount: int) -> None:
        counters: dict[str, int] = self.counters  # type: ignore[assignment]
        counters[name] = counters.get(name, 0) + amount
