"""What teams write against overspending, each as tutorials and issue threads have it. None of it holds."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages.ai import UsageMetadata

from evals.incident.invoice import LIST_PRICES, LONGEST_ANSWER, cost

HOUSE_MODEL = "house-model-1"
PRICE_LIST = {name: prices for name, prices in LIST_PRICES.items() if name != HOUSE_MODEL}

Counter = Literal["process", "state", "supervisor"]


class CapReached(RuntimeError):
    """The counter says that the cap is spent."""


@dataclass(frozen=True)
class Habits:
    """How a team without guards is built, as far as a drill is about that.

    Attributes:
        cap_usd: what it means to spend at most; None: it does not count.
        counter: where it adds up what it spends. `process`: LangChain's usage callback, in memory, looked at before
            each call. `state`: a field of the graph's state, looked at before each turn of the supervisor or an agent.
            `supervisor`: the same, where agents are tools that return words, as in most tutorials.
        calls_of_an_agent: LangChain's own limit on model calls; None: there is none.
        answer_tokens: the limit on answers that the client is given.
        streaming: whether answers are streamed, with the client's defaults.
        asks_a_human: whether plans and results wait for a human's approval, in the nodes that produced them.
    """

    cap_usd: Decimal | None = None
    counter: Counter = "process"
    model: str = "gpt-5-mini"
    calls_of_an_agent: int | None = None
    answer_tokens: int = LONGEST_ANSWER
    streaming: bool = False
    asks_a_human: bool = False


NONE = Habits()


class BeforeEachCall(AgentMiddleware[Any, Any]):
    """Looks at the counter before each model call of an agent."""

    def __init__(self, look: Callable[[], None]) -> None:
        super().__init__()
        self._look = look

    async def awrap_model_call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        self._look()
        return await handler(request)


def counted(usage: Mapping[str, UsageMetadata]) -> Decimal:
    """The cost of what the provider reported, by model. A model that is not on the list costs nothing."""
    return sum((_dollars(model, each) for model, each in usage.items() if model in PRICE_LIST), Decimal(0))


def _dollars(model: str, usage: UsageMetadata) -> Decimal:
    cached = usage.get("input_token_details", {}).get("cache_read", 0)
    return cost(model, usage["input_tokens"], cached, usage["output_tokens"])
