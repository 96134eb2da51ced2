"""Asks a model for an answer of a given form, and once more with an explanation if the first is unusable."""

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
    """Return `use(answer)` for the model's answer.

    Args:
        model: a governed model, on an account.
        wanted: the type that the answer must have.
        messages: the question.
        use: raises ModelMustAct if the answer is unusable, so that the model can correct it.
        narrowed: the subset of these answers that makes sense now, for servers with constrained decoding. `use` must
            still refuse the others and say why.

    Raises:
        UnusableAnswer: both answers were unusable.
        GraphError: as raised by the model.
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


def question_back(problem: ModelMustAct, how: str = "Correct it.") -> list[AIMessage | HumanMessage]:
    """The refused answer (cut if long), then a user message that says what is wrong with it and what to do."""
    said = problem.said[:SHOWN] if isinstance(problem, UnusableAnswer) else ""
    told = f"Your last answer was refused: {problem}. {how}"
    return [AIMessage(said or "(an answer that could not be used)"), HumanMessage(told)]


def repeated(problems: Sequence[ModelMustAct]) -> str:
    """What was wrong with each attempt, in one phrase."""
    first, last = str(problems[0]), str(problems[-1])
    return f"{last}, twice" if first == last else f"{first}; then {last}"
