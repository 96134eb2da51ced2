"""The version of what decides how a job behaves, so that jobs and evals before and after a change can be told apart."""

import hashlib
import json
from pathlib import Path

from graphs.deps import Deps
from graphs.state import SCHEMA_VERSION

_PROMPTS = Path(__file__).parents[2] / "graphs" / "prompts"
DIGITS = 10


def behaviour_version(deps: Deps, graph: str) -> str:
    """A short hash of models, prompts, agents, limits and graph: what an operator or a fork changes.

    Code is not in it: a release that changes how a graph works raises `SCHEMA_VERSION` or comes with other prompts.
    """
    models = [deps.supervisor_model, deps.model, deps.model.fallback]
    decides = {
        "graph": [graph, SCHEMA_VERSION],
        "models": [each.model_name for each in models if each],
        "agents": [[each.model_dump(mode="json"), each.prompt] for each in deps.agents],
        "prompts": [each.read_text(encoding="utf-8") for each in sorted(_PROMPTS.glob("*.md"))],
        "limits": [each.model_dump(mode="json") for each in (deps.limits, deps.ceiling)],
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:DIGITS]
