"""Whether the sources were asked that a kind of question needs: agentevals matches the trajectory to a reference.

A trajectory has a call for each source (an MCP server) that gave evidence, so that a team and a single agent, which
have the same tools, are judged alike. The order does not count: agents may work in parallel.
"""

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from evals.questions import Kind


class Needs(NamedTuple):
    """The sources that a kind of question needs, and those that may be asked as well."""

    must: tuple[str, ...]
    may: tuple[str, ...] = ()


REFERENCES: Mapping[Kind, Needs] = {
    "market": Needs(("knowledge_base",), ("web",)),
    "sales": Needs(("sales",), ("analytics",)),
    "both": Needs(("knowledge_base", "sales"), ("analytics", "web")),
    "forecast": Needs(("sales", "analytics")),
    "contradictory": Needs(("knowledge_base",), ("web",)),
    "unanswerable": Needs((), ("knowledge_base", "sales", "analytics", "web")),  # but one of them must have been asked
}


def matched(kind: Kind, asked: Iterable[str]) -> tuple[float, str]:
    """Half a point if all needed sources were asked (`superset`), half if no other was (`subset`), and why not."""
    needs, sources = REFERENCES[kind], list(dict.fromkeys(asked))
    missing = [each for each in needs.must if each not in sources]
    beside = [each for each in sources if each not in {*needs.must, *needs.may}]
    if not sources:
        return 0.0, "no source was asked"
    all_asked = _matches("superset", sources, needs.must)
    no_other = _matches("subset", sources, (*needs.must, *needs.may))
    faults = [f"not asked: {each}" for each in missing] + [f"not needed: {each}" for each in beside]
    return (all_asked + no_other) / 2, "; ".join(faults)


def _matches(mode: str, sources: Iterable[str], reference: Iterable[str]) -> bool:
    judged = _evaluator(mode)(outputs=_trajectory(sources), reference_outputs=_trajectory(reference))
    return bool(judged["score"])


@functools.cache
def _evaluator(mode: str) -> Any:
    from agentevals.trajectory.match import create_trajectory_match_evaluator  # noqa: PLC0415  takes seconds

    return create_trajectory_match_evaluator(trajectory_match_mode=mode, tool_args_match_mode="ignore")


def _trajectory(sources: Iterable[str]) -> list[dict[str, Any]]:
    calls = [{"function": {"name": each, "arguments": "{}"}, "id": each, "type": "function"} for each in sources]
    return [{"role": "assistant", "content": "", "tool_calls": calls}]
