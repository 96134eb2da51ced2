"""What could cost less, computed from what a day's calls have used and from the events of its dearest jobs. Pure."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from app.work.spending import Suggestion
from graphs.spending.parts import MODEL, DayParts
from graphs.state import Json

ENOUGH_TOKENS = 50_000  # of a model in a day, to judge its cache by
LOW_PERCENT = 20
LARGE_BYTES = 48_000  # of a prompt: half of what a conversation may have before its oldest results are dropped


def suggestions(parts: DayParts, events: Mapping[str, Sequence[Json]]) -> list[Suggestion]:
    """At most one of a kind, from the day's parts and the events of jobs by id."""
    return [*_cache(parts), *_prompts(events), *_repeated(events)]


def _cache(parts: DayParts) -> Iterator[Suggestion]:
    models = {name: used for name, used in parts.of(MODEL).items() if used.input_tokens >= ENOUGH_TOKENS}
    if not models:
        return
    name = max(models, key=lambda each: models[each].input_tokens - models[each].cached_tokens)
    read, cached = models[name].input_tokens, models[name].cached_tokens
    if cached * 100 < read * LOW_PERCENT:
        yield Suggestion(
            about="cache",
            text=f"{name} read {read:,} tokens, {cached * 100 // read} % of them from its cache. Providers cache "
            "prompts that begin alike: put what changes at their ends, and run related jobs close together.",
        )


def _prompts(events: Mapping[str, Sequence[Json]]) -> Iterator[Suggestion]:
    calls = [
        (each.get("prompt_bytes") or 0, job, each) for job, told in events.items() for each in _of(told, "model_call")
    ]
    size, job, call = max(calls, key=lambda each: each[0], default=(0, "", {}))
    if size >= LARGE_BYTES:
        yield Suggestion(
            about="prompts",
            text=f"The largest prompt had {size // 1000} KB, of {call.get('agent')} in {job}, and each further turn "
            "sends it again: let tools return less, or split the task.",
        )


def _repeated(events: Mapping[str, Sequence[Json]]) -> Iterator[Suggestion]:
    calls = Counter(
        (job, str(each.get("tool")), json.dumps(each.get("arguments"), sort_keys=True))
        for job, told in events.items()
        for each in _of(told, "tool_call")
        if "evidence" in each
    )
    [((job, tool, _), times)] = calls.most_common(1) or [(("", "", ""), 0)]
    if times > 1:
        yield Suggestion(
            about="repeated calls",
            text=f"{tool} was called {times} times with the same arguments in {job}, and its result was read as often: "
            "let one task ask, and the others build on it.",
        )


def _of(events: Sequence[Json], kind: str) -> Iterator[Json]:
    return (each for each in events if each.get("type") == kind)
