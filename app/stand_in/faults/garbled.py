"""Answers that arrive and cannot be used."""

import json
import math
from dataclasses import replace

from app.stand_in.completion import Spoken
from app.stand_in.faults.profile import honest
from app.stand_in.faults.wordings import SHORTEST, wording
from app.stand_in.wire import CHARACTERS_PER_TOKEN, ChatRequest, Function

REFUSAL = "I'm sorry, but I can't help with that request."


def broken_json(request: ChatRequest) -> Spoken:
    """The honest answer; where it has to be JSON, its last bracket is a comma."""
    spoken = honest(request)
    calls = tuple(Function(name=call.name, arguments=_broken(call.arguments)) for call in spoken.calls)
    is_json = request.response_format is not None and not calls
    return replace(spoken, calls=calls, text=_broken(spoken.text) if is_json else spoken.text)


def refusal(request: ChatRequest) -> Spoken:
    """In the field that OpenAI has for it where a schema is asked for, else in words."""
    return Spoken(refusal=REFUSAL) if request.schema_name else Spoken(text=REFUSAL)


def huge(request: ChatRequest) -> Spoken:
    """The honest answer's first text goes on and on, one token longer than is allowed."""
    spoken = honest(request)
    size = (request.answer_tokens + 1) * CHARACTERS_PER_TOKEN
    if spoken.calls:
        first = spoken.calls[0]
        return Spoken(calls=(Function(name=first.name, arguments=_endless(first.arguments, size)),))
    return Spoken(text=_endless(spoken.text, size))


def _broken(text: str) -> str:
    return f"{text[:-1]}," if text else "{"


def _endless(text: str, size: int) -> str:
    """JSON whose first property never ends, as `{"body": "...`; a sentence that never ends for other text."""
    sentences = [wording(number) for number in range(math.ceil(size / SHORTEST))]
    return (_opening(text) + " ".join(sentences))[:size]


def _opening(text: str) -> str:
    try:
        parsed = json.loads(text)
    except ValueError:
        return text
    first = next(iter(parsed), "text") if isinstance(parsed, dict) else "text"
    return f'{{"{first}": "'
