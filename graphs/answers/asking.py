"""Asks a model for an answer of a given form: once, and once more with what was wrong with the first."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable
from pydantic import BaseModel

from graphs.errors import ModelMustAct, UnusableAnswer

ATTEMPTS = 2
SHOWN = 2000  # characters of an answer that the model is shown again

Answer = TypeVar("Answer", bound=BaseModel)
Used = TypeVar("Used")


async def asked(
    model: BaseChatModel,
    wanted: type[Answer],
    messages: Sequence[BaseMessage],
    use: Callable[[Answer], Used],
    *,
    narrowed: type[Answer] | None = None,
) -> Used:
    """What `use` makes of the model's answer.

    Args:
        model: a governed model, on an account.
        wanted: what an answer has to be.
        messages: the question.
        use: raises ModelMustAct when the answer is no good, for the model to mend it.
        narrowed: what of these answers makes sense now, for servers that can hold the model to it. What does not, is
            for `use` to refuse, in words that say why.

    Raises:
        UnusableAnswer: the model gave no usable answer, twice.
        GraphError: as the model.
    """
    writer: Runnable[Any, Any] = model.with_structured_output(wanted, narrowed=narrowed)
    problems: list[ModelMustAct] = []
    asking = list(messages)
    while len(problems) < ATTEMPTS:
        try:
            return use(await writer.ainvoke(asking))
        except ModelMustAct as problem:
            problems.append(problem)
            asking = [*messages, *question_back(problem)]
    raise UnusableAnswer(repeated(problems)) from problems[-1]


def question_back(problem: ModelMustAct, how: str = "Mend it.") -> list[AIMessage | HumanMessage]:
    """The answer as it was, as far as it goes, what is wrong with it, and how to go on: user and assistant take
    turns."""
    said = problem.said[:SHOWN] if isinstance(problem, UnusableAnswer) else ""
    told = f"Your last answer was refused: {problem}. {how}"
    return [AIMessage(said or "(an answer that could not be used)"), HumanMessage(told)]


def repeated(problems: Sequence[ModelMustAct]) -> str:
    """What was wrong, each time that the model was asked."""
    first, last = str(problems[0]), str(problems[-1])
    return f"{last}, twice" if first == last else f"{first}; then {last}"
