"""Counts the model calls of one node: how many, how many tokens, at what price."""

from collections.abc import Callable
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, LLMResult

from graphs.state import Counters, Json

Price = Callable[[str, UsageMetadata], int]
Emit = Callable[[Json], None]


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
        self.counters = Counters(model_calls=0, tool_calls=0, input_tokens=0, output_tokens=0, cost_micro_usd=0)

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Count one finished call. A call without usage counts as a call of unknown size."""
        generation = response.generations[0][0]
        if not isinstance(generation, ChatGeneration) or not isinstance(generation.message, AIMessage):
            return
        message = generation.message
        model = str(message.response_metadata.get("model_name", ""))
        usage = message.usage_metadata or UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0)
        cost = self._price(model, usage)
        self._add("model_calls", 1)
        self._add("input_tokens", usage["input_tokens"])
        self._add("output_tokens", usage["output_tokens"])
        self._add("cost_micro_usd", cost)
        self._emit({"type": "model_call", "agent": self._agent, "model": model, "cost_micro_usd": cost})

    def tool_called(self) -> None:
        """Count one tool call."""
        self._add("tool_calls", 1)

    def _add(self, name: str, amount: int) -> None:
        counters: dict[str, int] = self.counters  # type: ignore[assignment]
        counters[name] = counters.get(name, 0) + amount
